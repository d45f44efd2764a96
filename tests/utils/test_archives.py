"""Archives that lie about sizes are refused before they take memory, which is measured in a process of its own."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from ceco3d.data.pointclouds.files import read_scan
from ceco3d.data.pointclouds.npy_write import write_npz
from ceco3d.pretraining.frames import read_frame
from ceco3d.utils.errors import UserError
from ceco3d.utils.pickles import read_pickle
from ceco3d.utils.torch_file import read_torch_file
from ceco3d.utils.untrusted import read_npy, read_npz

COORD = np.arange(900, dtype=np.float32).reshape(300, 3)
PEAK = """
import json, resource, sys, warnings
from pathlib import Path
from ceco3d.data.pointclouds.files import read_scan
from ceco3d.models.checkpoint_file import read_file
from ceco3d.pretraining.frames import read_frame
from ceco3d.utils.errors import UserError
from ceco3d.utils.pickles import read_pickle
errors = []
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for reader, path in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    try:
        globals()[reader](Path(path))
        errors.append(None)
    except (ValueError, UserError) as error:
        errors.append(str(error))
print(json.dumps([errors, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10]))
"""


def peak(*reads: tuple[str, Path]) -> tuple[list[str | None], int]:
    """The errors of readers of files in a process of its own, and the megabytes that they took."""
    words = [str(word) for read in reads for word in read]
    done = subprocess.run([sys.executable, "-c", PEAK, *words], capture_output=True, check=True)
    errors, megabytes = json.loads(done.stdout)
    return errors, megabytes


def npy(array: np.ndarray = COORD) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def edit(path: Path, name: str, at: int, value: bytes, local: int | None = None) -> Path:
    """Change bytes of the entry of ``name`` in the directory, and of its local header."""
    data = bytearray(path.read_bytes())
    entry = data.rindex(name.encode()) - 46
    start = int.from_bytes(data[entry + 42 : entry + 46], "little")
    data[entry + at : entry + at + len(value)] = value
    if local is not None:
        data[start + local : start + local + len(value)] = value
    path.write_bytes(data)
    return path


def bomb(path: Path, name: str, megabytes: int) -> Path:
    """``name`` promises a small array, and its data inflate to ``megabytes``."""
    good, pack = npy(), zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = pack.compress(good) + b"".join(pack.compress(bytes(1 << 20)) for _ in range(megabytes)) + pack.flush()
    sizes = struct.pack("<LLLHH", zlib.crc32(good), len(packed), len(good), len(name), 0)
    file = struct.pack("<4sHHHHH", b"PK\3\4", 20, 0, 8, 0, 0) + sizes + name.encode() + packed
    entry = struct.pack("<4sHHHHHH", b"PK\1\2", 20, 20, 0, 8, 0, 0) + sizes + bytes(14) + name.encode()
    end = struct.pack("<4sHHHHLLH", b"PK\5\6", 0, 0, 1, 1, len(entry), len(file), 0)
    path.write_bytes(file + entry + end)
    return path


def add(path: Path, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(name, content)
    return path


def calling(size: int) -> bytes:
    """A pickle that asks for ``size`` bytes."""
    return b"\x80\2}X\5\0\0\0modelcbuiltins\nbytearray\n\x8a\x08" + size.to_bytes(8, "little") + b"\x85Rs."


HARMLESS = b"\x80\2}X\5\0\0\0modelK\0s."


def two_directories(path: Path, seen: bytes, hidden: bytes) -> Path:
    """``zipfile`` takes the directory before the end record; PyTorch the one at the offset that the record names."""
    parts = []
    for content in (hidden, seen):
        data = archive(path, {"a/data.pkl": content, "a/version": b"3\n"}, zipfile.ZIP_STORED).read_bytes()
        end = data.rindex(b"PK\5\6")
        start = int.from_bytes(data[end + 16 : end + 20], "little")
        parts += [data[:start], bytearray(data[start:end])]
    files, directory, more, last = parts
    moved, at = len(files) - len(more), 0  # zipfile adds the length of directory and second files to each offset
    while at < len(last):
        offset = int.from_bytes(last[at + 42 : at + 46], "little") + moved
        last[at + 42 : at + 46] = offset.to_bytes(4, "little")
        at += 46 + int.from_bytes(last[at + 28 : at + 30], "little")
    path.write_bytes(files + directory + more + last + data[end : end + 16] + struct.pack("<LH", len(files), 0))
    return path


@pytest.mark.parametrize("name", ["coord.npy", "color.npy", "height.npy", "notes.txt"])
def test_a_member_that_inflates_to_more_than_it_promises_is_refused(tmp_path, name):
    path = bomb(tmp_path / "a.npz", name, 1)
    if name != "coord.npy":
        add(path, "coord.npy", npy())
    line = rf"a\.npz: .*{name} decompresses to more than the 3,728 bytes that it promises"
    with pytest.raises(UserError, match=line) as caught:
        read_scan(path)
    assert "\n" not in str(caught.value)
    if name.endswith(".npy"):
        with pytest.raises(ValueError, match="decompresses to more"):
            read_npz(path, [name.removesuffix(".npy")])
    result = np.zeros(300, [("label", np.int32), ("confidence", np.float32)])
    with pytest.raises(ValueError, match="decompresses to more"):
        write_npz(io.BytesIO(), path, result)


def test_refusing_a_bomb_takes_no_memory(tmp_path):
    path = bomb(tmp_path / "a.npz", "coord.npy", 500)
    frame = bomb(tmp_path / "b.npz", "pcd.npy", 500)
    errors, megabytes = peak(("read_scan", path), ("read_frame", frame))
    assert all("more than the 3,728 bytes" in error for error in errors)
    assert megabytes < 100


LIES = {
    "less than promised": (lambda path: edit(path, "coord.npy", 24, struct.pack("<L", 4000)), "of the 4,000 bytes"),
    "zip64 size": (lambda path: edit(path, "coord.npy", 24, struct.pack("<L", 2**32 - 2)), "over 100 times"),
    "packed size": (lambda path: edit(path, "coord.npy", 20, struct.pack("<L", 2**32 - 2)), "longer than the archive"),
    "checksum": (lambda path: edit(path, "coord.npy", 16, b"abcd"), "checksum of coord.npy"),
    "encrypted": (lambda path: edit(path, "coord.npy", 8, b"\1\0", 6), "encrypted"),
    "method": (lambda path: edit(path, "coord.npy", 10, b"\x0e\0", 8), "unusual method"),
    "same place": (lambda path: edit(path, "color.npy", 42, bytes(4)), "overlap"),
    "no place": (lambda path: edit(path, "color.npy", 42, struct.pack("<L", 2**31)), "overlap|File|file|damaged"),
}


@pytest.mark.parametrize("lie", LIES)
def test_directories_that_lie_are_refused(tmp_path, lie):
    change, line = LIES[lie]
    path = change(archive(tmp_path / "a.npz", {"coord.npy": npy(), "color.npy": npy()}))
    with pytest.raises(UserError, match=line):
        read_scan(path)


def test_two_members_of_one_name_are_refused(tmp_path):
    path = archive(tmp_path / "a.npz", {"coord.npy": npy(), "cooRd.npy": npy()})
    assert len(read_scan(path)) == 300
    path.write_bytes(path.read_bytes().replace(b"cooRd", b"coord"))
    with pytest.raises(UserError, match="same name"):
        read_scan(path)


@pytest.mark.parametrize("content", [npy()[:-4], npy() + b"more", npy()[:128]])
def test_a_member_of_another_size_than_its_header_says_is_refused(tmp_path, content):
    with pytest.raises(UserError, match="its header promises 3,600 bytes"):
        read_scan(archive(tmp_path / "a.npz", {"coord.npy": content}))
    path = archive(tmp_path / "b.npz", {"coord.npy": npy(), "height.npy": content})
    assert "array height is not read (its header promises" in " ".join(read_scan(path).notes)


@pytest.mark.parametrize(
    ("shape", "kind", "line"),
    [
        ("(10000000000, 3)", "<f4", "promises 120,000,000,000 bytes"),
        ("(4294967296, 4294967296, 3)", "<f4", "promises"),  # overflows 64 bits
        ("(301, 3)", "<f4", "promises 3,612 bytes, but 3,600 follow"),
        ("(1000000000000, 0)", "<f4", "without values"),
        ("(1000000000000, 3)", "|S0", "without values"),
    ],
)
def test_a_header_that_promises_more_than_the_file_has_is_refused(tmp_path, shape, kind, line):
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}".ljust(117).encode() + b"\n"
    data = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + npy()[128:]
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(ValueError, match=line):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(UserError):
        read_scan(tmp_path / "a.npy")
    with pytest.raises(UserError):
        read_scan(archive(tmp_path / "a.npz", {"coord.npy": data}))


def test_calls_are_found_whatever_the_case_of_the_name(tmp_path):
    paths = []
    for number, name in enumerate(["data.pkl", "data.PKL", "DATA.pkl", "Data.pKl"]):
        members = {f"a/{name}": calling(2**30), "a/byteorder": b"little", "a/version": b"3\n"}
        paths.append(archive(tmp_path / f"{number}.pth", members, zipfile.ZIP_STORED))
    errors, megabytes = peak(*((reader, path) for reader in ("read_frame", "read_pickle") for path in paths))
    assert all("bytearray" in error for error in errors)
    assert megabytes < 100
    errors, megabytes = peak(*(("read_file", path) for path in paths))
    assert all("other files" in error for error in errors[1:])  # of the first, the call is left out
    assert megabytes < 100


def test_names_that_differ_only_in_case_are_refused(tmp_path):
    members = {"a/data.PKL": calling(9), "a/data.pkl": HARMLESS, "a/version": b"3\n"}
    path = archive(tmp_path / "a.pth", members, zipfile.ZIP_STORED)
    for read in (read_pickle, read_torch_file, read_frame):
        with pytest.raises((ValueError, UserError), match=r"case|other files|bytearray"):
            read(path)


def test_pytorch_gets_the_members_that_were_checked(tmp_path):
    path = two_directories(tmp_path / "a.pth", HARMLESS, calling(1))
    assert read_pickle(path) == read_torch_file(path).content == {"model": 0}  # not the bytearray


def test_a_safetensors_header_longer_than_the_file_is_refused(tmp_path):
    reads = []
    for number, header in enumerate([2**40, 2**63, 99_000_000]):
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(header.to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[9,3],"data_offsets":[0,108]}}')
        reads += [("read_scan", path), ("read_file", path)]
    errors, megabytes = peak(*reads)
    assert all(errors)
    assert megabytes < 100


@pytest.mark.parametrize("end", [2**40, 107, 109])
def test_a_tensor_longer_than_the_file_is_refused(tmp_path, end):
    header = b'{"coord":{"dtype":"F32","shape":[9,3],"data_offsets":[0,%d]}}' % end
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(108))
    with pytest.raises(UserError, match="safetensors"):
        read_scan(tmp_path / "a.safetensors")
