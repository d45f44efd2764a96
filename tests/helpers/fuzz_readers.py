"""Every reader of untrusted files, with valid files to start from."""

from __future__ import annotations

import importlib.util
import io
import json
import pickle
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from ceco3d.data.labels import label_space, read_classes, restored_space
from ceco3d.data.labels.label_space import check as check_classes
from ceco3d.data.pointclouds.files import read_scan
from ceco3d.data.pointclouds.ply_write import extend_ply
from ceco3d.data.scenes import processed
from ceco3d.data.scenes.frequency import class_frequency
from ceco3d.data.scenes.instance_bank import InstanceBank
from ceco3d.models.checkpoint_file import METADATA
from ceco3d.models.identify import identify
from ceco3d.models.trained import load_trained
from ceco3d.models.weights import load_weights, read_tensors
from ceco3d.preprocessing import scannet
from ceco3d.preprocessing.annotation import LABELS, SEGMENTS
from ceco3d.preprocessing.label_table import LABEL_TABLE, read_label_table
from ceco3d.preprocessing.labeled.label_files import read_label_file
from ceco3d.preprocessing.split_lists import read_splits
from ceco3d.pretraining.anchors import load_anchors
from ceco3d.pretraining.frames import list_frame_pairs, read_frame
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import read_json
from tests.helpers import fuzz_runs, fuzz_scans
from tests.helpers.foreign_checkpoints import beside
from tests.helpers.fuzz_mutate import mutate
from tests.helpers.raw_scene import grid, ply_bytes, write_raw_scene

NAME = "scene0000_00"
SPACE = label_space("scannet20")
CONVERTER = Path(__file__).parents[2] / "scripts" / "convert_anchors.py"


@dataclass
class Reader:
    """One reader of one kind of file.

    file    path of the input that ``read`` gets
    kind    its format, see fuzz_mutate
    seeds   valid files
    names   an error must contain one of these; default: the file name (in a scene, any file may be the wrong one)
    slow    takes milliseconds per file
    cut     the seeds lack most weights of a network, which would be large, and are refused
    """

    name: str
    file: Path
    kind: str
    read: Callable[[Path], object]
    seeds: Sequence[bytes]
    names: Sequence[str] = field(default_factory=tuple)
    slow: bool = False
    cut: bool = False

    def __call__(self, data: bytes) -> None:
        """Read ``data`` from a file of its own."""
        self.file.unlink(missing_ok=True)  # a new file: the last one may still be mapped
        self.file.write_bytes(data)
        self.read(self.file)


def all_readers(folder: Path, raw: Path) -> list[Reader]:
    """All readers. They write below ``folder``; ``raw`` is a raw root of rooms200."""
    makers = (
        *(_raw_readers, _processed_readers, _scan_readers, _anchor_readers),
        *(_frame_readers, _weight_readers, _report_readers, _label_readers),
    )
    readers = [reader for maker in makers for reader in maker(folder, raw)]
    for reader in readers:
        reader.names = reader.names or (reader.file.name,)
        if not reader.cut:
            reader(reader.seeds[0])
    return readers


def broken_files(reader: Reader, count: int, seed: int) -> Iterator[bytes]:
    """``count`` broken files; small seeds are chosen more often than large ones."""
    weights = [1 / (2000 + len(data)) for data in reader.seeds]
    for number in range(count):
        rng = random.Random(f"{seed} {reader.name} {number}")
        yield mutate(rng.choices(reader.seeds, weights)[0], reader.kind, reader.seeds, rng)


# Raw scenes


def _raw_readers(folder: Path, raw: Path) -> list[Reader]:
    labels = read_label_table(raw / LABEL_TABLE)
    info = next(raw.glob("scans/*/scene????_??.txt")).read_text()
    table = (raw / LABEL_TABLE).read_bytes()

    def read_scene(path: Path) -> None:
        arrays = scannet.read_scene(path.parent, labels, annotated=True, align=True)
        assert all(len(array) == len(arrays["coord"]) for array in arrays.values())
        assert np.isfinite(arrays["coord"]).all()
        assert np.isfinite(arrays["normal"]).all()

    def read_lists(path: Path) -> None:
        for names in read_splits(path.parent).values():
            assert all(Path(name).name == name and name.isprintable() and name[0] != "." for name in names)

    def read_table(path: Path) -> None:
        found = read_label_table(path)
        for space, ids in ((SPACE, found.nyu40), (label_space("scannet200"), found.raw_id)):
            assert len(space.index_of(list(ids.values()))) == len(ids)

    readers = []
    for name, (kind, end) in _RAW_FILES.items():
        file = write_raw_scene(folder / name, NAME, info=info) / f"{NAME}{end}"
        readers.append(Reader(f"raw scene: {name}", file, kind, read_scene, _seeds(file, raw), (NAME,)))
    header = table.splitlines(keepends=True)
    return [
        *readers,
        Reader("mesh", folder / "room.ply", "ply", scannet.read_mesh, _meshes(raw)),
        Reader("label table", folder / "labels.tsv", "tsv", read_table, [b"".join(header[:6]), table]),
        Reader("split list", folder / "scannetv2_train.txt", "list", read_lists, _seeds_of(raw, "scannetv2_*.txt")),
    ]


