"""Weights in one safetensors file with their setup, and the file of them that comes with the package.

Such a file holds the tensors of the network, convolutions in bfloat16, and in its metadata, as JSON, what a checkpoint
calls its setup (``load_trained``) with two more entries: ``temperature``, which divides the logits before the softmax,
and ``trained_on``, a text. ``scripts/ship_weights.py`` writes one from a checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from safetensors.torch import save
from torch import Tensor

from ceco3d.models.checkpoint_file import METADATA
from ceco3d.models.matching import OPTIONAL
from ceco3d.utils.atomic import write_bytes
from ceco3d.utils.errors import UserError
from ceco3d.utils.settings import FilePath
from ceco3d.utils.untrusted import one_line

PRETRAINED = "pretrained"  # stands for SHIPPED where a checkpoint is named
SHIPPED = Path(__file__).with_name("pretrained.safetensors")


def weights_path(name: str | Path) -> Path:
    """The file that ``name`` stands for: ``pretrained`` is SHIPPED, anything else a path.

    UserError for ``pretrained`` if the package came without that file. A Path is always a path.
    """
    if name != PRETRAINED:
        return Path(name).expanduser()
    if not SHIPPED.is_file():
        raise UserError(f"{PRETRAINED}: this copy of ceco3d has no {SHIPPED}; name a checkpoint instead")
    return SHIPPED


def weights_name(path: Path | str) -> str:
    """What to call the weights in ``path``: ``pretrained`` if they come with the package."""
    return PRETRAINED if Path(path) == SHIPPED else str(path)


def _as_weights(value: Any) -> Any:
    try:
        return weights_path(value) if value == PRETRAINED else value
    except UserError as error:
        raise ValueError(str(error)) from None


# A setting that names a checkpoint.
WeightsPath = Annotated[FilePath, BeforeValidator(_as_weights)]


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else [value]


# One that names a checkpoint, or several in a list.
WeightsPaths = Annotated[Sequence[WeightsPath], Field(min_length=1), BeforeValidator(_as_list)]


def save_weights(path: Path, state: Mapping[str, Tensor], setup: Mapping[str, Any]) -> None:
    """Write the ``state_dict`` of a network and its ``setup``; batch norms and biases stay in float32."""
    kept = {name: value for name, value in state.items() if not name.endswith(OPTIONAL)}
    packed = {name: (value.bfloat16() if value.ndim > 2 else value).contiguous() for name, value in kept.items()}
    write_bytes(path, save(packed, {METADATA: json.dumps(setup, sort_keys=True)}))


def describe_setup(setup: Mapping[str, Any]) -> str:
    """One line on a network: its name, voxel size, features, and what it was trained on if the setup says so."""
    model = setup["model"]
    name = one_line(model.get("name") or str(model.get("_target_", "network")).rpartition(".")[2], 60)
    text = f"{name}, voxels of {setup['voxel_size']:g} m, features {', '.join(map(one_line, setup['features']))}"
    return text + (f", trained on {one_line(setup['trained_on'], 300)}" if setup.get("trained_on") else "")


def is_temperature(value: object) -> bool:
    """Whether logits can be divided by ``value``."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.01 <= value <= 100
