"""What training and pretraining have in common: checks of the configuration, where to go on, the run itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ceco3d.config import number
from ceco3d.errors import UserError
from ceco3d.inference.evaluate import Evaluation
from ceco3d.output import check_writable, write_text
from ceco3d.training.checkpoint import restore
from ceco3d.training.loggers import make_loggers
from ceco3d.training.loop import Trainer


def check_steps(cfg: DictConfig) -> None:
    """Refuse values that would only fail later; for every kind of training."""
    number(cfg, "voxel_size")
    number(cfg, "trainer.epochs", whole=True)
    number(cfg, "trainer.log_every", whole=True)
    number(cfg, "trainer.repeat", whole=True)
    if cfg.resume not in (None, "auto"):
        raise UserError(f"resume={cfg.resume}: choose null or auto (continues run_dir, so set run_dir too)")


def find_checkpoint(cfg: DictConfig, run_dir: Path) -> Path | None:
    """The checkpoint to continue, or None; UserError when ``run_dir`` cannot be written or holds another run."""
    check_writable(run_dir)
    last = run_dir / "checkpoints" / "last.pt"
    if not last.exists():
        return None
    if cfg.resume is None:
        raise UserError(f"{run_dir}: holds a run already; continue it with resume=auto, or choose another run_dir")
    return last


def resume(trainer: Trainer, last: Path | None, run_dir: Path) -> bool:
    """Bring ``trainer`` to where the checkpoint ``last`` was, if there is one; returns whether all is done already."""
    if last is None:
        return False
    trainer.position = restore(last, trainer.setup, **trainer.parts)
    if trainer.position.epoch == trainer.settings.epochs and (run_dir / "metrics.json").exists():
        print(f"{run_dir}: finished already")
        return True
    print(f"resuming {last} at epoch {trainer.position.epoch + 1}, step {trainer.position.step}")
    return False


def run_trainer(
    trainer: Trainer, cfg: DictConfig, loggers: Mapping[str, Any], run_dir: Path, title: str
) -> Evaluation | None:
    """Write ``cfg`` to ``config.yaml``, print ``title``, train with ``loggers`` (conf/logger); the last validation."""
    trainer.folder.mkdir(parents=True, exist_ok=True)
    write_text(run_dir / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    print(title)
    log = make_loggers(loggers, run_dir, trainer.position.step)
    try:
        return trainer.run(log)
    finally:
        log.close()
