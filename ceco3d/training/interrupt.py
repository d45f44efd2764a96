"""Stop a run between steps, with its state saved, on Ctrl-C, SIGTERM or Slurm's warning (SIGUSR1)."""

from __future__ import annotations

import logging
import signal
import sys
from types import FrameType

logger = logging.getLogger(__name__)


class Interrupt:
    """Records the first SIGINT, SIGTERM or SIGUSR1 for the loop to act on; a second one exits at once."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self) -> None:
        self.signal: int | None = None

    def __enter__(self) -> Interrupt:
        self._before = {number: signal.signal(number, self._record) for number in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _record(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None:
            sys.exit(128 + number)
        self.signal = number
        logger.warning("stopping after this step; repeat to stop at once")
