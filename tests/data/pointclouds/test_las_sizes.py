"""LAS and LAZ files that promise more than they hold: refused before anything of that size is allocated or counted."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from ceco3d.data.pointclouds.files import read_scan
from ceco3d.data.pointclouds.las_header import check_las
from ceco3d.utils.errors import UserError

laspy = pytest.importorskip("laspy")

POINTS = 2000


def write(path: Path, version: str = "1.4", spread: int = 1000, points: int = POINTS) -> bytearray:
    las = laspy.LasData(laspy.LasHeader(point_format=6 if version == "1.4" else 2, version=version))
    las.X, las.Y, las.Z = np.random.default_rng(0).integers(0, spread, (3, points))
    las.write(path)
    return bytearray(path.read_bytes())


LIES = {  # version, place in the header, value, reason
    "points": ("1.4", 247, struct.pack("<Q", 10**8), "2,000 of 100,000,000 points|over 100 times"),
    "points beyond counting": ("1.4", 247, struct.pack("<Q", 2**63), "of 9,223,|over 100 times"),
    "points of version 1.2": ("1.2", 107, struct.pack("<L", 10**8), "2,000 of 100,000,000 points|over 100 times"),
    "one point": ("1.4", 247, struct.pack("<Q", POINTS + 1), "2,000 of 2,001 points|fill whole buffer|damaged"),
    "records": ("1.4", 100, struct.pack("<L", 2**32 - 1), "records before the points"),
    "start of the points": ("1.4", 96, struct.pack("<L", 2**32 - 1), "records before the points"),
    "records behind": ("1.4", 243, struct.pack("<L", 2**32 - 1), "4,294,967,295 records behind"),
    "size of a point": ("1.4", 105, struct.pack("<H", 65535), "0 of 2,000 points|over 100 times"),
}


@pytest.mark.parametrize("kind", ["las", "laz"])
@pytest.mark.parametrize("lie", LIES)
def test_headers_that_lie_are_refused(tmp_path, kind, lie):
    version, at, value, reason = LIES[lie]
    path = tmp_path / f"a.{kind}"
    data = write(path, version)
    assert len(read_scan(path)) == POINTS
    data[at : at + len(value)] = value
    path.write_bytes(data)
    with pytest.raises(UserError, match=reason):
        read_scan(path)


def test_a_record_behind_the_points_ends_in_the_file(tmp_path):
    data = write(tmp_path / "a.las")
    data[235:247] = struct.pack("<QL", len(data), 1)
    record = bytes(20) + struct.pack("<Q", 8) + bytes(32)
    (tmp_path / "a.las").write_bytes(data + record + bytes(8))
    check_las(tmp_path / "a.las")
    (tmp_path / "a.las").write_bytes(data + record + bytes(7))
    with pytest.raises(UserError, match="records behind"):
        read_scan(tmp_path / "a.las")


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [([(POINTS, 4 * 10**9)], "longer than the file"), ([(POINTS, 10**9)] * 3000, "longer than the file")],
)
def test_chunks_longer_than_the_file_are_refused(tmp_path, chunks, reason):
    lazrs = pytest.importorskip("lazrs")
    path = tmp_path / "a.laz"
    data = write(path)
    with laspy.open(path) as reader:
        description = lazrs.LazVlr(reader.header.vlrs.get("LasZipVlr")[0].record_data)
    start = int.from_bytes(data[96:100], "little")
    table = int.from_bytes(data[start : start + 8], "little")
    lazrs.write_chunk_table(out := io.BytesIO(), chunks, description)
    path.write_bytes(data[:table] + out.getvalue())
    with pytest.raises(UserError, match=reason):
        read_scan(path)


def test_more_chunks_than_the_file_can_have_are_refused(tmp_path):
    """With room for so many, lazrs ends the process."""
    data = write(tmp_path / "a.laz")
    start = int.from_bytes(data[96:100], "little")
    table = int.from_bytes(data[start : start + 8], "little")
    data[table + 4 : table + 8] = struct.pack("<L", 10**9)
    (tmp_path / "a.laz").write_bytes(data)
    with pytest.raises(UserError, match="1,000,000,000 chunks"):
        read_scan(tmp_path / "a.laz")


def test_equal_points_that_shrink_a_thousandfold_are_read(tmp_path):
    data = write(tmp_path / "a.laz", spread=1, points=100_000)
    assert 1000 * len(data) < 100_000 * 30
    assert len(read_scan(tmp_path / "a.laz")) == 100_000
