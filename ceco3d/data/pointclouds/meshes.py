"""Meshes that trimesh reads: .glb, .gltf and .stl. Vertices keep their order and number."""

from __future__ import annotations

import json
import logging
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ceco3d.data.pointclouds.faces import usable_faces
from ceco3d.data.pointclouds.scan import Scan, make_scan
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import NotSupportedError

MAX_INFLATION = 100  # largest size of the arrays, as a multiple of the file size
COMPRESSED = ("KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_gaussian_splatting")
GLTF_UP = "glTF is y up: set up=y"


def read_gltf(path: Path) -> Scan:
    """All meshes and point clouds of the scene, where its nodes place them; the axes stay those of the file."""
    _check_gltf(path)
    scan = _read_scene(path)
    return make_scan(scan.coord, scan.color, None, scan.attributes, faces=scan.faces, notes=[*scan.notes, GLTF_UP])


def read_stl(path: Path) -> Scan:
    """Three vertices of their own per triangle, in file order."""
    return _read_scene(path)


def _check_gltf(path: Path) -> None:
    """Refuse what trimesh would skip in silence, and accessors that promise more than the file holds."""
    data = path.read_bytes()
    content = json.loads(_json_chunk(data) if data[:4] == b"glTF" else data)
    used = {*content.get("extensionsRequired", ()), *content.get("extensionsUsed", ())}
    for name in COMPRESSED:
        if name in used:
            raise NotSupportedError(
                f"it uses {name}; save it without compression, with Blender or `gltf-transform copy`"
            )
    files = [path.parent / buffer["uri"] for buffer in content.get("buffers", ()) if _is_file(buffer.get("uri"))]
    if any(not file.resolve().is_relative_to(path.parent.resolve()) for file in files):
        raise ValueError("its buffers are outside of its folder")
    size = path.stat().st_size + sum(file.stat().st_size for file in files)
    if any(accessor["count"] * 16 > MAX_INFLATION * size for accessor in content.get("accessors", ())):
        raise ValueError("it ends too early")


def _json_chunk(data: bytes) -> bytes:
    """The first chunk of a binary glTF; ValueError if a chunk is longer than the file, because trimesh allocates it."""
    start = 12
    while start < len(data):
        end = start + 8 + int(struct.unpack_from("<I", data, start)[0])
        if end > len(data):
            raise ValueError("it ends too early")
        start = end
    return data[20 : 20 + int(struct.unpack_from("<I", data, 12)[0])]


def _is_file(uri: Any) -> bool:
    return isinstance(uri, str) and not uri.startswith("data:")


def _read_scene(path: Path) -> Scan:
    """The scan in a file."""
    try:
        import trimesh
    except ModuleNotFoundError as error:
        raise UserError(f"{path.suffix} files need trimesh: pip install 'ceco3d[mesh]'") from error
    log = logging.getLogger("trimesh")
    level = log.level
    log.setLevel(logging.CRITICAL)  # it logs what it then raises
    try:
        scene = trimesh.load_scene(path, process=False)
    finally:
        log.setLevel(level)
    return scan_of_trimesh(scene)


def scan_of_trimesh(scene: Any) -> Scan:
    """All meshes and point clouds of a ``trimesh.Scene``, where its nodes place them; ValueError if it has none."""
    import trimesh

    order = {name: i for i, name in enumerate(scene.geometry)}
    nodes = sorted(scene.graph.nodes_geometry, key=lambda node: (order[scene.graph[node][1]], str(node)))
    notes: list[str] = []
    coords, colors, faces = [], [], []
    start = 0
    for node in nodes:
        transform, name = scene.graph[node]
        geometry = scene.geometry[name]
        if not isinstance(geometry, trimesh.Trimesh | trimesh.PointCloud):
            notes.append(f"lines ({type(geometry).__name__}) are not read")
            continue
        vertices = np.asarray(geometry.vertices, np.float64)
        coords.append(vertices @ transform[:3, :3].T + transform[:3, 3])
        colors.append(_vertex_colors(geometry, len(vertices), notes))
        if isinstance(geometry, trimesh.Trimesh) and len(geometry.faces):
            triangles = usable_faces(np.asarray(geometry.faces), len(vertices), notes)
            if triangles is not None:
                mirrored = np.linalg.det(transform[:3, :3]) < 0
                faces.append((triangles[:, ::-1] if mirrored else triangles) + start)
        start += len(vertices)
    if not coords:
        raise ValueError("it has no vertices")
    color = None
    if any(part is not None for part in colors):
        lengths = [len(coord) for coord in coords]
        parts = [np.full((n, 3), np.nan, np.float32) if c is None else c for c, n in zip(colors, lengths, strict=True)]
        color = np.concatenate(parts)
        if any(part is None for part in colors):
            notes.append("parts without colors become gray")
    whole = np.concatenate(faces) if faces else None
    return make_scan(np.concatenate(coords), color, None, faces=whole, notes=list(dict.fromkeys(notes)))


def _vertex_colors(geometry: Any, count: int, notes: list[str]) -> np.ndarray | None:
    """(N, 3) uint8, also from a texture; None without colors."""
    visual = geometry.visual
    kind = getattr(visual, "kind", None)
    try:
        if kind == "texture":
            visual = visual.to_color()
        if kind in ("vertex", "texture"):
            colors = np.asarray(visual.vertex_colors)
            if colors.ndim == 2 and colors.shape[0] == count and colors.shape[1] >= 3 and colors.dtype == np.uint8:
                if kind == "texture":
                    notes.append("colors from textures or materials, one per vertex")
                return colors[:, :3]
    except Exception:  # trimesh needs Pillow for textures, and fails in many ways on damaged ones
        kind = "texture"
    if kind == "texture":
        notes.append("its colors are in a texture, which cannot be read: turn them into vertex colors and save a .ply")
    if kind == "face":
        notes.append("only its faces have colors, which are not read: give them to the vertices")
    return None
