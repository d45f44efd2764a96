"""Write checkpoints; if the disk is full or read-only, training continues and writing is retried."""

from __future__ import annotations

import copy
import logging
import time
from pathlib import Path
from typing import Any

from ceco3d.training.checkpoint import LAST, PREVIOUS, save
from ceco3d.utils import atomic
from ceco3d.utils.errors import UserError

logger = logging.getLogger(__name__)


class CheckpointWriter:
    """Writes checkpoints to ``folder``; keeps in memory those that cannot be written yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.waiting: dict[str, dict[str, Any]] = {}  # name -> content
        self._next_try = 0.0

    def save(self, name: str, content: dict[str, Any]) -> bool:
        """Write ``content`` to ``folder/name``; if that fails, warn, keep a copy to retry, and return False."""
        self.waiting.pop(name, None)
        try:
            save(self.folder / name, content, self.folder / PREVIOUS if name == LAST else None)
        except OSError as error:
            logger.warning(
                f"{self.folder / name} not saved ({error.strerror}); training continues, the checkpoint before it is "
                f"kept, next try in {atomic.RETRY_SECONDS:.0f} s"
            )
            self.waiting[name] = copy.deepcopy(content)  # the next step changes its tensors
            self._next_try = time.monotonic() + atomic.RETRY_SECONDS
            return False
        return True

    def retry(self) -> None:
        """Write the waiting checkpoints, if the next try is due."""
        if not self.waiting or time.monotonic() < self._next_try:
            return
        for name, content in list(self.waiting.items()):
            if self.save(name, content):
                logger.warning(f"{self.folder / name} saved after all")

    def finish(self) -> None:
        """Retry until every checkpoint is written; UserError after ``atomic.PATIENCE_SECONDS``."""
        end = time.monotonic() + atomic.PATIENCE_SECONDS
        while self.waiting and time.monotonic() < end:
            time.sleep(max(0.0, self._next_try - time.monotonic()))
            self.retry()
        if self.waiting:
            raise UserError(
                f"{self.folder}: {', '.join(self.waiting)} could not be saved; free some space and resume with "
                "resume=auto, which repeats what came after the last saved checkpoint"
            )
