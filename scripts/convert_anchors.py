#!/usr/bin/env python3
"""Convert a pickle of text anchors, such as LGround's CLIP embeddings, to safetensors without running its code.

    python scripts/convert_anchors.py IN.pkl OUT.safetensors [--space scannet200] [--variant 0]

The pickle holds a (K, d) array or tensor in the order of training indices, a list of K vectors, or a dict from class
name to vector. With several embeddings per class, (K, A, d) or (A, d) per name, --variant selects one of the A (LGround
puts the plain class name first). Rejects anything but arrays, tensors and plain containers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ceco3d.cli.endings import fail
from ceco3d.data.labels import LabelSpace, label_space
from ceco3d.pretraining.anchors import load_anchors, save_anchors
from ceco3d.utils.errors import UserError
from ceco3d.utils.pickles import read_pickle
from ceco3d.utils.untrusted import one_line


def read(path: Path) -> Any:
    """The content of a pickle or torch.save file; UserError if it is damaged or holds more than numbers."""
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        return read_pickle(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: refused, damaged or holds more than arrays ({error})") from error


def table(path: Path, space: LabelSpace, variant: int) -> Tensor:
    """(K, d) float32 anchors by training index from a pickle; UserError if its content does not fit ``space``."""
    content = read(path)
    if isinstance(content, Mapping):
        missing = [name for name in space.names if name not in content]
        if missing:
            listed = ", ".join(missing[:5])
            raise UserError(f"{path}: no embedding of {len(missing)} of the {len(space)} classes ({listed})")
        content = [content[name] for name in space.names]
    try:
        rows = [torch.tensor(_vector(row)) for row in content]
        anchors = torch.stack(rows)
        return (anchors[:, variant] if anchors.ndim == 3 else anchors).clone()
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise UserError(f"{path}: its content is not a table of one vector per class ({one_line(error)})") from error


def _vector(row: Any) -> np.ndarray:
    return np.asarray([float(number) for number in row] if isinstance(row, list | tuple) else row, np.float32)


def main(arguments: list[str]) -> None:
    """Convert one file; print one line and exit with code 2 if that fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="IN.pkl")
    parser.add_argument("out", type=Path, metavar="OUT.safetensors")
    parser.add_argument("--space", default="scannet200", help="scannet200 or scannet20")
    parser.add_argument("--variant", type=int, default=0, help="which of several embeddings per class")
    given = parser.parse_args(arguments)
    try:
        if given.out.suffix != ".safetensors":
            raise UserError(f"{given.out}: the name must end in .safetensors")
        space = label_space(given.space)
        anchors = table(given.source, space, given.variant)
        if len(anchors) != len(space):
            raise UserError(f"{given.source}: {len(anchors)} rows, but {space.name} has {len(space)} classes")
        save_anchors(given.out, anchors, space.names)
        load_anchors(given.out, space)  # the checks that training makes
    except UserError as error:
        fail(error)
    print(f"{given.out}: {len(anchors)} classes, {anchors.shape[1]} dimensions")


if __name__ == "__main__":
    main(sys.argv[1:])
