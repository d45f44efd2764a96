"""What a long run meets and survives: scenes that cannot be read, steps whose gradient is not finite."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from ceco3d.data.batch import Batch
from ceco3d.utils.distributed import rank
from ceco3d.utils.errors import UserError

SHOWN = 20  # scenes in the list at the end


@contextmanager
def loader_deaths() -> Iterator[None]:
    """UserError when a process that reads ahead dies; PyTorch may raise that anywhere, out of a signal handler."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise UserError(
            "a loader process died (out of memory?): go on with resume=auto, fewer trainer.workers"
        ) from error


class BadScenes:
    """Scenes that failed to load, each reported once; more than the share ``limit`` of ``total`` ends the run."""

    def __init__(self, total: int, limit: float) -> None:
        self.total, self.limit = total, limit
        self.reasons: dict[str, str] = {}

    def add(self, failed: Iterable[tuple[str, str]]) -> None:
        """Take in (scene, reason); UserError when there are too many."""
        for scene, reason in failed:
            if scene not in self.reasons:
                self.reasons[scene] = reason
                print(f"WARNING: scene {scene} is left out: {reason}", file=sys.stderr, flush=True)
        if len(self.reasons) > self.limit * self.total:
            scene, reason = next(iter(self.reasons.items()))
            raise UserError(
                f"{len(self.reasons)} of {self.total} scenes cannot be read, more than trainer.max_bad_scenes="
                f"{self.limit:g} allows; the first is {scene}: {reason}"
            )

    def report(self) -> None:
        """List them once more, for whoever reads the end of a log."""
        if self.reasons:
            listed = ", ".join(list(self.reasons)[:SHOWN]) + (", ..." if len(self.reasons) > SHOWN else "")
            print(f"WARNING: trained without {len(self.reasons)} bad scenes: {listed}", file=sys.stderr, flush=True)


class SkippedSteps:
    """Counts steps without an update, their loss or gradient being NaN or infinite; ``limit`` in a row end the run."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self.total = self.in_a_row = 0

    def add(self, step: int, batches: Sequence[Batch], here: bool) -> None:
        """Step number ``step`` is skipped; ``here``: because of ``batches``, those of this process.

        After ``limit`` in a row they are saved as ``folder/step-N-rank-R.pt``, and a UserError ends the run.
        """
        self.total += 1
        self.in_a_row += 1
        scenes = ", ".join(name for batch in batches for name in batch.scenes)
        if here:
            print(f"WARNING: step {step} skipped, its loss is not finite ({scenes})", file=sys.stderr, flush=True)
        if self.in_a_row >= self.limit:
            path = self.folder / f"step-{step}-rank-{rank()}.pt"
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save([batch.to("cpu").tensors() | {"scenes": list(batch.scenes)} for batch in batches], path)
            raise UserError(
                f"{self.in_a_row} steps in a row without a finite loss, the last on {scenes}: lower optimizer.lr, or "
                f"look at {path}; the last checkpoint is kept"
            )

    def clear(self) -> None:
        """A step went well."""
        self.in_a_row = 0
