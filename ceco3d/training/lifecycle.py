"""What training and pretraining have in common: checks of the configuration, where to go on, the run itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ceco3d.cli.app import number
from ceco3d.inference.evaluation import Evaluation
from ceco3d.training.checkpoint import LAST, PREVIOUS, Saved, read_newest, restore
from ceco3d.training.loggers import make_loggers
from ceco3d.training.loop import Trainer
from ceco3d.training.random_state import seed_all, set_random_state
from ceco3d.utils.atomic import check_writable, write_text
from ceco3d.utils.distributed import is_main, main_first, rank
from ceco3d.utils.environment import write_environment
from ceco3d.utils.errors import UserError


def check_steps(cfg: DictConfig) -> None:
    """Refuse values that would only fail later; for every kind of training."""
    number(cfg, "voxel_size")
    number(cfg, "trainer.epochs", whole=True)
    number(cfg, "trainer.log_every", whole=True)
    number(cfg, "trainer.repeat", whole=True)
    number(cfg, "trainer.accumulate", whole=True)
    number(cfg, "trainer.max_skipped", whole=True)
    if cfg.resume not in (None, "auto"):
        raise UserError(f"resume={cfg.resume}: choose null or auto (continues run_dir, so set run_dir too)")


def find_checkpoint(cfg: DictConfig, run_dir: Path) -> Saved | None:
    """The checkpoint to continue, or None; UserError when ``run_dir`` cannot be written or holds another run."""
    check_writable(run_dir)
    folder = run_dir / "checkpoints"
    if cfg.resume is None and ((folder / LAST).exists() or (folder / PREVIOUS).exists()):
        raise UserError(f"{run_dir}: holds a run already; continue it with resume=auto, or choose another run_dir")
    with main_first():  # it sets damaged files aside
        return read_newest(folder)


def resume(trainer: Trainer, saved: Saved | None, run_dir: Path, seed: int) -> bool:
    """Bring ``trainer`` to where ``saved`` was, or begin at ``seed`` without it; whether all is done already."""
    if saved is None:
        seed_all(seed + rank())  # the parts are the same everywhere, draws from now on are not
        return False
    trainer.position = restore(saved, trainer.setup, **trainer.parts)
    states = saved.content["random"]
    if rank() < len(states):
        set_random_state(states[rank()])
    if trainer.position.epoch == trainer.settings.epochs and (run_dir / "metrics.json").exists():
        print(f"{run_dir}: finished already")
        return True
    print(f"resuming {saved.path} at epoch {trainer.position.epoch + 1}, step {trainer.position.step}")
    return False


def run_trainer(
    trainer: Trainer, cfg: DictConfig, loggers: Mapping[str, Any], run_dir: Path, title: str
) -> Evaluation | None:
    """Write ``config.yaml`` (``cfg``) and ``environment.json``, print ``title``, train with ``loggers`` (conf/logger).

    Returns the last validation. Of several processes the first one writes, logs and prints.
    """
    if is_main():
        write_text(run_dir / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
        write_environment(run_dir, trainer.device)
    print(title)
    log = make_loggers(loggers if is_main() else {}, run_dir, trainer.position.moment)
    try:
        return trainer.run(log)
    finally:
        log.close()
