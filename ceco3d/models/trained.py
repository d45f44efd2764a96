"""Load a network from the checkpoint of a training run, or from a file of weights with their setup."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ceco3d.data.labels import is_joint, restored_blocks, restored_space
from ceco3d.models.build import build_network
from ceco3d.models.checkpoint_file import read_file
from ceco3d.models.matching import OPTIONAL, collect_tensors
from ceco3d.models.network import Network
from ceco3d.models.pretrained import is_temperature
from ceco3d.models.spunet import looks_like_spunet
from ceco3d.models.weights import check_finite
from ceco3d.utils.components import TARGET
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import reading

_FAMILY = {"name", "stem_kernel", "bn_momentum"}  # the settings of a MinkUNet


def load_trained(path: str | Path) -> tuple[Network, dict[str, Any]]:
    """The network of a checkpoint of ceco3d.train, or of a file of ``save_weights``, on the CPU, and its setup.

    The setup holds "model" (see ``build_network``; with in_channels and out_channels), "label_space", "features" and
    "voxel_size" (meters), and can hold "temperature" and "trained_on" (see ``models.pretrained``). The file is
    untrusted: it can name no engine, and no class but a subclass of Network.

    UserError when the file is missing, damaged or not such a checkpoint, or when weights are NaN or infinite.
    """
    content = read_file(Path(path))
    if not {"setup", "model"} <= content.keys():
        spunet = looks_like_spunet(collect_tensors(content).by_name)
        how = "; scripts/pointcept_weights.py makes one of it" if spunet else "; weights alone go into init="
        raise UserError(f"{path}: not a checkpoint of ceco3d.train (no setup in it){how}")
    setup, weights = content["setup"], content["model"]
    try:
        with reading():
            _check_setup(setup)
            model = _rebuild(_arguments(setup["model"]), weights)
    except ValueError as error:
        raise UserError(f"{path}: cannot rebuild the network of this checkpoint ({error})") from error
    check_finite(Path(path), model.state_dict())
    return model, setup


def _rebuild(arguments: dict[str, Any], weights: Mapping[str, Tensor]) -> Network:
    with torch.device("meta"):  # takes no memory, whatever width the file names
        model = build_network(**arguments)
    weights = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    for name, value in model.state_dict().items():
        if name not in weights and name.endswith(OPTIONAL):
            weights[name] = torch.zeros(value.shape, dtype=value.dtype)
        if name not in weights:
            raise ValueError(f"{name} is missing")
        if value.shape != weights[name].shape:
            raise ValueError(f"size mismatch of {name}, {tuple(weights[name].shape)}, not {tuple(value.shape)}")
    if TARGET not in arguments["settings"]:
        model.to_empty(device="cpu")
    else:  # it may have tensors outside its state_dict, which to_empty would leave uninitialized
        with torch.random.fork_rng(devices=[]):
            model = build_network(**arguments)
    model.load_state_dict(weights)
    return model


def _arguments(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of ``build_network``. ValueError for settings that no training writes, such as an engine to import."""
    settings = dict(stored)
    sizes = {name: settings.pop(name) for name in ("in_channels", "out_channels")}
    unknown = settings.keys() & {"engine"} if TARGET in settings else settings.keys() - _FAMILY
    if unknown:
        raise ValueError(f"unknown settings of the model: {', '.join(map(str, unknown))}")
    return {"settings": settings, **sizes}


def _check_setup(setup: Mapping[str, Any]) -> None:
    """ValueError, KeyError or TypeError unless ``setup`` holds values of the types that its readers expect."""
    if not all(isinstance(name, str) for name in setup["features"]):
        raise ValueError("features are not names")
    if not isinstance(setup["voxel_size"], int | float) or not 0 < setup["voxel_size"] < 1000:
        raise ValueError("voxel_size is not a length in meters")
    if not is_temperature(setup.get("temperature", 1)):
        raise ValueError("temperature is not a number within 0.01 and 100")
    if is_joint(setup["label_space"]):
        classes = restored_blocks(setup["label_space"])[-1].outputs.stop
        if classes != setup["model"]["out_channels"]:
            raise ValueError(f"{setup['model']['out_channels']!r:.20} outputs for {classes} classes")
    elif setup["label_space"] is not None:
        restored_space(setup["label_space"])
