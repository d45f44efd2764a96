"""Read checkpoint files: of PyTorch or safetensors, whichever the content is."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

from ceco3d.utils.errors import UserError
from ceco3d.utils.file_kind import CUT, is_safetensors
from ceco3d.utils.torch_file import read_torch_file
from ceco3d.utils.untrusted import RefusedError, one_line, reading

METADATA = "ceco3d"  # in the metadata of a safetensors file: the setup of its network as JSON, see `models.pretrained`

logger = logging.getLogger(__name__)


class DamagedError(UserError):
    """A file that is damaged or is not a checkpoint."""


def read_file(path: Path) -> dict[str, Any]:
    """The tensors and plain values in a checkpoint file, see ``read_checkpoint``."""
    return read_checkpoint(path)[0]


def read_checkpoint(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The tensors and plain values in a checkpoint file, and the names of the classes whose objects are left out.

    Runs no code from the file and verifies its checksums. DamagedError when it cannot be read, UserError when there is
    no such file.
    """
    if path.is_dir():
        raise UserError(f"{path}: a folder; pass a checkpoint in it, such as RUN_DIR/checkpoints/best.pt")
    if not path.exists():
        raise UserError(f"{path}: no such checkpoint; pass checkpoint=RUN_DIR/checkpoints/best.pt")
    try:
        content, skipped = _read(path)
    except RefusedError as error:
        raise DamagedError(f"{path}: {error}") from error
    except (OSError, ValueError) as error:
        raise DamagedError(f"{path}: not a readable checkpoint ({error}); download or copy it again") from error
    if not isinstance(content, Mapping):
        held = f"objects of {list_names(skipped)}" if skipped else f"a {type(content).__name__}"
        raise DamagedError(f"{path}: holds {held}, not a checkpoint; save the state_dict of the model with torch.save")
    if skipped:
        logger.info(f"{path}: left out what is neither tensor nor plain value ({list_names(skipped)})")
    return {str(name): value for name, value in content.items()}, skipped


def _read(path: Path) -> tuple[Any, list[str]]:
    """The content, and the classes of what was left out. ValueError, OSError if it cannot be read."""
    with reading():
        if not is_safetensors(path):
            found = read_torch_file(path)
            return found.content, sorted(found.skipped)
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if header + 8 > path.stat().st_size:
            raise RefusedError(CUT)
        try:
            return _read_safetensors(path), []
        except Exception as error:
            cut = "MetadataIncompleteBuffer" in str(error) or "not fully covered" in str(error)
            if cut:
                raise RefusedError(CUT) from error
            raise ValueError(f"a damaged safetensors file: {one_line(error, 80)}") from error


def _read_safetensors(path: Path) -> dict[str, Any]:
    """The tensors; below ``model`` and in float32, beside ``setup``, if the metadata has a setup."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in list(file.keys())}
        stored = (file.metadata() or {}).get(METADATA)
    if stored is None:
        return tensors
    wide = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    return {"setup": json.loads(stored), "model": wide}


def list_names(names: list[str], count: int = 5) -> str:
    """The first names, safe to print."""
    return ", ".join(one_line(name, 60) for name in names[:count]) + (", ..." if names[count:] else "")
