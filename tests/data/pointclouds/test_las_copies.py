"""Labeled copies of LAS and LAZ files: everything kept, classification set where it can hold the classes."""

import laspy
import numpy as np
import pytest
from laspy.vlrs.known import WktCoordinateSystemVlr

from ceco3d.data.pointclouds import las_write, read_scan
from ceco3d.data.pointclouds.earlier_result import RESULT
from ceco3d.data.pointclouds.las_write import write_las
from ceco3d.utils.untrusted import NotSupportedError

COUNT = 50
SMALL, MEDIUM, LARGE, NEGATIVE = (1, 2, 31), (1, 2, 200), (1, 2, 1191), (-5, 1, 2)
WKT = 'LOCAL_CS["a room",UNIT["metre",1]]'
# The point formats and dimensions of LAS 1.4, section 2.
SUCCESSORS = {0: 6, 1: 6, 2: 7, 3: 7, 4: 9, 5: 10}


def make_las(path, point_format=3, version=None, extra=(), records=(), evlrs=()):
    """A file with random values in every dimension; ``extra`` dimensions as (name, type) or parameters."""
    header = laspy.LasHeader(point_format=point_format, version=version)
    header.offsets, header.scales = [4.0e5, 5.0e6, 100], [0.001, 0.0007, 0.01]
    header.file_source_id, header.system_identifier = 77, "a scanner"
    for entry in extra:
        header.add_extra_dim(entry if isinstance(entry, laspy.ExtraBytesParams) else laspy.ExtraBytesParams(*entry))
    header.vlrs.extend(records)
    las = laspy.LasData(header)
    rng = np.random.default_rng(point_format)
    las.X, las.Y, las.Z = rng.integers(-(10**6), 10**6, (3, COUNT)).astype(np.int32)
    las.X[0], las.Y[0] = 2**31 - 1, -(2**31)
    for dim in las.point_format.dimensions:
        if dim.name in "XYZ" or (dim.name == "scanner_channel" and las.point_format.has_waveform_packet):
            continue
        shape = (COUNT,) if dim.num_elements == 1 else (COUNT, dim.num_elements)
        if dim.kind.name == "FloatingPoint":
            las[dim.name] = rng.normal(size=shape)
        elif dim.name == "scan_angle_rank":
            las[dim.name] = rng.integers(-90, 91, shape)
        elif dim.scales is not None:
            las[dim.name] = rng.integers(0, 100, shape) * dim.scales + dim.offsets
        else:
            largest = 255 if dim.num_elements > 1 else min(int(dim.max), 2**15)
            las[dim.name] = rng.integers(0, largest, shape, endpoint=True)
    if evlrs:
        las.evlrs = laspy.vlrs.vlrlist.VLRList(evlrs)
    las.write(path)
    return path


def result_of(ids):
    result = np.zeros(COUNT, RESULT)
    result["label"][5:] = np.array(ids)[np.arange(COUNT - 5) % len(ids)]
    result["confidence"][5:] = np.linspace(0.1, 1, COUNT - 5)
    return result


def copied(path, ids, result=None):
    target = path.with_name("copy" + path.suffix)
    target.unlink(missing_ok=True)
    with target.open("xb") as file:
        write_las(file, path, result_of(ids) if result is None else result, ids)
    return laspy.read(target)


def assert_kept(given, copy, but=(), renamed=None):
    """All dimensions, raw coordinates and the header of the file are in the copy, except ``but``."""
    for name in given.point_format.dimension_names:
        if name not in but:
            np.testing.assert_array_equal(copy[(renamed or {}).get(name, name)], given[name], err_msg=name)
    for axis in "xyzXYZ":
        assert np.asarray(copy[axis]).tobytes() == np.asarray(given[axis]).tobytes()
    for name in ("scales", "offsets", "mins", "maxs"):
        np.testing.assert_array_equal(getattr(copy.header, name), getattr(given.header, name))
    for name in ("file_source_id", "system_identifier", "creation_date", "uuid", "point_count"):
        assert getattr(copy.header, name) == getattr(given.header, name)
    returns = [las.header.number_of_points_by_return for las in (given, copy)]
    legacy = given.header.version.minor < 4  # has room for five returns
    np.testing.assert_array_equal(returns[1][: 5 if legacy else None], returns[0][: 5 if legacy else None])


