"""Load network weights from files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor, nn

from ceco3d.models.minkowski04 import looks_like_v04, reorder_v04
from ceco3d.utils.errors import UserError
from ceco3d.utils.pickles import read_torch
from ceco3d.utils.untrusted import RefusedError, reading


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file or of a PyTorch file (of its ``model`` or ``state_dict`` entry if nested).

    Never runs code from the file. UserError when the file is missing, damaged or holds no tensors.
    """
    content = read_file(path)
    for key in ("model", "state_dict"):
        if isinstance(content.get(key), Mapping):
            content = content[key]
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise UserError(f"{path}: no weights in this file; expected a checkpoint of ceco3d.train or a state_dict")
    return tensors


class DamagedError(UserError):
    """A file that is damaged or is not a checkpoint."""


def read_file(path: Path) -> dict[str, Any]:
    """The content of a checkpoint file. Runs no code from it and verifies its checksums.

    DamagedError when it cannot be read, UserError when there is no such file.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint; pass checkpoint=RUN_DIR/checkpoints/best.pt")
    try:
        with reading():
            content = load_file(path) if path.suffix == ".safetensors" else read_torch(path)
    except RefusedError as error:
        raise DamagedError(f"{path}: refused ({error})") from error
    except (OSError, ValueError) as error:
        raise DamagedError(f"{path}: not a readable checkpoint ({error})") from error
    if not isinstance(content, Mapping):
        raise DamagedError(f"{path}: holds a {type(content).__name__}, not a checkpoint")
    return dict(content)


def load_weights(model: nn.Module, path: str | Path, leave_out: Sequence[str] = (), minkowski: str = "auto") -> None:
    """Load the weights in ``path`` into ``model``.

    leave_out  name prefixes to skip; those parameters keep their initial values, e.g. ``["final"]``
    minkowski  the MinkowskiEngine that trained the weights: "0.5" (ceco3d too), "0.4" (see ``reorder_v04``), or "auto":
               0.4 if ``looks_like_v04``, else 0.5

    Drops the prefixes that wrappers add to names (``model.``, ``module.``, ``encoder.``). UserError when names or
    shapes differ otherwise: it lists them, and the model stays unchanged.
    """
    if minkowski not in ("auto", "0.4", "0.5"):
        raise UserError(f"minkowski={minkowski}: choose auto, 0.4 or 0.5")
    expected = model.state_dict()
    state = strip_prefixes(read_state_dict(Path(path)), expected)
    state = {name: value for name, value in state.items() if not name.startswith(tuple(leave_out))}
    expected = {name: value for name, value in expected.items() if not name.startswith(tuple(leave_out))}
    reshaped = sorted(k for k in expected.keys() & state.keys() if expected[k].shape != state[k].shape)
    problems = {
        "missing": sorted(expected.keys() - state.keys()),
        "unexpected": sorted(state.keys() - expected.keys()),
        "of another shape": [f"{k} {tuple(state[k].shape)} instead of {tuple(expected[k].shape)}" for k in reshaped],
    }
    found = [f"{len(names)} {kind} ({_listed(names)})" for kind, names in problems.items() if names]
    if found:
        stem = ", with its features and model.stem_kernel" if "conv0p1s1.kernel" in reshaped else ""
        raise UserError(
            f"{path}: weights of another model: {'; '.join(found)}; choose the model that was trained{stem}, or list "
            "name prefixes to leave out (init_leave_out)"
        )
    if minkowski == "0.4" or (minkowski == "auto" and looks_like_v04(state)):
        state = reorder_v04(state)
    model.load_state_dict(state, strict=False)


def strip_prefixes(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` without the wrapper prefix that hides most of the ``expected`` names; other names stay unchanged."""
    found = {match.group() for name in state if (match := _WRAPPERS.match(name))}
    candidates = {"", *(prefix[:end] for prefix in found for end in _ends(prefix))}

    def known(prefix: str) -> int:
        return sum(prefix + name in state for name in expected)

    best = max(sorted(candidates, key=len), key=known)
    return {name.removeprefix(best): value for name, value in state.items()}


_WRAPPERS = re.compile(r"((model|module|encoder)\.)+")


def _ends(prefix: str) -> list[int]:
    return [index + 1 for index, letter in enumerate(prefix) if letter == "."]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if names[5:] else "")