_RAW_FILES = {
    "mesh": ("ply", scannet.MESH),
    "segments": ("json", SEGMENTS),
    "objects": ("json", ".aggregation.json"),
    "alignment": ("text", ".txt"),
}


def _seeds(file: Path, raw: Path) -> list[bytes]:
    """The small file, and that of a whole room, which does not fit the other files but is a source of splices."""
    return [file.read_bytes(), *_seeds_of(raw, f"scans/*/scene????_??{file.name.removeprefix(NAME)}")[:1]]


def _seeds_of(raw: Path, pattern: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(raw.glob(pattern))]


def _meshes(raw: Path) -> list[bytes]:
    """A small sheet, the first vertices of a room with and without faces, and the whole room."""
    whole = next(raw.glob(f"scans/*/*{scannet.MESH}"))
    vertices, colors, faces = scannet.read_mesh(whole)
    few = faces[(faces < 400).all(1)]
    small = ply_bytes(*grid())
    return [small, ply_bytes(vertices[:400], few, colors[:400]), ply_bytes(vertices[:3], faces[:0]), whole.read_bytes()]


# Processed scenes and text anchors


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def _processed_readers(folder: Path, raw: Path) -> list[Reader]:
    root = folder / "processed"
    arrays = scannet.read_scene(write_raw_scene(folder / "other", NAME, None), None, annotated=False, align=True)
    arrays |= {name: np.arange(12, dtype=np.int16) - 1 for name in LABELS}

    def read(path: Path) -> None:
        space = label_space("scannet20" if path.name == "segment20.npy" else "scannet200")
        scene = processed.read_scene(path.parent, space)
        assert all(len(tensor) == len(scene) for tensor in scene.tensors().values())
        assert scene.coord.isfinite().all()
        processed.read_scene(path.parent, space, lambda _, instance: np.flatnonzero(instance == 3))
        InstanceBank([path.parent], space)

    readers = []
    for name in arrays:
        scene = root / name / NAME  # one folder each, so that a broken file does not affect the others
        processed.write_scene(scene, arrays)
        other = {"f": np.float64, "i": np.int64, "u": np.uint8}[arrays[name].dtype.kind]
        seeds = [_npy(arrays[name]), _npy(arrays[name].astype(other))]
        readers.append(Reader(f"processed scene: {name}", scene / f"{name}.npy", "npy", read, seeds, (NAME,)))
    return [*readers, _index_reader(root)]


def _index_reader(root: Path) -> Reader:
    folders = [root / "coord" / NAME]

    def read(path: Path) -> None:
        assert all(scene.resolve().parent == folders[0].parent for scene in processed.list_scenes(root, "coord"))
        for counts in class_frequency(folders, label_space("scannet20")):
            assert counts.shape == (len(SPACE),)
            assert not counts.is_floating_point()

    counts = [[1] * len(SPACE), [7] * len(SPACE)]
    changed = folders[0].parent.stat().st_mtime_ns
    index = {"changed": changed, "scenes": [NAME], "frequency": {"segment20": counts}}
    return Reader("index of scenes", root / ".index-coord.json", "json", read, [json.dumps(index).encode()], ("coord",))


