"""A text log of what a program prints."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

# Control sequences of terminals: colors, cursor movements, titles, links.
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
BAR = re.compile("^[^┏┡┗]*[━╸╺█]{5}")  # a progress bar, not the border of a table
MAX_WAITING = 1_000_000  # characters kept while the file cannot be written

_open: list[Transcript] = []


class Transcript:
    """Appends to a text file what this process prints, line by line.

    Terminal codes and progress bars are dropped, and of a line that was drawn again and again all but the last state.
    Nothing is written before ``begin``. A file that cannot be written is tried again at the next line; printing never
    fails because of it.
    """

    def __init__(self, path: Path, title: str) -> None:
        self.path = path
        self._waiting = [title]
        self._begun = False
        self._lock = threading.RLock()

    def begin(self) -> None:
        """Write what was printed so far, and every line from now on."""
        self._begun = True
        self._flush()

    def line(self, text: str) -> None:
        """Add a line as it came from a terminal stream."""
        shown = CONTROL.sub("", ANSI.sub("", text).rstrip("\r").rpartition("\r")[2]).rstrip()
        if BAR.search(shown) or (text.strip("\r") and not shown and text.strip()):
            return
        with self._lock:
            self._waiting.append(shown)
            if self._begun:
                self._flush()

    def _flush(self) -> None:
        with self._lock:
            text = "".join(f"{line}\n" for line in self._waiting)
            try:
                with self.path.open("a", encoding="utf-8", errors="replace") as file:
                    file.write(text)
            except OSError:
                if len(text) < MAX_WAITING:
                    return
            self._waiting.clear()


class _Tee:
    """A terminal stream whose complete lines also go to a transcript."""

    def __init__(self, stream: TextIO, transcript: Transcript) -> None:
        self._stream, self._transcript, self._rest = stream, transcript, ""

    def write(self, text: str) -> int:
        count = self._stream.write(text)
        *lines, rest = (self._rest + text).split("\n")
        for line in lines:
            self._transcript.line(line)
        shown = rest.rstrip("\r")
        self._rest = "".join(shown.rpartition("\r")[1:]) + rest[len(shown) :]  # of a line drawn again, the last state
        return count

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def finish(self) -> None:
        """Pass on a last line that does not end."""
        if self._rest.strip():
            self._transcript.line(self._rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def transcribed(path: Path, title: str) -> Iterator[Transcript]:
    """In the body, what Python prints on stdout and stderr also goes to ``path``, below ``title``.

    An error that leaves the body is the last line. What other programs and C code print is not seen.
    """
    transcript = Transcript(path, title)
    before = sys.stdout, sys.stderr
    out, err = _Tee(sys.stdout, transcript), _Tee(sys.stderr, transcript)
    sys.stdout, sys.stderr = out, err
    _open.append(transcript)
    try:
        yield transcript
    finally:
        out.finish()
        err.finish()
        _open.remove(transcript)
        sys.stdout = before[0] if sys.stdout is out else sys.stdout
        sys.stderr = before[1] if sys.stderr is err else sys.stderr


def note(text: str) -> None:
    """Add a line to the open transcripts that is not printed as a line of its own."""
    for transcript in _open:
        transcript.line(text)
