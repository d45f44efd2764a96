"""Tiny public data sets, in the layouts in which they are downloaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.helpers.scan_files import room

OBJECTS = ("ceiling_1", "floor_1", "wall_1", "chair_1", "chair_2", "stairs_1")


def s3dis(raw: Path, areas: tuple[int, ...] = (1, 5), broken: bytes | None = None) -> Path:
    """A room an area, of six objects of 400 points; ``broken`` replaces a line of Area_5's ceiling."""
    rng = np.random.default_rng(0)
    for area in areas:
        folder = raw / f"Area_{area}" / "office_1" / "Annotations"
        folder.mkdir(parents=True)
        for k, name in enumerate(OBJECTS):
            points = np.round(rng.uniform(0, 4, (400, 3)) + np.array([0, 0, k / 2]), 3)
            lines = [f"{x:.3f} {y:.3f} {z:.3f} {k * 40}.000000 100 7".encode() for x, y, z in points.tolist()]
            if broken is not None and area == 5 and name == "ceiling_1":
                lines[17] = broken
            (folder / f"{name}.txt").write_bytes(b"\n".join(lines) + b"\n")
    (raw / f"Area_{areas[0]}" / ".DS_Store").write_bytes(b"\0\0")
    (raw / f"Area_{areas[0]}" / f"Area_{areas[0]}_alignmentAngle.txt").write_text("office_1 0\n")
    return raw


def semantickitti(raw: Path, sweeps: int = 2, labels: tuple[int, ...] = (10, 40, 252, 99)) -> Path:
    """Sequences 00 (train), 08 (val) and 11 (test, without labels)."""
    rng = np.random.default_rng(1)
    for sequence in ("00", "08", "11"):
        folder = raw / "sequences" / sequence
        (folder / "velodyne").mkdir(parents=True)
        (folder / "labels").mkdir()
        for k in range(sweeps):
            points = rng.uniform(-20, 20, (3000, 4)).astype("<f4")
            points[:, 2] = rng.uniform(-2, 1, 3000)
            points[:, 3] = rng.uniform(0, 0.99, 3000)
            points.tofile(folder / "velodyne" / f"{k:06}.bin")
            if sequence != "11":
                which = rng.integers(0, len(labels), 3000)
                packed = np.array(labels)[which] | (which % 3) << 16
                packed.astype("<u4").tofile(folder / "labels" / f"{k:06}.label")
    return raw


def mesh(path: Path, color: tuple[int, int, int] | None = None) -> int:
    """Write the mesh of a small room, and give its number of vertices."""
    coord, colors, faces = room(0.25)
    if color is not None:
        colors = np.broadcast_to(np.array(color, "u1"), colors.shape)
    rows = np.empty(len(coord), [(axis, "<f8") for axis in "xyz"] + [(name, "u1") for name in ("red", "green", "blue")])
    for k, axis in enumerate("xyz"):
        rows[axis] = coord[:, k]
    for k, name in enumerate(("red", "green", "blue")):
        rows[name] = colors[:, k]
    triangles = np.empty(len(faces), [("n", "u1"), ("v", "<i4", 3)])
    triangles["n"], triangles["v"] = 3, faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(rows)}",
        *(f"property double {axis}" for axis in "xyz"),
        *(f"property uchar {name}" for name in ("red", "green", "blue")),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join(header).encode() + b"\n" + rows.tobytes() + triangles.tobytes())
    return len(rows)


def labelmaker(raw: Path) -> Path:
    """A scene of Training with true colors beside, one of Validation without."""
    for folder, name in (("Training", "42897986"), ("Validation", "41069021")):
        scene = raw / folder / name
        count = mesh(scene / "point_lifted_mesh.ply", (174, 199, 232))
        labels = np.array([0, 1, 6, 132])[np.arange(count) % 4]  # unknown, wall, floor, vase
        (scene / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    mesh(raw / "Training" / "42897986" / "mesh.ply")
    return raw


def scannetpp(raw: Path) -> Path:
    """A scene of each split with three groups, of which two share vertices and one has a label without a class."""
    scenes = {"nvs_sem_train": "036bce3393", "nvs_sem_val": "7b6477cb95", "sem_test": "ca0e09014e"}
    (raw / "splits").mkdir(parents=True)
    for split, name in scenes.items():
        (raw / "splits" / f"{split}.txt").write_text(f"{name}\n")
        folder = raw / "data" / name / "scans"
        count = mesh(folder / "mesh_aligned_0.05.ply")
        if split == "sem_test":
            continue
        segment = (np.arange(count) // 10).tolist()
        groups = [
            {"id": 1, "objectId": 11, "label": "wall", "segments": list(range(10))},
            {"id": 2, "objectId": 12, "label": "office desk", "segments": [3, 4]},
            {"id": 3, "objectId": 13, "label": "REMOVE", "segments": [4]},
        ]
        (folder / "segments.json").write_text(json.dumps({"sceneId": name, "segIndices": segment}))
        (folder / "segments_anno.json").write_text(json.dumps({"sceneId": name, "segGroups": groups}))
    metadata = raw / "metadata" / "semantic_benchmark"
    metadata.mkdir(parents=True)
    (metadata / "top100.txt").write_text("wall\nceiling\ntable\n")
    (metadata / "map_benchmark.csv").write_text(
        "class,count,semantic_map_to,instance_map_to\nwall,10,,\noffice desk,5,table,table\nREMOVE,9,None,None\n"
    )
    return raw
