"""Broken and hostile files: every reader returns a value, or says in one line what is wrong with which file.

The readers run in a process with little memory and time (sandbox.py). ``scripts/fuzz.py`` runs more inputs.
"""

from __future__ import annotations

import io
import json
import lzma
import struct
import sys
import zipfile
import zlib

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceco3d.data.scenes.processed import list_scenes
from ceco3d.utils.errors import UserError
from tests.helpers.fuzz_readers import Reader, all_readers, broken_files
from tests.helpers.sandbox import Outcome, Sandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory and time are limited by Linux")

HUGE = 2**33


@pytest.fixture(scope="module")
def readers(tmp_path_factory, tiny_raw) -> dict[str, Reader]:
    return {reader.name: reader for reader in all_readers(tmp_path_factory.mktemp("fuzz"), tiny_raw)}


def findings(reader: Reader, inputs: list[bytes]) -> list[Outcome]:
    with Sandbox(reader, reader.names) as sandbox:
        return [outcome for outcome in sandbox.run(inputs) if outcome.kind == "finding"]


@pytest.mark.slow
def test_edited_files_are_read_or_refused(readers):
    found = {name: findings(r, list(broken_files(r, 20 if r.slow else 200, seed=0))) for name, r in readers.items()}
    assert {name: outcomes[:3] for name, outcomes in found.items() if outcomes} == {}


@pytest.mark.slow
@settings(derandomize=True, max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=300)), min_size=20, max_size=20))
def test_files_that_end_in_arbitrary_bytes_are_read_or_refused(readers, endings):
    for reader in readers.values():
        seed = reader.seeds[0]
        assert findings(reader, [seed[: int(share * len(seed))] + ending for share, ending in endings]) == []


# Past findings and known attacks on these formats: files that promise more than they hold.


def ply(header: str) -> bytes:
    return f"ply\nformat binary_little_endian 1.0\n{header}end_header\n".encode() + bytes(200)


VERTEX = "element vertex 1\n" + "".join(f"property float {axis}\n" for axis in "xyz")
VERTEX += "".join(f"property uchar {channel}\n" for channel in ("red", "green", "blue"))
FACE = "element face 0\nproperty list uchar int vertex_indices\n"


def npy(shape: str, kind: str = "<f4", version: int = 1) -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    size = struct.pack("<H", len(header)) if version == 1 else struct.pack("<I", HUGE // 8)
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + bytes(64)


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return out.getvalue()


def lzma_with_a_large_dictionary() -> bytes:
    """An archive with a member that asks for 1.5 GB up front."""
    data = archive({"pcd.npy": npy("(2, 6)") * 20}, zipfile.ZIP_LZMA)
    properties = lzma._encode_filter_properties({"id": lzma.FILTER_LZMA1})
    assert data.count(properties) == 1
    return data.replace(properties, properties[:1] + struct.pack("<I", 1536 * 2**20))


def member_beyond_the_archive() -> bytes:
    """An archive with a directory that claims 4 GB for a member."""
    data = archive({"pcd.npy": npy("(2, 6)")})
    directory = data.index(b"PK\1\2")
    return data[: directory + 20] + struct.pack("<I", 2**32 - 2) + data[directory + 24 :]


def long(value: int) -> bytes:
    return b"\x8a\x08" + value.to_bytes(8, "little")


def member_that_inflates(name: str) -> bytes:
    """An archive whose directory promises a small array, and whose data inflate to 300 MB."""
    data, member = npy("(2, 6)"), name.encode()
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = pack.compress(data) + b"".join(pack.compress(bytes(2**20)) for _ in range(300)) + pack.flush()
    sizes = struct.pack("<LLLHH", zlib.crc32(data), len(packed), len(data), len(member), 0)
    file = struct.pack("<4sHHHHH", b"PK\3\4", 20, 0, zipfile.ZIP_DEFLATED, 0, 0) + sizes + member + packed
    entry = struct.pack("<4sHHHHHH", b"PK\1\2", 20, 20, 0, zipfile.ZIP_DEFLATED, 0, 0) + sizes + bytes(14) + member
    return file + entry + struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, 1, 1, len(entry), len(file), 0)


def pickle_of_another_case() -> bytes:
    """A call that asks for memory in a pickle that torch finds, because it ignores case."""
    pickled = b"\x80\x02}X\1\0\0\0acbuiltins\nbytearray\n" + long(HUGE) + b"\x85Rs."
    return archive({"a/data.PKL": pickled, "a/version": b"3\n", "a/byteorder": b"little"})


