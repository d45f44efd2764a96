"""What training and pretraining have in common: where to resume, and the run itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import yaml

from ceco3d.inference.evaluation import Evaluation
from ceco3d.training.checkpoint import LAST, PREVIOUS, Saved, read_newest, restore
from ceco3d.training.loggers import Loggers
from ceco3d.training.loop import Trainer
from ceco3d.training.random_state import seed_all, set_random_state
from ceco3d.training.settings import RunSettings
from ceco3d.utils.atomic import check_writable, write_text
from ceco3d.utils.distributed import is_main, main_first, rank
from ceco3d.utils.environment import write_environment
from ceco3d.utils.errors import UserError
from ceco3d.utils.settings import Factory

logger = logging.getLogger(__name__)


def find_checkpoint(run_dir: Path, resume: str | None) -> Saved | None:
    """The checkpoint to resume from, or None; UserError when ``run_dir`` cannot be written or holds another run."""
    check_writable(run_dir)
    folder = run_dir / "checkpoints"
    if resume is None and ((folder / LAST).exists() or (folder / PREVIOUS).exists()):
        raise UserError(f"{run_dir}: holds a run already; continue it with resume=auto, or choose another run_dir")
    with main_first():  # it sets damaged files aside
        return read_newest(folder)


def resume(trainer: Trainer, saved: Saved | None, run_dir: Path, seed: int) -> bool:
    """Bring ``trainer`` to where ``saved`` was, or start at ``seed`` without it; whether the run is finished."""
    if saved is None:
        seed_all(seed + rank())  # the parts are the same everywhere, draws from now on are not
        return False
    trainer.position = restore(saved, trainer.setup, **trainer.parts)
    states = saved.content["random"]
    if rank() < len(states):
        set_random_state(states[rank()])
    if trainer.position.epoch == trainer.settings.epochs and (run_dir / "metrics.json").exists():
        logger.info(f"{run_dir}: finished already")
        return True
    logger.info(f"resuming {saved.path} at epoch {trainer.position.epoch + 1}, step {trainer.position.step}")
    return False


def run_trainer(
    trainer: Trainer, settings: RunSettings, loggers: Mapping[str, Factory], title: str
) -> Evaluation | None:
    """Write ``config.yaml`` and ``environment.json``, log ``title``, train; returns the last validation.

    Of several processes the first one writes and logs.
    """
    run_dir = settings.run_dir
    if is_main():
        write_text(run_dir / "config.yaml", yaml.safe_dump(dict(settings.config), sort_keys=False))
        write_environment(run_dir, trainer.device)
    logger.info(title)
    makers = loggers.values() if is_main() else ()
    log = Loggers([make(run_dir=run_dir, start=trainer.position.moment) for make in makers])
    try:
        return trainer.run(log)
    finally:
        log.close()
