"""What library code logs, on the terminal: information on stdout, warnings and errors on stderr."""

from __future__ import annotations

import logging
import sys

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}


class Console(logging.Handler):
    """Prints the message; before that of a warning or an error, what it is."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            bad = record.levelno >= logging.WARNING
            prefix = f"{record.levelname.lower()}: " if bad else ""
            # The streams are looked up here, since they may have been redirected.
            print(prefix + self.format(record), file=sys.stderr if bad else sys.stdout, flush=True)
        except Exception:
            self.handleError(record)


def install(level: str = "info") -> None:
    """Show messages of ceco3d from ``level`` (a key of LEVELS) up."""
    logger = logging.getLogger("ceco3d")
    if not any(isinstance(handler, Console) for handler in logger.handlers):
        logger.addHandler(Console())
    logger.setLevel(LEVELS[level])
