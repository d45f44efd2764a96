"""Small valid scans in every format that predict reads, to make broken files from."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np

from tests.helpers.scan_files import face_bytes, face_lines, pcd, ply, records, text_rows, vertex_lines

COORD = np.random.default_rng(0).random((6, 3)).astype(np.float32)
COLOR = np.random.default_rng(1).integers(0, 256, (6, 3)).astype(np.uint8)
ROWS = records(COORD, COLOR)
FACES = [[0, 1, 2], [0, 2, 3, 4], [5, 4, 3]]
OBJ = "".join(f"v {a} {b} {c} 0.5 0.25 1\n" for a, b, c in COORD.tolist()) + "vt 0 1\nf 1 2 3\nf 1/1/1 -1 3//2 4\n"


def ply_files() -> list[bytes]:
    """Lists, polygons, texts, splats, extra elements."""
    faces, count = face_bytes(FACES), len(FACES)
    triangles = [face[:3] for face in FACES]
    views = b"".join(row.tobytes() + bytes([i % 3]) + bytes(4 * (i % 3)) for i, row in enumerate(ROWS))
    positions = b"".join(b"\3" + coord.tobytes() for coord in COORD)
    splat = records(COORD, None, **{f"f_dc_{i}": np.float32(i) for i in range(3)}, nx=np.float16(0), id=np.int64(2**60))
    texts = text_rows(ROWS) + b"".join(b"%d %s\n" % (len(f), " ".join(map(str, f)).encode()) for f in FACES)
    mesh = [*vertex_lines(ROWS), *face_lines(count)]
    camera = ["element camera 1", "property bool on", "property list ushort double k"]
    return [
        ply([*face_lines(count), *vertex_lines(ROWS)], faces + ROWS.tobytes()),
        ply([*mesh, "property uchar flags"], ROWS.tobytes() + b"".join(face_bytes([f]) + b"\7" for f in triangles)),
        ply([*vertex_lines(ROWS), "property list uchar int view"], views, newline=b"\r\n"),
        ply([*vertex_lines(ROWS), *camera], ROWS.tobytes() + b"\1\2\0" + bytes(16)),
        ply([f"element vertex {len(COORD)}", "property list uchar float position"], positions),
        ply(vertex_lines(splat), splat.tobytes()),
        ply(mesh, texts, "ascii"),
        ply(mesh, texts.replace(b".", b",").replace(b"\n", b"\r"), "ascii", newline=b"\r"),
        ply(["comment \xe9", "made by hand", *mesh], texts.replace(b" ", b"\n"), "ascii"),
    ]


def pcd_files() -> list[bytes]:
    """Packed colors, padding, values of several numbers, ASCII, compressed."""
    import lzf

    count = len(COORD)
    rows = np.zeros(count, [("xyz", "<f4", 3), ("_", "u1", 4), ("rgb", "<u4"), ("fpfh", "<f4", 3)])
    rows["xyz"], rows["rgb"], rows["fpfh"] = COORD, 0xFF102030, COORD
    fields = ("x y z _ rgb fpfh", "4 4 4 1 4 4", "F F F U F F")
    columns = np.repeat(COORD.T.ravel(), 1).tobytes() + bytes(200)
    packed = lzf.compress(columns[: 12 * count] + bytes(4 * count))
    sizes = np.array([len(packed), 16 * count], "<u4").tobytes()
    return [
        pcd(*fields, rows.tobytes(), count, counts="1 1 1 4 1 3"),
        pcd("x y z", "4 4 4", "F F F", text_rows(records(COORD)), count, "ascii", version=".5", extra=()),
        pcd("x y z i", "4 4 4 4", "F F F U", sizes + packed, count, "binary_compressed", counts="1 1 1 1"),
    ]


def mesh_files() -> dict[str, list[bytes]]:
    """Meshes by the ending of their names."""
    import trimesh

    off = f"{len(COORD)} {len(FACES)} 0\n".encode() + text_rows(ROWS)
    off += b"".join(b"%d %s\n" % (len(f), " ".join(map(str, f)).encode()) for f in FACES)
    mesh = trimesh.Trimesh(COORD, [f[:3] for f in FACES], vertex_colors=COLOR, process=False)
    scene = trimesh.Scene([mesh, trimesh.PointCloud(COORD, COLOR)])
    return {
        "obj": [OBJ.encode()],
        "off": [b"COFF\n# by hand\n" + off, b"OFF " + off],
        "glb": [mesh.export(file_type="glb"), scene.export(file_type="glb")],
        "stl": [mesh.export(file_type="stl"), mesh.export(file_type="stl_ascii").encode()],
    }


def e57_file() -> bytes:
    """Two scans with poses, colors and intensity."""
    import pye57

    columns = dict(zip(("cartesianX", "cartesianY", "cartesianZ"), COORD.T.astype(np.float64), strict=True))
    columns |= dict(zip(("colorRed", "colorGreen", "colorBlue"), COLOR.T.copy(), strict=True))
    columns["intensity"] = COORD[:, 0].copy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.e57"
        with pye57.E57(str(path), mode="w") as file:
            for x in (0.0, 2.0):
                file.write_scan_raw(columns, rotation=np.array([1.0, 0, 0, 0]), translation=np.array([x, 0, 0]))
        return path.read_bytes()


def npz_files() -> list[bytes]:
    """Records, one table of any name, attributes."""
    contents = (
        {"cloud": ROWS},
        {"data": np.hstack([COORD, COLOR]), "label": np.arange(6)},
        {"xyz": COORD, "rgb": COLOR},
    )
    files = []
    for arrays in contents:
        out = io.BytesIO()
        np.savez(out, **arrays)
        files.append(out.getvalue())
    return files