@pytest.mark.parametrize("suffix", [".las", ".laz"])
@pytest.mark.parametrize("point_format", range(11))
@pytest.mark.parametrize("ids", [SMALL, MEDIUM, LARGE])
def test_copies_keep_every_point_format(tmp_path, point_format, suffix, ids):
    path = make_las(tmp_path / f"scan{suffix}", point_format)
    given, result = laspy.read(path), result_of(ids)
    copy = copied(path, ids)
    converted = point_format < 6 and ids == MEDIUM
    assert copy.point_format.id == (SUCCESSORS[point_format] if converted else point_format)
    assert str(copy.header.version) == ("1.4" if converted else str(given.header.version))
    assert copy.header.are_points_compressed == (suffix == ".laz")
    changed = ["scan_angle_rank"] * converted + ["classification"] * (ids != LARGE)
    assert_kept(given, copy, changed)
    if converted:
        degrees = np.asarray(copy["scan_angle"]) * 0.006
        np.testing.assert_allclose(degrees, given["scan_angle_rank"], atol=0.003)
    if ids == LARGE:
        assert "original_classification" not in copy.point_format.dimension_names
    else:
        np.testing.assert_array_equal(copy["classification"], result["label"])
        np.testing.assert_array_equal(copy["original_classification"], given["classification"])
    np.testing.assert_array_equal(copy["label"], result["label"])
    np.testing.assert_array_equal(copy["confidence"], result["confidence"])
    assert copy["label"].dtype == np.int32
    assert copy["confidence"].dtype == np.float32


@pytest.mark.parametrize(("ids", "written"), [(SMALL, True), ((0, 255), True), ((0, 256), False), (NEGATIVE, False)])
def test_classification_is_written_if_it_can_hold_all_classes(tmp_path, ids, written):
    path = make_las(tmp_path / "scan.las", 7)
    copy = copied(path, ids)
    assert ("original_classification" in copy.point_format.dimension_names) == written
    assert (np.asarray(copy.classification) == copy["label"]).all() == written


@pytest.mark.parametrize("ids", [SMALL, MEDIUM])
def test_extra_dimensions_keep_type_scale_and_description(tmp_path, ids):
    scaled = laspy.ExtraBytesParams("height", "int16", "above ground", [1.5], [0.01], [-9999])
    extra = [("treeID", "int32"), ("speed of light", "3float64"), ("packed", "7u1"), scaled]
    path = make_las(tmp_path / "scan.laz", 1, extra=extra)
    given, copy = laspy.read(path), copied(path, ids)
    assert_kept(given, copy, ["classification", "scan_angle_rank"])
    for name in ("treeID", "speed of light", "packed", "height"):
        a, b = (las.point_format.dimension_by_name(name) for las in (given, copy))
        assert (a.num_bits, a.kind, a.num_elements, a.description) == (
            b.num_bits,
            b.kind,
            b.num_elements,
            b.description,
        )
        for one, other in ((a.scales, b.scales), (a.offsets, b.offsets), (a.no_data, b.no_data)):
            np.testing.assert_array_equal(one, other)
    before, after = (las.header.vlrs.get("ExtraBytesVlr")[0].record_data_bytes() for las in (given, copy))
    assert after.startswith(before)


