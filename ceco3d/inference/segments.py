"""The segments whose points vote for one label: those that came with a scan, or made from its geometry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ceco3d.data.labels import LabelSpace
from ceco3d.data.pointclouds.scan import Scan
from ceco3d.data.scenes.processed import read_scene
from ceco3d.inference.oversegment import oversegment
from ceco3d.preprocessing.annotation import SEGMENTS, read_segments
from ceco3d.preprocessing.scannet import MESH, read_mesh

# segments: from a segs.json beside the mesh, else made; made: always by ``inference.oversegment``.
Vote = Literal["segments", "made"]


@dataclass(frozen=True)
class Segments:
    """``processed scene -> (N,) int64``, the segment of each point.

    vote  see ``Vote``
    raw   folder with the raw scenes of the split in ScanNet's layout; None: there is none

    The segs.json of the raw scene counts; without one its faces; without a mesh of the same points the nearest
    neighbors and the normals of the processed scene.
    """

    vote: Vote
    raw: Path | None = None

    def __call__(self, folder: Path, space: LabelSpace) -> np.ndarray:
        """The segments of a scene with labels of ``space``. UserError if its files are damaged."""
        scene = read_scene(folder, space, features=("normal",))
        raw = None if self.raw is None else self.raw / folder.name
        if raw is not None and (raw / f"{raw.name}{MESH}").is_file():
            path = raw / f"{raw.name}{SEGMENTS}"
            if self.vote == "segments" and path.is_file():
                return read_segments(path, len(scene))
            vertices, _, faces = read_mesh(raw / f"{raw.name}{MESH}")
            if len(vertices) == len(scene):
                return oversegment(scene.coord.numpy(), faces)
        return oversegment(scene.coord.numpy(), normal=scene.normal.numpy())


def scan_segments(vote: Vote, scan: Scan, path: Path | None, coord: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """(M,) int64 segments of the usable points of a scan.

    path    of the scan; ``NAME.0.010000.segs.json`` beside ``NAME.ply`` counts for vote="segments"
    coord   (M, 3) of these points, in meters
    usable  (N,) bool
    UserError if that file is damaged.
    """
    beside = None if path is None else path.with_suffix(SEGMENTS.removeprefix(MESH.removesuffix(".ply")))
    if vote == "segments" and beside is not None and beside.is_file():
        return read_segments(beside, len(scan))[usable]
    faces = scan.triangles()
    if faces is not None:
        faces = (np.cumsum(usable) - 1)[faces[usable[faces].all(1)]]
    return oversegment(coord, faces)
