"""Start a run, or resume it from its newest checkpoint."""

from __future__ import annotations

import logging
from pathlib import Path

from ceco3d.runs.folder import read_all_scores
from ceco3d.training.checkpoint import BEST, LAST, PREVIOUS, Saved, read_newest, restore
from ceco3d.training.loop import Trainer
from ceco3d.training.random_state import seed_all, set_random_state
from ceco3d.utils.atomic import check_writable
from ceco3d.utils.distributed import main_first, rank
from ceco3d.utils.errors import UserError

logger = logging.getLogger(__name__)


def find_checkpoint(run_dir: Path, resume: str | None) -> Saved | None:
    """The checkpoint to resume from, or None for a new run.

    UserError if ``run_dir`` is not writable, or holds a run that ``resume`` does not ask to continue.
    """
    check_writable(run_dir)
    folder = run_dir / "checkpoints"
    if resume is None and any((folder / name).exists() for name in (LAST, PREVIOUS, BEST)):
        raise UserError(f"{run_dir}: already holds a run; continue it with resume=auto, or choose another run_dir")
    with main_first():  # it renames damaged files
        found = read_newest(folder)
    if found is None and (folder / BEST).exists():
        logger.warning(
            f"{folder}: starting anew, because {LAST} is missing and {BEST} holds no optimizer state; {BEST} will be "
            "replaced"
        )
    return found


def resume(trainer: Trainer, saved: Saved | None, run_dir: Path, seed: int, scored: bool = True) -> bool:
    """Restore ``trainer`` from ``saved``, or seed a new run with ``seed``; returns whether the run is finished.

    scored  whether the ``metrics.json`` of a finished run holds scores
    """
    if saved is None:
        seed_all(seed + rank())  # all processes built the same network; from here on their draws differ
        return False
    trainer.position = restore(saved, trainer.setup, **trainer.parts)
    states = saved.content["random"]
    if rank() < len(states):
        set_random_state(states[rank()])
    if trainer.position.epoch == trainer.settings.epochs and _has_results(run_dir, scored):
        logger.info(f"{run_dir}: already finished")
        return True
    logger.info(f"resuming {saved.path} at epoch {trainer.position.epoch + 1}, step {trainer.position.step}")
    return False


def _has_results(run_dir: Path, scored: bool) -> bool:
    """Whether the run has its final results; scores that cannot be read are made again."""
    if not scored or not (run_dir / "metrics.json").exists():
        return (run_dir / "metrics.json").exists()
    try:
        read_all_scores(run_dir)
    except UserError:
        logger.warning(f"{run_dir / 'metrics.json'} is damaged; the run is scored again")
        return False
    return True