@pytest.mark.parametrize("suffix", [".las", ".laz"])
@pytest.mark.parametrize(("point_format", "version"), [(3, "1.2"), (3, "1.4"), (7, "1.4")])
def test_records_and_reference_systems_are_kept(tmp_path, suffix, point_format, version):
    records = [WktCoordinateSystemVlr(WKT), laspy.VLR("somebody", 5, "notes", b"\x01\x02\x03")]
    far = [laspy.VLR("somebody", 6, "far notes", b"\x04\x05" * 1000)] if version == "1.4" else []
    path = make_las(tmp_path / f"scan{suffix}", point_format, version, [("extra", "u1")], records, far)
    given = laspy.read(path)
    for ids in (SMALL, LARGE, MEDIUM):
        copy = copied(path, ids)
        for kind in ("vlrs", "evlrs"):
            kept, expected = (
                [
                    (record.user_id, record.record_id, record.description, record.record_data_bytes())
                    for record in getattr(las, kind) or ()
                    if record.user_id in ("LASF_Projection", "somebody")
                ]
                for las in (copy, given)
            )
            assert kept == expected
        assert copy.header.global_encoding.value == given.header.global_encoding.value


def test_names_of_the_scan_make_way(tmp_path):
    extra = [("label", "u2"), ("confidence", "f8"), ("original_label", "u1"), ("original_classification", "u1")]
    extra += [("gps_time", "u4"), ("nir", "i1")]
    path = make_las(tmp_path / "scan.las", 2, extra=extra)
    given = laspy.read(path)
    renamed = {"label": "original_original_label", "confidence": "original_confidence"}
    kept = {"original_classification": "original_original_classification", "gps_time": "original_gps_time"}
    copy = copied(path, LARGE)
    assert_kept(given, copy, renamed=renamed)
    assert_kept(given, copied(path, MEDIUM), ["classification", "scan_angle_rank"], renamed | kept)


def test_a_copy_can_be_labeled_any_number_of_times(tmp_path):
    path = make_las(tmp_path / "scan.las", 2)
    first = laspy.read(path)
    for _ in range(5):
        copy = copied(path, SMALL)
        assert_kept(first, copy, ["classification"])
        (tmp_path / "copy.las").replace(path)
    names = list(copy.point_format.extra_dimension_names)
    assert len(names) == len(set(names)) == 15
    assert all(len(name) <= 32 for name in names)


def test_files_in_parts_are_the_same(tmp_path, monkeypatch):
    path = make_las(tmp_path / "scan.las", 6)
    copied(path, SMALL)
    whole = (tmp_path / "copy.las").read_bytes()
    monkeypatch.setattr(las_write, "POINTS", 7)
    copied(path, SMALL)
    assert (tmp_path / "copy.las").read_bytes() == whole


def test_the_copy_is_read_as_the_scan_with_two_more_attributes(tmp_path):
    path = make_las(tmp_path / "scan.laz", 3)
    given = read_scan(path)
    copied(path, SMALL)
    scan = read_scan(tmp_path / "copy.laz")
    assert scan.coord.tobytes() == given.coord.tobytes()
    np.testing.assert_array_equal(scan.color, given.color)
    np.testing.assert_array_equal(scan.attributes["label"], result_of(SMALL)["label"])
    assert {*scan.attributes} - {*given.attributes} == {"label", "confidence", "original_classification"}


def test_what_cannot_be_written_is_refused(tmp_path):
    las = laspy.read(make_las(tmp_path / "scan.las", 9))
    las.scanner_channel = np.arange(COUNT) % 2
    las.write(tmp_path / "scan.laz")
    with pytest.raises(NotSupportedError, match="several scanner channels"):
        copied(tmp_path / "scan.laz", SMALL)
    las.header.start_of_waveform_data_packet_record = 5000
    las.write(tmp_path / "waves.las")
    with pytest.raises(NotSupportedError, match="it holds waveforms"):
        copied(tmp_path / "waves.las", SMALL)


def test_bytes_without_a_description_are_kept(tmp_path):
    path = make_las(tmp_path / "scan.las", 0, extra=[("a", "i2"), ("b", "3u1")])
    data = path.read_bytes()
    position = data.index(b"LASF_Spec")
    path.write_bytes(data[:position] + b"LASF_Gone" + data[position + 9 :])
    given, copy = laspy.read(path), copied(path, SMALL)
    assert given.point_format.num_extra_bytes == 5
    assert_kept(given, copy, ["classification"])
