"""Values in conf/ that a checkpoint decides: ``${of_setup:${init},voxel_size}``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import ListConfig, OmegaConf

from ceco3d.utils.errors import UserError


def offer_setup_values() -> None:
    """Let configurations name the values of a checkpoint's setup."""
    OmegaConf.register_new_resolver("of_setup", of_setup, replace=True)


def of_setup(init: Any, key: str) -> Any:
    """The value of ``key``, such as "model.name", in the setup of the checkpoint ``init``.

    UserError if there is none: the file is missing, damaged, or of another project, which stores no setup.
    """
    if init is None:
        raise UserError("init is not set: network, features or voxel size are to be those of a checkpoint; pass init=")
    from ceco3d.models.pretrained import weights_path

    value: Any = _setup(weights_path(init if isinstance(init, str) else str(init)))
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is None:
        raise UserError(f"init={init}: does not say its {key}; pass model=, features= and voxel_size= of its training")
    return ListConfig(value) if isinstance(value, list) else value


@lru_cache(maxsize=4)
def _setup(path: Path) -> Mapping[str, Any]:
    from ceco3d.models.checkpoint_file import read_file  # after the arguments are checked: it imports torch

    setup = read_file(path).get("setup")
    return setup if isinstance(setup, Mapping) else {}
