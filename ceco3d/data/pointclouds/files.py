"""Find scans on disk, and pick the reader for each format."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ceco3d.data.pointclouds.arrays import read_npy, read_npz, read_safetensors, read_scene_folder
from ceco3d.data.pointclouds.conversion import how_to_convert
from ceco3d.data.pointclouds.e57 import read_e57
from ceco3d.data.pointclouds.las import read_las
from ceco3d.data.pointclouds.mesh_text import read_obj, read_off
from ceco3d.data.pointclouds.meshes import read_gltf, read_stl
from ceco3d.data.pointclouds.pcd import read_pcd
from ceco3d.data.pointclouds.ply_scan import read_ply
from ceco3d.data.pointclouds.ply_tables import standard_type
from ceco3d.data.pointclouds.scan import Scan
from ceco3d.data.pointclouds.text import read_text
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import NotSupportedError, one_line

NOTE = 500  # characters of a note
LABELS = ".labels.txt"  # suffix of predicted labels, which are not scans

TABLE_READERS = {**dict.fromkeys((".xyz", ".txt", ".pts", ".csv", ".asc"), read_text), ".npy": read_npy}
OTHER_READERS = {
    ".ply": read_ply,
    ".pcd": read_pcd,
    **dict.fromkeys((".las", ".laz"), read_las),
    ".npz": read_npz,
    ".safetensors": read_safetensors,
    ".e57": read_e57,
    ".obj": read_obj,
    ".off": read_off,
    **dict.fromkeys((".glb", ".gltf"), read_gltf),
    ".stl": read_stl,
}
READERS = {**OTHER_READERS, **TABLE_READERS}


def read_scan(path: Path, columns: Sequence[str] | None = None) -> Scan:
    """Read a file, or the folder of a processed scene. UserError names the file and what is wrong with it.

    columns  names of the columns of a table (text or .npy), "_" for those to ignore; None: from the file
    """
    kind = path.suffix.lower()
    if not path.is_dir() and kind not in READERS:
        if advice := how_to_convert(path):
            raise UserError(f"{path}: {kind} is not supported: {advice}")
        raise UserError(f"{path}: unknown format {path.suffix!r}; choose one of {', '.join(READERS)}")
    if columns is not None and (path.is_dir() or kind not in TABLE_READERS):
        raise UserError(
            f"{path}: columns= names the columns of tables ({', '.join(TABLE_READERS)}), not of this format"
        )
    try:
        if path.is_dir():
            scan = read_scene_folder(path)
        elif kind in TABLE_READERS:
            scan = TABLE_READERS[kind](path, columns)
        else:
            scan = OTHER_READERS[kind](path)
    except UserError as error:
        raise UserError(f"{path}: {one_line(error, 300)}") from None
    except NotSupportedError as error:
        raise UserError(f"{path}: not supported: {one_line(error, 300)}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # on damaged bytes NumPy, laspy, trimesh and pye57 raise nearly anything
        reason = one_line(f"{type(error).__name__}: {error}")
        raise UserError(f"{path}: damaged, or not a {path.suffix} file ({reason})") from None
    if not len(scan):
        raise UserError(f"{path}: has no points")
    return _for_output(scan)


def _for_output(scan: Scan) -> Scan:
    """The scan with attributes in types that the output has; and notes fit to print."""
    numbers = {name: column for name, column in scan.attributes.items() if column.dtype.kind in "biuf"}
    notes = [f"{name} holds no numbers: not kept" for name in scan.attributes if name not in numbers]
    attributes = {name: standard_type(column, name, notes) for name, column in numbers.items()}
    printed = tuple(_printable(note) for note in (*scan.notes, *notes))
    return replace(scan, attributes=attributes, layout=_printable(scan.layout), notes=printed)


def _printable(text: str) -> str:
    """``text`` without control characters, which names in a file may have."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text[:NOTE])


def find_scans(inputs: Sequence[str]) -> list[Path]:
    """The scans named by files, folders and glob patterns, sorted within each entry; UserError if an entry names none.

    A folder with ``coord.npy`` is one scan; any other folder stands for all scans directly in it.
    """
    if not inputs:
        raise UserError("input=[]: name a scan, a folder or a pattern")
    scans: list[Path] = []
    for entry in inputs:
        path = Path(entry)
        if path.is_dir() and not _is_scene(path):
            found = sorted(child for child in path.iterdir() if _is_scene(child) or _is_scan_file(child))
            if not found:
                kinds = ", ".join(READERS)
                raise UserError(f"input={entry}: no scan in this folder ({kinds}, or folders with coord.npy)")
        elif path.exists():
            found = [path]
        else:
            found = sorted(Path(match) for match in glob.glob(entry, recursive=True))
            found = [match for match in found if _is_scene(match) or _is_scan_file(match)]
            if not found:
                what = "no scan matches this pattern" if glob.has_magic(entry) else "no such file or folder"
                raise UserError(f"input={entry}: {what}")
        scans += found
    return list(dict.fromkeys(scans))


def _is_scene(path: Path) -> bool:
    return (path / "coord.npy").is_file()


def _is_scan_file(path: Path) -> bool:
    hidden = path.name.startswith(".")  # such as the ._room.ply that macOS writes beside room.ply
    return path.is_file() and path.suffix.lower() in READERS and not path.name.endswith(LABELS) and not hidden
