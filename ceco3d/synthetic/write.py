"""A scan in ScanNet's raw layout: mesh, labelled mesh, segments, aggregation and metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ceco3d.data.pointclouds.ply_write import write_ply
from ceco3d.synthetic.names import COLORS, raw_rows
from ceco3d.synthetic.scanner import Mesh
from ceco3d.synthetic.segments import oversegment
from ceco3d.synthetic.shapes import turn

FORGOTTEN = 0.04  # share of segments that annotators left out; never the largest of an object
VERTEX = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1"), ("alpha", "u1")]


@dataclass(frozen=True)
class Annotation:
    """Raw name of every object of the room ("" = not annotated), the room's ``sceneType``, and chance for slips."""

    raw_names: list[str]
    scene_type: str
    rng: np.random.Generator


def write_scan(folder: Path, mesh: Mesh, angle: float, annotation: Annotation, labelled: bool) -> None:
    """Write the raw files of one scan, turned by ``angle``; an unlabelled (test) scan is only the mesh and its txt."""
    folder.mkdir(parents=True)
    name = folder.name
    coord = turn(mesh.coord, angle)
    low = coord.min(0)
    coord = (coord - low).astype(np.float32)
    vertex = np.zeros(len(coord), VERTEX)
    for k, axis in enumerate("xyz"):
        vertex[axis] = coord[:, k]
    for k, channel in enumerate(("red", "green", "blue")):
        vertex[channel] = mesh.color[:, k]
    vertex["alpha"] = 255
    write_mesh(folder / f"{name}_vh_clean_2.ply", vertex, mesh.faces, "VCGLIB generated")
    align = alignment(angle, low) if labelled else None
    (folder / f"{name}.txt").write_text(metadata(align, annotation.scene_type, frames=len(coord) // 40))
    if not labelled:
        return
    segment = oversegment(mesh)
    groups = aggregate(segment, mesh.owner, annotation)
    segs_name = f"{name}_vh_clean_2.0.010000.segs.json"
    segs = {"params": {"kThresh": 0.01, "segMinVerts": 20}, "sceneId": name, "segIndices": segment.tolist()}
    write_json(folder / segs_name, segs)
    aggregation = {"sceneId": f"scannet.{name}", "appId": "Aggregator.v2", "segGroups": groups}
    write_json(folder / f"{name}.aggregation.json", {**aggregation, "segmentsFile": f"scannet.{segs_name}"})
    write_labels(folder / f"{name}_vh_clean_2.labels.ply", vertex, mesh.faces, segment, groups)


def aggregate(segment: np.ndarray, owner: np.ndarray, annotation: Annotation) -> list[dict]:
    """The ``segGroups``: one for each annotated object, with its segments but a few forgotten ones."""
    groups = []
    ids, first, size = np.unique(segment, return_index=True, return_counts=True)
    for index, raw in enumerate(annotation.raw_names):
        own = owner[first] == index
        if raw and own.any():
            keep = (annotation.rng.random(own.sum()) > FORGOTTEN) | (size[own] == size[own].max())
            number = len(groups)
            groups.append({"id": number, "objectId": number, "segments": ids[own][keep].tolist(), "label": raw})
    return groups


def write_labels(path: Path, vertex: np.ndarray, faces: np.ndarray, segment: np.ndarray, groups: list[dict]) -> None:
    """The mesh with nyu40 ids: their palette as colour, and alpha 256 - label, or 0 where unlabelled."""
    nyu40 = {row["raw_category"]: int(row["nyu40id"]) for row in raw_rows()}
    by_segment = np.zeros(len(vertex), int)
    for group in groups:
        by_segment[group["segments"]] = nyu40[group["label"]]
    label = by_segment[segment]
    labelled = np.zeros(len(vertex), [*VERTEX, ("label", "<u2")])
    for axis in "xyz":
        labelled[axis] = vertex[axis]
    for k, channel in enumerate(("red", "green", "blue")):
        labelled[channel] = COLORS[label, k]
    labelled["alpha"] = np.where(label > 0, 256 - label, 0)
    labelled["label"] = label
    write_mesh(path, labelled, faces, "MLIB generated")


def write_mesh(path: Path, vertex: np.ndarray, faces: np.ndarray, comment: str) -> None:
    """Binary little-endian PLY of a structured vertex array and (F, 3) triangles."""
    with path.open("wb") as file:
        write_ply(file, {name: vertex[name] for name in vertex.dtype.names}, faces, comment)


def write_json(path: Path, value: dict) -> None:
    """One line without blanks."""
    path.write_text(json.dumps(value, separators=(",", ":")))


def alignment(angle: float, low: np.ndarray) -> np.ndarray:
    """(4, 4) from raw coordinates back to the room's frame: undo the shift by ``low``, then the turn by ``angle``."""
    matrix = np.eye(4)
    c, s = np.cos(angle), np.sin(angle)
    matrix[:2, :2] = [[c, s], [-s, c]]
    matrix[:3, 3] = turn(low, -angle)
    return matrix


def metadata(align: np.ndarray | None, scene_type: str, frames: int) -> str:
    """The ``<scene>.txt``: ``key = value`` lines; test scenes have no ``axisAlignment``."""
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
