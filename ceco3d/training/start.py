"""What training and pretraining begin with: checks of the configuration, and where to go on."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from ceco3d.config import number
from ceco3d.errors import UserError
from ceco3d.output import check_writable


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
