"""Standard streams that outlive their readers and print any text in any locale."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from typing import TextIO


class _Outlet(io.FileIO):
    """The file descriptor of a standard stream: what it cannot take is dropped, and a command goes on.

    A reader that leaves (``| head``) is no fault. Others, such as a full disk, are told once on stderr.
    """

    told = False

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]  # any buffer
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno != errno.EPIPE and not self.told:
                self.told = True
                if self.fileno() == 1:
                    print(f"warning: stdout: {error.strerror}; some of the output is lost", file=sys.stderr)
            return memoryview(data).nbytes  # type: ignore[arg-type]


def name_files_in_utf8() -> None:
    """Start the command again in Python's UTF-8 mode where the locale is ASCII: else no name with an umlaut is text.

    Python does so itself for the locales C and POSIX, unless it is told not to. What is printed stays ASCII.
    """
    if codecs.lookup(sys.getfilesystemencoding()).name == "ascii":
        os.environ |= {"PYTHONUTF8": "1", "PYTHONIOENCODING": "ascii:backslashreplace"}
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def open_streams() -> None:
    """Replace stdout and stderr by streams that never fail; closed ones lead to /dev/null.

    Characters that the locale lacks are printed as escapes.
    """
    name_files_in_utf8()
    for number in range(3):  # else the next file that is opened takes the number, and what C code prints goes into it
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout, sys.stderr = _lasting(sys.stdout, 1), _lasting(sys.stderr, 2)


def _lasting(stream: TextIO | None, number: int) -> TextIO:
    encoding = "utf-8" if stream is None else stream.encoding
    at_once = isinstance(stream, io.TextIOWrapper) and (stream.line_buffering or stream.write_through)
    buffer = io.BufferedWriter(_Outlet(number, "w", closefd=False))
    return io.TextIOWrapper(buffer, encoding, errors="backslashreplace", line_buffering=at_once)
