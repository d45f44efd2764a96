"""Guards against unreadable scenes, dead loader processes and non-finite steps."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from ceco3d.training.objective import TrainingBatch
from ceco3d.utils.distributed import rank
from ceco3d.utils.errors import UserError

logger = logging.getLogger(__name__)

SHOWN = 20  # scenes listed at the end of the run
TOO_MANY_FILES = ("Too many open files", "of ancdata")  # in errors about batches that do not arrive


@contextmanager
def loader_guard() -> Iterator[None]:
    """UserError if a loader process dies. PyTorch raises from a signal handler, so it can happen on any line.

    Or if its batches do not arrive, because this process has too many open files.
    """
    try:
        yield
    except RuntimeError as error:
        text, otherwise = str(error), " or set trainer.workers=0, and continue with resume=auto"
        if "Bus error" in text:
            why = f"/dev/shm is full: enlarge it (docker run --shm-size=2g){otherwise}"
        elif "DataLoader worker" in text:
            why = "a loader process died (out of memory?): resume with resume=auto and fewer trainer.workers"
        elif any(words in text for words in TOO_MANY_FILES):
            why = f"too many open files: raise the limit (ulimit -n 4096){otherwise}"
        else:
            raise
        raise UserError(why) from error


class UnreadableSceneGuard:
    """Warns once about each unreadable scene; ends the run if more than the fraction ``limit`` of ``total`` fail."""

    def __init__(self, total: int, limit: float) -> None:
        self.total, self.limit = total, limit
        self.reasons: dict[str, str] = {}

    def add(self, failed: Iterable[tuple[str, str]]) -> None:
        """Record (scene, reason) pairs; UserError if there are too many."""
        for scene, reason in failed:
            if scene not in self.reasons:
                self.reasons[scene] = reason
                logger.warning(f"skipping scene {scene}: {reason}")
        if len(self.reasons) > self.limit * self.total:
            scene, reason = next(iter(self.reasons.items()))
            raise UserError(
                f"{len(self.reasons)} of {self.total} scenes cannot be read, more than trainer.max_bad_scenes="
                f"{self.limit:g} allows; the first is {scene}: {reason}"
            )

    def report(self) -> None:
        """Log the unreadable scenes once more, at the end of the run."""
        if self.reasons:
            listed = ", ".join(list(self.reasons)[:SHOWN]) + (", ..." if len(self.reasons) > SHOWN else "")
            logger.warning(f"trained without {len(self.reasons)} unreadable scenes: {listed}")


class NonFiniteGuard:
    """Counts steps skipped for a NaN or infinite loss or gradient; ends the run after ``limit`` in a row."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self.total = self.in_a_row = 0

    def skip(self, step: int, batches: Sequence[TrainingBatch], here: bool) -> None:
        """Count step number ``step`` as skipped; ``here``: because of this process's ``batches``.

        After ``limit`` in a row the batches are saved as ``folder/step-N-rank-R.pt``, and a UserError ends the run.
        """
        self.total += 1
        self.in_a_row += 1
        scenes = ", ".join(name for batch in batches for name in batch.scenes)
        if here:
            logger.warning(f"step {step} skipped, its loss is not finite ({scenes})")
        if self.in_a_row >= self.limit:
            path = self.folder / f"step-{step}-rank-{rank()}.pt"
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save([{**batch.to("cpu").tensors(), "scenes": list(batch.scenes)} for batch in batches], path)
            raise UserError(
                f"{self.in_a_row} steps in a row without a finite loss, the last on {scenes}: lower optimizer.lr, or "
                f"look at {path}; the last checkpoint is kept"
            )

    def finite(self) -> None:
        """Reset the count after a finite step."""
        self.in_a_row = 0


@torch.no_grad()
def copy_all(to: Sequence[Tensor], source: Sequence[Tensor]) -> None:
    """Copy each tensor of ``source`` into that of ``to``, in few launches: a network has hundreds of buffers."""
    for dtype in {tensor.dtype for tensor in source}:
        alike = [i for i, tensor in enumerate(source) if tensor.dtype == dtype]
        torch._foreach_copy_([to[i] for i in alike], [source[i] for i in alike])
