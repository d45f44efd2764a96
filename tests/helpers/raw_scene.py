"""Small raw scenes in the layout of ScanNet, for tests."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

# id, raw name, nyu40id of some real rows; "object" twice and pipe/pipes with one id as in the real table.
TABLE = (
    (1, "wall", 1),
    (2, "chair", 5),
    (3, "floor", 2),
    (5, "door", 8),
    (1163, "object", 40),
    (4, "table", 7),
    (8, "shelf", 15),
    (6, "couch", 6),
    (99, "wardrobe", 39),
    (1177, "wardrobe cabinet", 39),
    (107, "pipe", 40),
    (107, "pipes", 38),
    (188, "shower door", 8),
    (188, "shower doors", 38),
    (1163, "object", 40),
)
TABLE_NAME = "scannetv2-labels.combined.tsv"
GROUPS = (("wall", range(0, 4)), ("floor", range(4, 9)), ("chair", range(9, 11)))

Groups = Sequence[tuple[str, Sequence[int]]]


def grid(width: int = 4, height: int = 3, step: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (width * height, 3) float32 of a bumpy sheet, row by row, and its triangles (F, 3), facing up."""
    y, x = np.divmod(np.arange(width * height), width)
    vertices = np.stack([x * step, y * step, 0.05 * np.sin(3.0 * x + 5.0 * y)], axis=1).astype(np.float32)
    first = (np.arange(height - 1)[:, None] * width + np.arange(width - 1)).reshape(-1, 1)
    faces = np.concatenate([first + np.array([0, 1, width]), first + np.array([1, width + 1, width])])
    return vertices, faces


def colors_of(count: int) -> np.ndarray:
    """(count, 3) uint8, all rows different."""
    return np.stack([np.arange(count) % 256, np.arange(count) // 256, np.full(count, 77)], axis=1).astype(np.uint8)


def ply_bytes(vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray | None = None) -> bytes:
    """A binary PLY with exactly the header of ``<scene>_vh_clean_2.ply``."""
    colors = colors_of(len(vertices)) if colors is None else colors
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment VCGLIB generated\n"
        f"element vertex {len(vertices)}\n"
        + "".join(f"property float {name}\n" for name in "xyz")
        + "".join(f"property uchar {name}\n" for name in ("red", "green", "blue", "alpha"))
        + f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    vertex = np.zeros(len(vertices), [("xyz", "<f4", 3), ("rgb", "u1", 3), ("alpha", "u1")])
    vertex["xyz"], vertex["rgb"], vertex["alpha"] = vertices, colors, 255
    face = np.zeros(len(faces), [("count", "u1"), ("index", "<i4", 3)])
    face["count"], face["index"] = 3, faces
    return header.encode() + vertex.tobytes() + face.tobytes()


def seg_index(vertex: int, count: int) -> int:
    """Segment id of a vertex of a scene written by ``write_raw_scene``: one segment a vertex, never its own number."""
    return 3 * (count - vertex) + 7


def write_raw_scene(
    scans: Path,
    name: str = "scene0000_00",
    groups: Groups | None = GROUPS,
    size: tuple[int, int] = (4, 3),
    info: str = "numColorFrames = 1\nsceneType = Office\n",
) -> Path:
    """Write the scene folder ``scans/name``: a grid of ``size`` with objects given as (raw name, vertices).

    ``groups=None`` makes a test scene: mesh and ``<name>.txt`` only.
    """
    folder = scans / name
    folder.mkdir(parents=True)
    vertices, faces = grid(*size)
    count = len(vertices)
    (folder / f"{name}_vh_clean_2.ply").write_bytes(ply_bytes(vertices, faces))
    (folder / f"{name}.txt").write_text(info)
    if groups is not None:
        segs = {"params": {"kThresh": "0.0001"}, "sceneId": name}
        segs["segIndices"] = [seg_index(vertex, count) for vertex in range(count)]
        (folder / f"{name}_vh_clean_2.0.010000.segs.json").write_text(json.dumps(segs))
        write_groups(folder, [(label, [seg_index(vertex, count) for vertex in vertices]) for label, vertices in groups])
    return folder


def write_groups(folder: Path, groups: Groups) -> None:
    """Write ``<scene>.aggregation.json`` with objects given as (raw name, segment ids)."""
    name = folder.name
    seg_groups = [
        {"id": i, "objectId": i, "segments": list(segments), "label": label}
        for i, (label, segments) in enumerate(groups)
    ]
    aggregation = {
        "sceneId": f"scannet.{name}",
        "appId": "Aggregator.v2",
        "segGroups": seg_groups,
        "segmentsFile": f"scannet.{name}_vh_clean_2.0.010000.segs.json",
    }
    (folder / f"{name}.aggregation.json").write_text(json.dumps(aggregation))


def write_table(raw: Path, newline: str = "\n", rows: Sequence[tuple[int, str, int]] = TABLE) -> Path:
    """Write the label table with the line ends of one of its copies in the wild."""
    lines = ["id\traw_category\tcategory\tcount\tnyu40id\teigen13id"]
    lines += [f"{raw_id}\t{name}\t{name} \t1\t{nyu40}\t" for raw_id, name, nyu40 in rows]
    raw.mkdir(parents=True, exist_ok=True)
    (raw / TABLE_NAME).write_bytes(newline.join(lines).encode())
    return raw / TABLE_NAME


def write_raw_root(raw: Path, train: int = 2, val: int = 1, test: int = 1, size: tuple[int, int] = (4, 3)) -> Path:
    """A raw root with the given numbers of scenes, label table and split lists."""
    write_table(raw, "\r\r\n")
    numbers = iter(range(train + val + test))
    for split, count in (("train", train), ("val", val), ("test", test)):
        names = [f"scene{next(numbers):04d}_00" for _ in range(count)]
        for name in names:
            groups = None if split == "test" else GROUPS
            write_raw_scene(raw / ("scans_test" if split == "test" else "scans"), name, groups, size)
        if names:
            (raw / f"scannetv2_{split}.txt").write_text("\n".join(names) + "\n")
    return raw
