"""Checkpoints: written atomically, read without running code, checked against the configuration."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ceco3d.errors import UserError
from ceco3d.models.weights import read_file


@dataclass
class Position:
    """How far a run is: the next epoch and batch to train on, steps done, best validation mIoU so far."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: float = -1.0


def trained_setup(cfg: DictConfig, in_channels: int, out_channels: int) -> dict[str, Any]:
    """What a network needs to be used again (``models.trained``); kept in its checkpoints."""
    channels = {"in_channels": in_channels, "out_channels": out_channels}
    return {
        "model": OmegaConf.to_container(cfg.model, resolve=True) | channels,
        "label_space": cfg.dataset.label_space,
        "features": list(cfg.features),
        "voxel_size": cfg.voxel_size,
    }


def save(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` so that ``path`` always holds a whole checkpoint, the old one or the new one."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def training_state(setup: dict[str, Any], position: Position, **parts: Any) -> dict[str, Any]:
    """A checkpoint's content: ``setup``, ``position`` and the state_dict of every named part."""
    return {"setup": setup, "position": asdict(position)} | {name: part.state_dict() for name, part in parts.items()}


def restore(path: Path, setup: dict[str, Any], **parts: Any) -> Position:
    """Load a checkpoint of the same setup into ``parts`` (by the names they were saved under).

    UserError when the file is damaged or belongs to a run with another model, loss, label space or features.
    """
    content = read_file(path)
    missing = sorted({"setup", "position", *parts} - {"average", "raw_model"} - content.keys())
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