def _scan_readers(folder: Path, raw: Path) -> list[Reader]:
    """The scans that predict reads."""
    rng = np.random.default_rng(0)
    coord, color = rng.random((6, 3), np.float32), rng.integers(0, 256, (6, 3), np.uint8)
    table = np.concatenate([coord, color], 1)
    rows = "\n".join(" ".join(f"{value:.3f}" for value in row) for row in table)
    header = (
        "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 6\nHEIGHT 1\n"
        "VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 6\nDATA "
    )
    pcd = [header.encode() + b"binary\n" + coord.tobytes()]
    pcd.append(header.encode() + b"ascii\n" + "\n".join(" ".join(map(str, row)) for row in coord).encode())
    texts = [
        *(rows, "x,y,z\n1,2,3\n4,5,6\n", "//X Y Z Rough (0.1) R G B\n2\n1 2 3 .5 9 9 9\n2\n3 4 5 1.#QNAN 1 2 3\n"),
        *('name;x;y;z;\nP1;1,5;2;3;\n"P;2";1,5;;-nan(ind);\n', "# Höhe\n1\t2,5\t3\tnull\r\n4\t5\t6\twall # a\n"),
    ]
    seeds = {
        "ply": ("ply", [*_meshes(raw)[:3], *fuzz_scans.ply_files()]),
        "npy": ("npy", [_npy(table), _npy(coord)]),
        "npz": ("zip", [_npz(coord=coord, color=color), *fuzz_scans.npz_files()]),
        "xyz": ("text", [*(text.encode() for text in texts), texts[1].encode("utf-16"), texts[4].encode("cp1252")]),
        "pcd": ("pcd", [*pcd, *fuzz_scans.pcd_files()]),
        "e57": ("raw", [fuzz_scans.e57_file()]),
        **{end: ("json" if end == "glb" else "ply", files) for end, files in fuzz_scans.mesh_files().items()},
    }

    def read(path: Path) -> None:
        scan = read_scan(path)
        assert scan.coord.shape == (len(scan), 3)
        assert all(note.isprintable() for note in scan.notes)
        triangles = scan.triangles()
        assert triangles is None or not len(triangles) or 0 <= triangles.min() <= triangles.max() < len(scan)
        if scan.ply is not None:
            extend_ply(io.BytesIO(), scan.ply, np.zeros(len(scan), [("label", "<i4")]), set(scan.color_names))

    return [Reader(f"scan: .{end}", folder / f"scan.{end}", kind, read, data) for end, (kind, data) in seeds.items()]


def _anchor_readers(folder: Path, raw: Path) -> list[Reader]:
    spec = importlib.util.spec_from_file_location("convert_anchors", CONVERTER)
    convert = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(convert)
    table = torch.linspace(-1, 1, len(SPACE) * 3).reshape(len(SPACE), 3)
    names = {"names": json.dumps(SPACE.names)}
    by_name = {name: row.numpy() for name, row in zip(SPACE.names, table, strict=True)}

    def load(path: Path) -> None:
        anchors = load_anchors(path, SPACE)
        assert anchors.shape[0] == len(SPACE)
        assert anchors.isfinite().all()

    def unpickle(path: Path) -> None:
        convert.table(path, SPACE, 0)

    pickles = [pickle.dumps(content, protocol) for content in (table.numpy(), by_name, table) for protocol in (2, 5)]
    tensors = [save({"a": table}), save({"a": table}, names), save({"a": table.double()}, names)]
    return [
        Reader("anchors .npy", folder / "a.npy", "npy", load, [_npy(table.numpy()), _npy(table.double().numpy())]),
        Reader("anchors .safetensors", folder / "a.safetensors", "safetensors", load, tensors),
        Reader("anchors, pickled", folder / "a.pkl", "pickle", unpickle, pickles),
        Reader("anchors, torch", folder / "b.pkl", "torch", unpickle, [_torch(table)]),
    ]


# Frames, weights and runs


def _torch(content: Any, zipped: bool = True, **options: Any) -> bytes:
    out = io.BytesIO()
    torch.save(content, out, _use_new_zipfile_serialization=zipped, **options)
    return out.getvalue()


