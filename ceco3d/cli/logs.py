"""Show log messages on the terminal: info on stdout, warnings and errors on stderr."""

from __future__ import annotations

import logging
import sys

from ceco3d.utils.plain_text import LINES, visible

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}


class Console(logging.Handler):
    """Prints messages, with the prefix "warning: " or "error: " where it applies."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            bad = record.levelno >= logging.WARNING
            prefix = f"{record.levelname.lower()}: " if bad else ""
            # Look the streams up on every call: they may have been redirected.
            print(visible(prefix + self.format(record), LINES), file=sys.stderr if bad else sys.stdout, flush=True)
        except Exception:
            self.handleError(record)


def install(level: str = "info") -> None:
    """Show ceco3d's messages at ``level`` (a key of LEVELS) and above."""
    for name in ("ceco3d", "__main__"):  # the latter is the module that python -m runs
        logger = logging.getLogger(name)
        if not any(isinstance(handler, Console) for handler in logger.handlers):
            logger.addHandler(Console())
        logger.setLevel(LEVELS[level])
