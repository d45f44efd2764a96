"""Loading network weights from files."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ceco3d.errors import UserError


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file or of a PyTorch file (its ``model`` or ``state_dict`` entry if nested).

    Never runs code from the file. UserError when it is missing, damaged or holds anything but tensors.
    """
    content = read_file(path)
    for key in ("model", "state_dict"):
        if isinstance(content.get(key), Mapping):
            content = content[key]
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise UserError(f"{path}: no weights in this file; expected a checkpoint of ceco3d.train or a state_dict")
    return tensors


def read_file(path: Path) -> dict:
    """The content of a checkpoint file, loaded without running code; UserError when that is not possible."""
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint; pass checkpoint=RUN_DIR/checkpoints/best.pt")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(f"{path}: refused, the file is damaged or holds objects other than tensors") from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, SafetensorError) as error:
        reason = (str(error).splitlines() or ["the file is empty"])[0]
        raise UserError(f"{path}: not a readable checkpoint ({reason})") from error
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: holds a {type(content).__name__}, not a checkpoint")
    return dict(content)


def load_weights(model: nn.Module, path: str | Path, leave_out: Sequence[str] = ()) -> None:
    """Load the weights in ``path`` into ``model``.

    leave_out  name prefixes that are not loaded and keep their initial values, e.g. ``["final"]``

    UserError when names or shapes differ otherwise: it names the first of them, and the model is not changed.
    """
    state = read_state_dict(Path(path))
    state = {name: value for name, value in state.items() if not name.startswith(tuple(leave_out))}
    expected = {k: v for k, v in model.state_dict().items() if not k.startswith(tuple(leave_out))}
    problems = {
        "missing": sorted(expected.keys() - state.keys()),
        "unexpected": sorted(state.keys() - expected.keys()),
        "of another shape": sorted(k for k in expected.keys() & state.keys() if expected[k].shape != state[k].shape),
    }
    found = [
        f"{len(names)} {kind} ({', '.join(names[:3])}{', ...' if names[3:] else ''})"
        for kind, names in problems.items()
        if names
    ]
    if found:
        raise UserError(f"{path}: weights of another model: {'; '.join(found)}; choose the model that was trained")
    model.load_state_dict(state, strict=False)