def _npz(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def _frame_readers(folder: Path, raw: Path) -> list[Reader]:
    coord, color = torch.rand(5, 3, generator=torch.Generator().manual_seed(0)), torch.full((5, 3), 7.0)
    arrays = {"coord": coord.numpy(), "color": color.numpy().astype(np.uint8)}
    points = torch.cat([coord, color], 1).numpy()
    compressed = io.BytesIO()
    np.savez_compressed(compressed, pcd=points)
    root = folder / "frames"
    root.mkdir()

    def list_pairs(path: Path) -> None:
        for frame in (frame for pair in list_frame_pairs(path, 0.3) for frame in pair):
            assert str(frame).isprintable()
            assert frame.resolve().is_relative_to(root.resolve())

    lists = [b"a/pcd/0.npz a/pcd/1.npz 0.5\n/a/0.pth a/1.pth 0.2\n\na/2.pth a/3.pth\n", b"s/0.npz s/1.npz 1"]
    npz, pth = [_npz(pcd=points), compressed.getvalue()], [_torch(arrays), _torch({"coord": coord, "color": color})]
    return [
        Reader("frame list", root / "overlap30.txt", "list", list_pairs, lists),
        Reader("frame .npz", folder / "0.npz", "zip", read_frame, npz),
        Reader("frame .pth", folder / "0.pth", "torch", read_frame, pth),
    ]


class _Small(torch.nn.Module):
    """A network of three weights, with the classifier that may be missing in a file."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0p1s1, self.bn0, self.final = (torch.nn.Module() for _ in range(3))
        self.bn0.bn = torch.nn.Module()
        self.conv0p1s1.kernel = torch.nn.Parameter(torch.zeros(2, 3))
        self.bn0.bn.weight = torch.nn.Parameter(torch.ones(4))
        self.final.kernel = torch.nn.Parameter(torch.ones(4, 2))


def _weight_readers(folder: Path, raw: Path) -> list[Reader]:
    state = {"conv0p1s1.kernel": torch.zeros(2, 3), "bn0.bn.weight": torch.ones(4).half(), "step": torch.tensor(3)}
    setup = {"name": "MinkUNet14A", "in_channels": 3, "out_channels": 20, "stem_kernel": 3}
    setup = {"model": setup, "label_space": "scannet20", "features": ["color"], "voxel_size": 0.05}
    trained = {"setup": setup, "position": {"epoch": 1, "best": 0.5}, "model": state}
    packed = save(state, {METADATA: json.dumps(setup | {"temperature": 1.5, "trained_on": "rooms"})})
    contents = [
        state,
        trained,
        {"state_dict": {f"model.{name}": value for name, value in state.items()}},
        beside(state),
    ]
    zipped, legacy = [_torch(c) for c in contents], [_torch(c, zipped=False) for c in contents]
    zipped.append(_torch(contents[-1], pickle_protocol=4))
    legacy.append(_torch(contents[-1], zipped=False, pickle_protocol=4))

    def read_weights(path: Path) -> None:
        load_weights(_Small(), path)
        tensors = read_tensors(path).by_name
        assert sum(t.numel() * t.element_size() for t in tensors.values()) <= 10 * path.stat().st_size
        for tensor in tensors.values():
            tensor.clone()

    def identified(path: Path) -> None:
        assert all("\n" not in line for line in identify(path))

    return [
        Reader("weights .pt", folder / "w.pt", "torch", read_weights, zipped),
        Reader("weights .pt, old format", folder / "old.pt", "pickle", read_weights, legacy),
        Reader("weights .safetensors", folder / "w.safetensors", "safetensors", read_weights, [save(state)]),
        Reader("trained network", folder / "best.pt", "torch", load_trained, [_torch(trained)], slow=True, cut=True),
        Reader(
            "shipped network", folder / "w2.safetensors", "safetensors", load_trained, [packed], slow=True, cut=True
        ),
        Reader("identified weights", folder / "i.pt", "torch", identified, zipped, slow=True),
    ]


def _label_readers(folder: Path, raw: Path) -> list[Reader]:
    """Class files, stored classes, and files with one label per point."""
    rows = "id,name,color,group,alias\n2,Floor,#98df8a,head,ground|7\n-5,noise,1 2 3,tail,\n"
    rows += "9,wall,,common,8\n0,,,ignored,\n"
    yaml = "classes:\n  - {id: 9, name: wall, color: [1, 2, 3], group: head, alias: [8]}\n"
    yaml += "  - {id: 2, name: a}\nignored: [0]\n"
    tables = [rows.encode(), rows.replace(",", ";").encode("utf-16"), b"name\nwall\nfloor\n"]
    lines, names = b"2\n-5\n7\n", b"wall\ndining table\n\n"

    def classes(path: Path) -> None:
        space = read_classes(path)
        check_classes(space)
        assert all(name.isprintable() for name in space.names)

    def stored(path: Path) -> None:
        try:
            check_classes(restored_space(read_json(path)))
        except (ValueError, UserError) as error:
            raise UserError(f"{path}: {error}") from None

    def labels(path: Path) -> None:
        found, instance = read_label_file(path, None)
        assert found.dtype == np.int64 or found.dtype.kind == "U"
        assert instance is None or len(instance) == len(found)

    plain = json.dumps(SPACE.to_plain() | {"name": "mine", "ignored": [0, "void"], "aliases": [[50, 1]]}).encode()
    return [
        Reader("class file .csv", folder / "classes.csv", "csv", classes, tables),
        Reader("class file .yaml", folder / "classes.yaml", "yaml", classes, [yaml.encode(), b"1: wall\n-2: floor\n"]),
        Reader("stored classes", folder / "classes.json", "json", stored, [plain]),
        Reader("labels .txt", folder / "l.labels.txt", "list", labels, [lines, names, b"1.0\nnan\n"]),
        Reader("labels .csv", folder / "l.labels.csv", "csv", labels, [b"label\n" + lines, names]),
        Reader("labels .npy", folder / "l.labels.npy", "npy", labels, [_npy(np.arange(5)), _npy(np.array(["a", "b"]))]),
        Reader("labels .label", folder / "l.label", "raw", labels, [np.arange(4, dtype="<u4").tobytes()]),
    ]


def _report_readers(folder: Path, raw: Path) -> list[Reader]:
    return [
        Reader(one.name, one.file, one.kind, one.read, one.seeds, one.names) for one in fuzz_runs.run_readers(folder)
    ]
