"""Checkpoints: write them atomically, read them without running code, and check them against the run's settings."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ceco3d.models.checkpoint_file import DamagedError, read_file
from ceco3d.utils.errors import UserError

logger = logging.getLogger(__name__)

LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"


@dataclass
class Position:
    """Progress of a run: the next epoch and batch, steps completed, and the best validation mIoU so far."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: float = -1.0

    @property
    def moment(self) -> float:
        """``step``, plus 0.5 at the end of an epoch, after its validation."""
        return self.step + (0.5 if self.step and self.batch == 0 else 0.0)


def save(path: Path, content: dict[str, Any], keep: Path | None = None) -> None:
    """Write ``content`` to ``path`` atomically; the checkpoint it replaces is renamed to ``keep``.

    OSError if that fails (disk full, folder read-only); the old checkpoint is then unchanged. A process killed between
    the two renames leaves a complete ``keep`` but no ``path``, which ``read_newest`` handles.
    """
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_space(path.parent, content)
        with part.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(part, path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise
        raise OSError(errno.EIO, "writing failed") from error  # torch.save hides the reason


def _check_space(folder: Path, content: Any) -> None:
    """OSError (ENOSPC) if ``content`` does not fit on the disk of ``folder``."""
    needed, free = _nbytes(content) + 2**20, shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(errno.ENOSPC, f"{needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free")


def _nbytes(content: Any) -> int:
    """Bytes of all tensors in nested dicts and lists; repeated tensors count each time."""
    if isinstance(content, torch.Tensor):
        return content.nbytes
    inner = content.values() if isinstance(content, dict) else content if isinstance(content, list | tuple) else ()
    return sum(map(_nbytes, inner))


def _sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` survive a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True)
class Saved:
    """A checkpoint read from a file."""

    path: Path
    content: dict[str, Any]


def read_newest(folder: Path) -> Saved | None:
    """``last.pt`` of ``folder``, or else ``previous.pt`` with a warning; None if there is neither.

    A damaged file is renamed to ``*.damaged``. UserError if there are files but none can be read.
    """
    found = [path for path in (folder / LAST, folder / PREVIOUS) if path.exists()]
    for path in found:
        try:
            content = read_file(path)
        except DamagedError as error:
            logger.warning(f"{error}; renaming it to *.damaged")
            os.replace(path, path.with_name(path.name + ".damaged"))
        else:
            if path.name == PREVIOUS:
                logger.warning(f"resuming from the previous checkpoint, {path}")
            return Saved(path, content)
    if found:
        raise UserError(f"{folder}: no checkpoint in it can be read; start again in another run_dir")
    return None


def training_state(setup: Mapping[str, Any], position: Position, **parts: Any) -> dict[str, Any]:
    """The content of a checkpoint: ``setup``, ``position`` and the state_dict of each named part."""
    return {"setup": dict(setup), "position": asdict(position)} | {
        name: part.state_dict() for name, part in parts.items()
    }


def inference_state(setup: Mapping[str, Any], position: Position, model: nn.Module) -> dict[str, Any]:
    """The content of a checkpoint that is smaller because no training can continue from it."""
    return training_state(setup, position, model=model)


def restore(saved: Saved, setup: Mapping[str, Any], **parts: Any) -> Position:
    """Load a checkpoint with the same setup into ``parts``, by the names they were saved under.

    UserError if it comes from a run with another model, loss, label space or features.
    """
    path, content = saved.path, saved.content
    missing = sorted({"setup", "position", *parts} - {"average", "raw_model"} - content.keys())
    if missing and {"setup", "position", "model"} <= content.keys():
        raise UserError(
            f"{path}: has no {missing[0]}, as a {BEST}; resume from {LAST}, or start a new run with init={path}"
        )
    if missing:
        raise UserError(f"{path}: not a checkpoint of a training run ({', '.join(missing)} missing)")
    if ("average" in content) != ("average" in parts):
        how = "with" if "average" in content else "without"
        raise UserError(f"{path}: trained {how} trainer.ema; set it as it was, or use another run_dir")
    different = [key for key, value in setup.items() if content["setup"].get(key) != value]
    if different:
        key = different[0]
        raise UserError(
            f"{path}: trained with {key}={content['setup'].get(key)}, not {setup[key]}; use another run_dir"
        )
    try:
        for name, part in parts.items():
            part.load_state_dict(content[name])
    except (RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: does not fit this configuration's {name} ({reason}); use another run_dir") from error
    return Position(**content["position"])