def pickles_of_few_bytes() -> dict[str, bytes]:
    """Files whose values refer to each other so often that a copy of them, or a walk through them, would never end."""

    def put(number: int) -> bytes:
        return b"r" + struct.pack("<I", number)

    def get(number: int) -> bytes:
        return b"j" + struct.pack("<I", number)

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    entries = b"".join(text(str(i)) + b"N" for i in range(20000))
    pairs = b"".join(b"](" + text(str(i)) + b"Ne" for i in range(20000))
    pickles = {
        "lists in lists": b"]" + b"".join(put(i) + b"](" + get(i) * 2 + b"e" for i in range(60)),
        "tuples in tuples": b"N\x85" + b"".join(put(i) + get(i) + b"\x86" for i in range(60)),
        "dicts in dicts": b"}" + b"".join(put(i) + b"}(K\1" + get(i) + b"K\2" + get(i) + b"u" for i in range(60)),
        "key of tuples": b"}N\x85" + b"".join(put(i) + get(i) + b"\x86" for i in range(60)) + b"Ns",
        "dict built often": b"](}(" + entries + b"u" + put(1)
        + (b"ccollections\nOrderedDict\n" + get(1) + b"\x85R") * 20000 + b"e",
        "pairs built often": b"](](" + pairs + b"e" + put(1)
        + (b"ccollections\nOrderedDict\n" + get(1) + b"\x85R") * 20000 + b"e",
        "text encoded often": b"](" + text("a" * 10**6) + put(1)
        + (b"c_codecs\nencode\n" + get(1) + text("latin1") + b"\x86R") * 20000 + b"e",
        "long names": b"](" + text("a" * 10**6) + put(1) + (b"0" + get(1) * 2 + b"\x93") * 20000 + b"e",
        "deep lists": b"]" * 100000 + b"a" * 99999,
        "long integer": b"\x8b" + struct.pack("<I", 10**6) + b"\xff" * 10**6,
        "call within itself": b"](ctorch._tensor\n_rebuild_from_type_v2\n]" + put(1) + b"(ctorch._tensor\n"
        + b"_rebuild_from_type_v2\nN" + get(1) + b"NetRe",
    }  # fmt: skip
    body = {what: b"\x80\x02}" + text("x") + value + b"s." for what, value in pickles.items()}
    return {what: archive({"a/data.pkl": value, "a/version": b"3\n"}) for what, value in body.items()}


def saved(content: object, zipped: bool = True, pickled: tuple[bytes, bytes] = (b"", b"")) -> bytes:
    """A ``torch.save`` file with a piece of the pickle replaced."""
    out = io.BytesIO()
    torch.save(content, out, _use_new_zipfile_serialization=zipped)
    if not zipped:
        return out.getvalue().replace(*pickled)
    with zipfile.ZipFile(out) as file:
        return archive({name: file.read(name).replace(*pickled) for name in file.namelist()})


def call(function: bytes, argument: bytes) -> tuple[bytes, bytes]:
    """Replace a 1 in a pickle by a call."""
    return b"K\x01s.", b"c" + function + b"\n" + argument + b"\x85Rs."


def trained(**model: object) -> bytes:
    arguments = {"name": "MinkUNet14A", "in_channels": 3, "out_channels": 20} | model
    setup = {"model": arguments, "label_space": "scannet20", "features": ["color"], "voxel_size": 0.05}
    return saved({"setup": setup, "model": {}})


TENSOR = {"a": torch.arange(8.0)}
TENSOR_SIZE = b"K\x08\x85"  # (8,)
MERGES = "a0: &a0 {k: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12))
TEXT = "ü" * 9 + "".join(chr(200 + i * 7919 % 50000) for i in range(20000))
SLOW = b"X" + struct.pack("<I", len(TEXT.encode("utf8", "ignore"))) + TEXT.encode("utf8", "ignore")

