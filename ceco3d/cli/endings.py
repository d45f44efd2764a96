"""How a command ends: one line and an exit code instead of a traceback."""

from __future__ import annotations

import errno
import sys
from types import TracebackType
from typing import NoReturn

from ceco3d.utils.plain_text import visible

REMEDIES = {
    errno.EMFILE: "raise the limit of open files, such as ulimit -n 4096",
    errno.EFBIG: "raise the limit of the size of files (ulimit -f)",
    errno.ENOSPC: "free some space or choose another folder",
    errno.EDQUOT: "free some space or choose another folder",
}


def one_line(error: Exception) -> str:
    """The text of an error on one line, without what Hydra adds for developers."""
    if isinstance(error, OSError) and error.errno is not None:
        where = "" if error.filename is None else f"{error.filename}: "
        return f"{where}{error.strerror}" + (f"; {REMEDIES[error.errno]}" if error.errno in REMEDIES else "")
    text = str(error).split("Config search path:")[0]
    if "\nOriginal Traceback" in text:  # raised in a loader process: the last line is "module.Class: message"
        text = text.rstrip().splitlines()[-1].partition(": ")[2]
    lines = [line.strip().rstrip(".:") for line in text.splitlines() if line.strip()]
    return "; ".join(line for line in lines if not line.startswith("object_type="))


def fail(error: Exception) -> NoReturn:
    """Print ``error`` as one line and exit with 2."""
    print(f"error: {visible(one_line(error))}", file=sys.stderr)
    sys.exit(2)


def interrupted() -> NoReturn:
    """The end after Ctrl-C."""
    print("interrupted", file=sys.stderr)
    sys.exit(130)


def catch_interrupts() -> None:
    """End with one line on Ctrl-C from here on, also while modules are imported."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            interrupted()
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = hook
