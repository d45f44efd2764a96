"""A network out of the checkpoint of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ceco3d.errors import UserError
from ceco3d.models.minkunet import MinkUNet, build_model
from ceco3d.models.weights import read_file


def load_trained(path: str | Path) -> tuple[MinkUNet, dict[str, Any]]:
    """The network of a checkpoint of ceco3d.train with its weights, on the CPU, and its setup.

    The setup holds "model" (arguments of build_model), "label_space", "features" and "voxel_size" (metres).
    UserError when the file is missing, damaged or something else.
    """
    content = read_file(Path(path))
    if not {"setup", "model"} <= content.keys():
        raise UserError(f"{path}: not a checkpoint of ceco3d.train (no setup in it); weights alone go into init=")
    setup = content["setup"]
    try:
        model = build_model(**setup["model"])
        model.load_state_dict(content["model"])
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{path}: its weights do not fit the network it names ({reason})") from error
    return model, setup