HOSTILE = {
    **{what: ("weights .pt", data) for what, data in pickles_of_few_bytes().items()},
    "pickle of another case": ("weights .pt", pickle_of_another_case()),
    "frame's pickle of another case": ("frame .pth", pickle_of_another_case()),
    "weights that inflate": ("weights .pt", member_that_inflates("a/data.pkl")),
    "frame that inflates": ("frame .pth", member_that_inflates("a/data.pkl")),
    "rows of lists": ("mesh", ply(VERTEX + "element other 4000000000\nproperty list uchar int vertex_indices\n")),
    "lists after a false end": (
        "mesh",
        ply(VERTEX + FACE + "comment end_header\n" + FACE.replace("face 0", "o 1000000000")),
    ),
    "lists behind a return": ("mesh", ply(VERTEX + "comment\rproperty list uchar int a\n" + FACE)),
    "long text beside numbers": (
        "raw scene: segments",
        json.dumps({"segIndices": ["a" * 30000, *range(30000)]}).encode(),
    ),
    "alignment to infinity": ("raw scene: alignment", b"axisAlignment = " + b"1e300 " * 16),
    "ids of 30 digits": ("label table", b"id\traw_category\tnyu40id\n" + b"9" * 30 + b"\twall\t1\n"),
    "path as a scene": ("split list", b"scene0000_00\n../../etc/passwd\n"),
    "absolute path as a scene": ("split list", b"/etc/passwd\n"),
    "scene of a long name": ("split list", b"a" * 5000),
    "instances of any number": (
        "processed scene: instance",
        npy("(12,)", "<i8").replace(bytes(8), b"\0\0\0\0\0\x10\0\0", 1) + bytes(32),
    ),
    "coordinates beyond float32": (
        "processed scene: coord",
        npy("(12, 3)", "<f8")[:-64] + np.tile([0, 1e300], 18).tobytes(),
    ),
    "member beyond the archive": ("frame .npz", member_beyond_the_archive()),
    "long header of an array": ("processed scene: coord", npy("(12, 3)", version=2)),
    "shape beyond the file": ("anchors .npy", npy(f"({HUGE}, 3)")),
    "shape beyond the member": ("frame .npz", archive({"pcd.npy": npy(f"({HUGE}, 6)")})),
    "zeros in an archive": ("frame .npz", archive({"pcd.npy": bytes(200 * 2**20)}, zipfile.ZIP_DEFLATED)),
    "zeros in a checkpoint": ("weights .pt", archive({"a/data.pkl": bytes(200 * 2**20)}, zipfile.ZIP_DEFLATED)),
    "lzma": ("frame .npz", lzma_with_a_large_dictionary()),
    "frame above the folder": ("frame list", b"../a.npz b.npz 1\n"),
    "many bytes": ("weights .pt", saved({"a": 1}, True, call(b"builtins\nbytearray", long(HUGE)))),
    "large empty tensor": ("weights .pt", saved({"a": 1}, True, call(b"torch\nFloatTensor", long(HUGE)))),
    "slow codec": ("weights .pt", saved({"a": 1}, True, call(b"_codecs\nencode", SLOW + b"X\x08\0\0\0punycode\x86R"))),
    "one value often": (
        "weights .pt",
        saved({"a": torch.ones(8).as_strided((8,), (0,))}, True, (TENSOR_SIZE, long(HUGE) + b"\x85")),
    ),
    "storage beyond the file": ("weights .pt, old format", saved(TENSOR, False, (b"K\x08N", long(HUGE) + b"N"))),
    "tensor beyond its storage": ("weights .pt, old format", saved(TENSOR, False, (TENSOR_SIZE, b"M\x00\x02\x85"))),
    "network of any width": ("trained network", trained(out_channels=HUGE)),
    "network of no name": ("trained network", trained(name=["MinkUNet14A"])),
    "merged aliases": ("table: config.yaml", MERGES.encode()),
    "nested lists": ("study: metrics.json", b"[" * 100000),
    "curves of another kind": ("pictures: metrics.csv", b"step,epoch,val_equiangularity,val_separation\n1,\xff,a,b\n"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_are_refused(readers, what):
    name, data = HOSTILE[what]
    reader = readers[name]
    with Sandbox(reader, reader.names) as sandbox:
        assert sandbox.run([data]) == [Outcome("refused")]


def test_a_member_that_inflates_is_cut_to_the_size_it_says(readers):
    reader = readers["frame .npz"]
    assert findings(reader, [member_that_inflates("pcd.npy")]) == []


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "a\udcff"])
def test_folders_with_unprintable_names_are_refused(tmp_path, name):
    (tmp_path / "val" / "scene0000_00").mkdir(parents=True)
    list_scenes(tmp_path, "val")
    (tmp_path / "val" / name).mkdir()
    with pytest.raises(UserError, match="is not the name of a scene") as caught:
        list_scenes(tmp_path, "val")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("read", "finding"),
    [
        (lambda data: np.zeros(HUGE), "MemoryError"),
        (lambda data: [data for _ in iter(int, 1)], "killed by SIGPROF|MemoryError"),
        (lambda data: {}["a"], "KeyError"),
        (lambda data: torch.empty(HUGE), "RuntimeError"),
        (lambda data: __import__("os").abort(), "killed by SIGABRT"),
    ],
)
def test_the_sandbox_notices_every_kind_of_failure(read, finding):
    with Sandbox(read, ["a"]) as sandbox:
        first, second = sandbox.run([b"", b""])
    assert first.kind == second.kind == "finding"
    assert any(name in first.finding for name in finding.split("|"))


def test_valid_files_are_accepted(readers):
    for reader in readers.values():
        with Sandbox(reader, reader.names) as sandbox:
            accepted = sandbox.run([reader.seeds[0]])[0]
        assert accepted.kind == ("refused" if reader.cut else "accepted"), (reader.name, accepted)
