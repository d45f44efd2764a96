"""A network out of the checkpoint of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ceco3d.models.minkunet import MinkUNet, build_model
from ceco3d.models.weights import read_file
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import reading


def load_trained(path: str | Path) -> tuple[MinkUNet, dict[str, Any]]:
    """The network of a checkpoint of ceco3d.train with its weights, on the CPU, and its setup.

    The setup holds "model" (arguments of build_model), "label_space", "features" and "voxel_size" (metres).
    UserError when the file is missing, damaged or something else.
    """
    content = read_file(Path(path))
    if not {"setup", "model"} <= content.keys():
        raise UserError(f"{path}: not a checkpoint of ceco3d.train (no setup in it); weights alone go into init=")
    setup, weights = content["setup"], content["model"]
    try:
        with reading():
            _check_setup(setup)
            with torch.device("meta"):  # takes no memory, whatever width the file names
                model = build_model(**setup["model"])
            for name, value in model.state_dict().items():
                if value.shape != weights[name].shape:
                    raise ValueError(f"size mismatch of {name}, {tuple(weights[name].shape)}, not {tuple(value.shape)}")
            model.to_empty(device="cpu").load_state_dict(weights)
    except ValueError as error:
        raise UserError(f"{path}: its weights do not fit the network it names ({error})") from error
    return model, setup


def _check_setup(setup: Mapping[str, Any]) -> None:
    """ValueError, KeyError or TypeError unless ``setup`` holds what its readers expect, of the kinds they expect."""
    if not all(isinstance(name, str) for name in setup["features"]):
        raise ValueError("features are not names")
    if not isinstance(setup["voxel_size"], int | float) or not 0 < setup["voxel_size"] < 1000:
        raise ValueError("voxel_size is not a length in metres")
    if not isinstance(setup["label_space"], str | type(None)):
        raise ValueError("label_space is not a name")
