#!/usr/bin/env python3
"""Make a safe file of a pickle of text anchors, such as LGround's CLIP embeddings, without running code from it.

    python scripts/convert_anchors.py IN.pkl OUT.safetensors [--space scannet200] [--variant 0]

The pickle holds an array or tensor (K, d) in the order of training indices, K such vectors in a list, or a dict from
class name to vector. With several embeddings per class, (K, A, d) or (A, d) per name, VARIANT picks one of the A
(LGround puts the plain class name first). Anything but arrays, tensors and plain containers is refused.
"""

from __future__ import annotations

import argparse
import io
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ceco3d.errors import UserError
from ceco3d.scenes.anchors import load_anchors, save_anchors
from ceco3d.scenes.labels import LabelSpace, label_space


class _Dtype:
    """Stands in for numpy.dtype, whose own unpickling trusts the file: numbers only, and their byte order."""

    def __init__(self, code: str, *_: Any) -> None:
        self.value = np.dtype(code)
        if self.value.kind not in "fiub":
            raise pickle.UnpicklingError(f"an array of {self.value}")

    def __setstate__(self, state: tuple) -> None:
        if state[1] in ("<", ">"):
            self.value = self.value.newbyteorder(state[1])


class _Array:
    """Stands in for numpy.ndarray, for the same reason."""

    def __init__(self, *_: Any) -> None:
        self.value = np.empty(0)

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        data = data.encode("latin1") if isinstance(data, str) else data
        self.value = np.frombuffer(data, dtype.value).reshape(shape, order="F" if fortran else "C")

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.value)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.value.astype(dtype or self.value.dtype)


def _frombuffer(data: Any, dtype: _Dtype, shape: tuple, order: str) -> np.ndarray:
    return np.frombuffer(data, dtype.value).reshape(shape, order=order)


def _scalar(dtype: _Dtype, data: bytes) -> np.generic:
    return np.frombuffer(data, dtype.value)[0]


def _encode(text: str, encoding: str) -> bytes:
    return text.encode({"latin1": "latin1"}[encoding])


def _storage(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), "cpu", weights_only=True)


# What pickles of arrays and tensors call, and what is called instead. numpy renamed its core in version 2.
_ALLOWED = {
    "collections.OrderedDict": OrderedDict,
    "numpy.ndarray": _Array,
    "numpy.dtype": _Dtype,
    "numpy.core.multiarray._reconstruct": _Array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _frombuffer,
    "_codecs.encode": _encode,
    "torch._utils._rebuild_tensor_v2": torch._utils._rebuild_tensor_v2,
    "torch.storage._load_from_bytes": _storage,
}


class SafeUnpickler(pickle.Unpickler):
    """Builds arrays, tensors, numbers, text and plain containers; UnpicklingError for anything else."""

    def find_class(self, module: str, name: str) -> Any:
        found = _ALLOWED.get(f"{module}.{name}".replace("numpy._core.", "numpy.core."))
        if found is None:
            raise pickle.UnpicklingError(f"it would call {module}.{name}")
        return found


def read_pickle(path: Path) -> Any:
    """The content of a pickle or of a file of torch.save; UserError when it is damaged or holds more than numbers."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        if zipfile.is_zipfile(path):
            return torch.load(path, "cpu", weights_only=True)
        with path.open("rb") as file:
            return SafeUnpickler(file, encoding="latin1").load()
    except Exception as error:  # damaged pickles raise nearly anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: refused, damaged or holds more than arrays ({reason})") from error


def table(content: Any, space: LabelSpace, variant: int) -> Tensor:
    """(K, d) float32 anchors by training index out of what a pickle holds; UserError when it does not fit ``space``."""
    if isinstance(content, Mapping):
        missing = [name for name in space.names if name not in content]
        if missing:
            raise UserError(f"no embedding of {len(missing)} of the {len(space)} classes ({', '.join(missing[:5])})")
        content = [content[name] for name in space.names]
    try:
        rows = [torch.tensor(np.asarray(row, np.float32)) for row in content]
        anchors = torch.stack(rows)
        return (anchors[:, variant] if anchors.ndim == 3 else anchors).clone()
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise UserError(f"its content is not a table of one vector per class ({error})") from error


def main(arguments: list[str]) -> None:
    """Convert one file; exit code 2 with one line when that is not possible."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="IN.pkl")
    parser.add_argument("out", type=Path, metavar="OUT.safetensors")
    parser.add_argument("--space", default="scannet200", help="scannet200 or scannet20")
    parser.add_argument("--variant", type=int, default=0, help="which of several embeddings per class")
    given = parser.parse_args(arguments)
    try:
        if given.out.suffix != ".safetensors":
            raise UserError(f"{given.out}: call it .safetensors")
        space = label_space(given.space)
        anchors = table(read_pickle(given.source), space, given.variant)
        if len(anchors) != len(space):
            raise UserError(f"{given.source}: {len(anchors)} rows, but {space.name} has {len(space)} classes")
        save_anchors(given.out, anchors, space.names)
        load_anchors(given.out, space)  # the same checks as at its use
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{given.out}: {len(anchors)} classes, {anchors.shape[1]} dimensions")


if __name__ == "__main__":
    main(sys.argv[1:])
