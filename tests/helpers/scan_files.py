"""Scan files as the world writes them, byte by byte."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TYPES = {"f4": "float", "f8": "double", "u1": "uchar", "i1": "char", "u2": "ushort", "i2": "short", "i4": "int"}
TYPES |= {"u4": "uint", "i8": "int64", "u8": "uint64", "f2": "half"}


def room(step: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, 3) float32 meters, (N, 3) uint8 and (F, 3) int32 of a floor and a wall."""
    coord, color, faces = [], [], []
    start = 0
    for across, shade in ((2, (150, 110, 70)), (1, (200, 190, 170))):
        steps = np.arange(0, 2 + step / 2, step)
        grid = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
        plane = np.insert(grid, across, 0, axis=1)
        index = np.arange(len(plane)).reshape(len(steps), -1) + start
        quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], -1).reshape(-1, 4)
        faces += [quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]
        coord.append(plane)
        color.append(np.array(shade) + np.arange(len(plane))[:, None] % 50)
        start += len(plane)
    return np.concatenate(coord).astype("f4"), np.concatenate(color).astype("u1"), np.concatenate(faces).astype("i4")


def records(coord: np.ndarray, color: np.ndarray | None = None, **columns: np.ndarray | int) -> np.ndarray:
    """A structured array with x, y, z, the colors and further columns."""
    table = dict(zip("xyz", coord.T, strict=True))
    if color is not None:
        table |= dict(zip(("red", "green", "blue"), color.T, strict=True))
    table |= {name: np.broadcast_to(np.asarray(column), len(coord)) for name, column in columns.items()}
    rows = np.empty(len(coord), [(name, column.dtype) for name, column in table.items()])
    for name, column in table.items():
        rows[name] = column
    return rows


def vertex_lines(rows: np.ndarray, renamed: dict[str, str] | None = None) -> list[str]:
    """The header lines of element vertex."""
    names = renamed or {}
    lines = [f"property {TYPES[rows.dtype[name].str[1:]]} {names.get(name, name)}" for name in rows.dtype.names]
    return [f"element vertex {len(rows)}", *lines]


def face_lines(count: int, kind: str = "list uchar int", name: str = "vertex_indices") -> list[str]:
    """The header lines of element face."""
    return [f"element face {count}", f"property {kind} {name}"]


def face_bytes(faces: Sequence[Sequence[int]], count_type: str = "<u1", order: str = "<") -> bytes:
    """Rows of faces, also of different lengths."""
    length = np.dtype(count_type)
    return b"".join(length.type(len(f)).tobytes() + np.array(f, order + "i4").tobytes() for f in faces)


def ply(
    lines: Sequence[str | bytes],
    data: bytes,
    kind: str = "binary_little_endian",
    newline: bytes = b"\n",
    end: bytes | None = None,
) -> bytes:
    """A PLY with these header lines; ``end`` is the line end behind end_header."""
    header = ["ply", f"format {kind} 1.0", *lines, "end_header"]
    encoded = [line if isinstance(line, bytes) else line.encode() for line in header]
    return newline.join(encoded) + (newline if end is None else end) + data


def text_rows(rows: Sequence[Sequence[float]] | np.ndarray, separator: str = " ", newline: str = "\n") -> bytes:
    """Rows of numbers."""
    plain = [row.item() if isinstance(row, np.void) else row for row in rows]
    return "".join(separator.join(str(np.asarray(v)) for v in row) + newline for row in plain).encode()


def pcd(
    fields: str,
    sizes: str,
    types: str,
    data: bytes,
    count: int,
    kind: str = "binary",
    counts: str | None = None,
    version: str = "0.7",
    extra: Sequence[str] = ("VIEWPOINT 0 0 0 1 0 0 0",),
    newline: str = "\n",
) -> bytes:
    """A PCD file."""
    lines = ["# .PCD v.7", f"VERSION {version}", f"FIELDS {fields}", f"SIZE {sizes}", f"TYPE {types}"]
    lines += [] if counts is None else [f"COUNT {counts}"]
    lines += [f"WIDTH {count}", "HEIGHT 1", *extra, f"POINTS {count}", f"DATA {kind}"]
    return newline.join([*lines, ""]).encode() + data
