"""Read raw ScanNet scenes: mesh, over-segmentation, objects and alignment become per-vertex arrays.

A raw root has ``scans/<scene>/`` (train and val), ``scans_test/<scene>/``, the label table
``scannetv2-labels.combined.tsv`` and the split lists ``scannetv2_{train,val,test}.txt``. Only the decimated mesh
``<scene>_vh_clean_2.ply`` is labeled; its vertices, in file order, are the points of a scene.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ceco3d.data.labels import IGNORE
from ceco3d.data.pointclouds.normals import vertex_normals
from ceco3d.data.pointclouds.ply import mapped_triangles
from ceco3d.data.pointclouds.ply_open import open_ply
from ceco3d.data.scenes.normals import missing_normals
from ceco3d.preprocessing.annotation import LABELS, Objects, read_labels
from ceco3d.preprocessing.label_table import LabelTable
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line

MESH = "_vh_clean_2.ply"
INFO = ".txt"
ABSENT = "is missing: download the scene from ScanNet or remove it from the split list"


def read_mesh(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (N, 3) float32 in meters, colors (N, 3) uint8 and triangles (F, 3) int64 of a binary PLY mesh.

    Properties are found by name; others (alpha, label) are ignored. UserError if the file is missing, truncated, not
    a triangle mesh, empty, or holds non-finite coordinates or faces of vertices that do not exist.
    """
    try:
        mesh = open_ply(path, strict=True)
        faces, vertex = mapped_triangles(mesh).astype(np.int64), mesh.vertices()
        vertices = np.stack([vertex[axis] for axis in "xyz"], axis=1).astype(np.float32)
        colors = np.stack([vertex[channel] for channel in ("red", "green", "blue")], axis=1)
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): download it from ScanNet") from None
    except ValueError as error:
        raise UserError(f"{path} is not a complete triangle mesh ({one_line(error)}); download it again") from None
    if colors.dtype != np.uint8:
        raise UserError(f"{path} has colors of type {colors.dtype}, not uchar 0..255; download it again")
    if not len(vertices):
        raise UserError(f"{path} has no vertices; download it again")
    if not np.isfinite(vertices).all():
        raise UserError(f"{path} has coordinates that are NaN or infinite; download it again")
    if faces.size and not 0 <= faces.min() <= faces.max() < len(vertices):
        raise UserError(f"{path} has faces of vertices that do not exist; download it again")
    return vertices, colors, faces


def read_alignment(path: Path) -> np.ndarray:
    """``axisAlignment`` of ``<scene>.txt``: (4, 4) float64, applied as M @ [x y z 1]; the identity if there is none.

    Other lines, such as ``sceneType = Bedroom / Hotel``, are ignored. UserError if it is not 16 finite numbers.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        hint = "download it from ScanNet or set dataset.align=false"
        raise UserError(f"cannot read {path} ({error.strerror}): {hint}") from None
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "axisAlignment":
            try:
                matrix = np.array([float(number) for number in value.split()]).reshape(4, 4)
            except ValueError:
                matrix = np.full((4, 4), np.nan)
            if not np.isfinite(matrix).all():
                raise UserError(f"{path}: axisAlignment is not 16 finite numbers; download the file again")
            return matrix
    return np.eye(4)


def read_scene(folder: Path, labels: LabelTable | None, annotated: bool, align: bool) -> dict[str, np.ndarray]:
    """Read the raw scene in ``folder`` as the arrays of a processed scene with N points, the vertices of the mesh.

    coord                  (N, 3) float32, meters, z up
    color                  (N, 3) uint8
    normal                 (N, 3) float32, from the faces; estimated where the mesh has none
    segment20, segment200  (N,) int16 training indices, -1 = none
    instance               (N,) int16, -1 = none

    annotated  False (test scenes): labels are -1, and only the mesh and, to align, ``<scene>.txt`` are read
    align      apply the scene's axisAlignment

    UserError names the missing or broken file.
    """
    return read_scene_and_objects(folder, labels, annotated, align)[0]


def read_scene_and_objects(
    folder: Path, labels: LabelTable | None, annotated: bool, align: bool
) -> tuple[dict[str, np.ndarray], Objects | None]:
    """As ``read_scene``, and what the label table made of the objects; None for a scene without annotation."""
    if not folder.is_dir():
        raise UserError(f"{folder} {ABSENT}")
    vertices, color, faces = read_mesh(folder / f"{folder.name}{MESH}")
    coord = vertices.astype(np.float64)
    if align:
        info = folder / f"{folder.name}{INFO}"
        matrix = read_alignment(info)
        coord = np.einsum("ij,nj->ni", matrix[:3, :3], coord) + matrix[:3, 3]
        if not np.isfinite(coord.astype(np.float32)).all():
            raise UserError(f"{info}: axisAlignment moves vertices out of float32's range; download the file again")
    normal = vertex_normals(coord, faces) if len(faces) else missing_normals(coord.astype(np.float32))
    scene = {"coord": coord.astype(np.float32), "color": color, "normal": normal}
    if annotated:
        if labels is None:
            raise ValueError("an annotated scene needs the label table")
        arrays, objects = read_labels(folder, len(coord), labels)
        return scene | arrays, objects
    return scene | {name: np.full(len(coord), IGNORE, np.int16) for name in LABELS}, None
