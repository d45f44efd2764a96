"""One scan as ScanNet's raw files: mesh, labeled mesh, segments, aggregation and metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ceco3d.data.pointclouds.ply_write import write_ply
from ceco3d.synthetic.oversegmentation import oversegment
from ceco3d.synthetic.raw_categories import NYU40_COLORS, label_table
from ceco3d.synthetic.scanner import ScanMesh
from ceco3d.synthetic.shapes.primitives import rotate_z

FORGOTTEN = 0.04  # share of segments that the annotators miss; never the largest one of an object
COLOR_NAMES = ("red", "green", "blue")
VERTEX_FIELDS = [*((axis, "<f4") for axis in "xyz"), *((name, "u1") for name in COLOR_NAMES), ("alpha", "u1")]


@dataclass(frozen=True)
class Annotation:
    """What annotators write down.

    raw_names   of every object of the room, "" = not annotated
    scene_type  ``sceneType`` in the metadata
    rng         draws the segments that annotators miss
    """

    raw_names: list[str]
    scene_type: str
    rng: np.random.Generator


def write_scan(folder: Path, mesh: ScanMesh, angle: float, annotation: Annotation, labeled: bool) -> None:
    """Write the raw files of one scan to the new ``folder``.

    angle    rotation of the raw scan about z, radians
    labeled  False (test scans): mesh and metadata only
    """
    folder.mkdir(parents=True)
    name = folder.name
    coord = rotate_z(mesh.coord, angle)
    low = coord.min(0)
    coord = (coord - low).astype(np.float32)
    vertex = np.zeros(len(coord), VERTEX_FIELDS)
    for k, axis in enumerate("xyz"):
        vertex[axis] = coord[:, k]
    for k, channel in enumerate(COLOR_NAMES):
        vertex[channel] = mesh.color[:, k]
    vertex["alpha"] = 255
    _write_mesh(folder / f"{name}_vh_clean_2.ply", vertex, mesh.faces, "VCGLIB generated")
    align = _alignment(angle, low) if labeled else None
    (folder / f"{name}.txt").write_text(_metadata(align, annotation.scene_type, frames=len(coord) // 40))
    if not labeled:
        return
    segment = oversegment(mesh)
    groups = _group_segments(segment, mesh.instance, annotation)
    segs_name = f"{name}_vh_clean_2.0.010000.segs.json"
    segs = {"params": {"kThresh": 0.01, "segMinVerts": 20}, "sceneId": name, "segIndices": segment.tolist()}
    _write_json(folder / segs_name, segs)
    aggregation = {"sceneId": f"scannet.{name}", "appId": "Aggregator.v2", "segGroups": groups}
    _write_json(folder / f"{name}.aggregation.json", {**aggregation, "segmentsFile": f"scannet.{segs_name}"})
    _write_labeled_mesh(folder / f"{name}_vh_clean_2.labels.ply", vertex, mesh.faces, segment, groups)


def _group_segments(segment: np.ndarray, instance: np.ndarray, annotation: Annotation) -> list[dict[str, Any]]:
    """``segGroups`` of the aggregation file: every annotated object with its segments, a few of them missed."""
    groups: list[dict[str, Any]] = []
    ids, first, size = np.unique(segment, return_index=True, return_counts=True)
    for index, raw in enumerate(annotation.raw_names):
        own = instance[first] == index
        if raw and own.any():
            keep = (annotation.rng.random(own.sum()) > FORGOTTEN) | (size[own] == size[own].max())
            number = len(groups)
            groups.append({"id": number, "objectId": number, "segments": ids[own][keep].tolist(), "label": raw})
    return groups


def _write_labeled_mesh(
    path: Path, vertex: np.ndarray, faces: np.ndarray, segment: np.ndarray, groups: list[dict[str, Any]]
) -> None:
    """The mesh with nyu40 labels: colors of the classes, and alpha 256 - label, or 0 where unlabeled."""
    nyu40 = {row["raw_category"]: int(row["nyu40id"]) for row in label_table()}
    by_segment = np.zeros(len(vertex), int)
    for group in groups:
        by_segment[group["segments"]] = nyu40[group["label"]]
    label = by_segment[segment]
    labeled = np.zeros(len(vertex), [*VERTEX_FIELDS, ("label", "<u2")])
    for axis in "xyz":
        labeled[axis] = vertex[axis]
    for k, channel in enumerate(COLOR_NAMES):
        labeled[channel] = NYU40_COLORS[label, k]
    labeled["alpha"] = np.where(label > 0, 256 - label, 0)
    labeled["label"] = label
    _write_mesh(path, labeled, faces, "MLIB generated")


def _write_mesh(path: Path, vertex: np.ndarray, faces: np.ndarray, comment: str) -> None:
    """Write a structured vertex array and (F, 3) triangles as ScanNet does: a binary little-endian PLY."""
    with path.open("wb") as file:
        write_ply(file, {name: vertex[name] for name in vertex.dtype.names or ()}, faces, comment)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    """Write one line without blanks, as ScanNet does."""
    path.write_text(json.dumps(value, separators=(",", ":")))


def _alignment(angle: float, low: np.ndarray) -> np.ndarray:
    """(4, 4) from raw coordinates (rotated by ``angle``, then shifted by -``low``) to the room's frame."""
    matrix = np.eye(4)
    c, s = np.cos(angle), np.sin(angle)
    matrix[:2, :2] = [[c, s], [-s, c]]
    matrix[:3, 3] = rotate_z(low, -angle)
    return matrix


def _metadata(align: np.ndarray | None, scene_type: str, frames: int) -> str:
    """Text of ``<scene>.txt``: ``key = value`` lines; test scenes have no ``axisAlignment``."""
    lines = [] if align is None else ["axisAlignment = " + "".join(f"{value:.6f} " for value in align.reshape(-1))]
    camera = {
        "colorHeight": 968,
        "colorWidth": 1296,
        "depthHeight": 480,
        "depthWidth": 640,
        "fx_color": 1170.187988,
        "fx_depth": 571.623718,
        "fy_color": 1170.187988,
        "fy_depth": 571.623718,
        "mx_color": 647.750000,
        "mx_depth": 319.500000,
        "my_color": 483.750000,
        "my_depth": 239.500000,
        "numColorFrames": frames,
        "numDepthFrames": frames,
        "numIMUmeasurements": 2 * frames,
    }
    lines += [
        f"{key} = {value:.6f}" if isinstance(value, float) else f"{key} = {value}" for key, value in camera.items()
    ]
    return "\n".join([*lines, f"sceneType = {scene_type}", ""])
