"""Labels added to a copy of a LAS or LAZ file."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ceco3d.data.pointclouds.column_names import unused_name
from ceco3d.data.pointclouds.earlier_result import PREFIX, RESULT, original_names
from ceco3d.utils.untrusted import NotSupportedError, one_line

if TYPE_CHECKING:
    import laspy
    from laspy.vlrs.known import ExtraBytesStruct

POINTS = 1 << 20  # written at a time
CLASSES = 256  # that ``classification`` can tell apart from point format 6 on
LEGACY_CLASSES = 32  # in point formats 0 to 5
SUCCESSORS = {0: 6, 1: 6, 2: 7, 3: 7, 4: 9, 5: 10}  # the point formats with 256 classes that have all dimensions
STEP = 0.006  # degrees of ``scan_angle``; ``scan_angle_rank`` is in degrees
NAME_BYTES = 32  # of an extra dimension
KEPT = PREFIX + "classification"
DESCRIPTIONS = {
    "label": "predicted class, 0 without one",
    "confidence": "probability of the class",
    KEPT: "classification of the scan",
}
COPC = "copc"  # records that say where points are in the file


def classes_fit(ids: Collection[int]) -> bool:
    """Whether ``classification`` can hold these raw ids of classes."""
    return min(ids) >= 0 and max(ids) < CLASSES


def write_las(file: BinaryIO, path: Path, result: np.ndarray, ids: Collection[int]) -> None:
    """Write a copy of the file at ``path`` with the extra dimensions ``label`` and ``confidence``.

    result  (N,) RESULT
    ids     raw ids of all classes. If ``classification`` can hold them, it is set to the label, and that of the file
            becomes ``original_classification``; for ids beyond 31, point formats 0 to 5 become 6 to 10.
    Extra dimensions with the name of an added one get the prefix "original_". Coordinates, scales, offsets and records
    such as the reference system stay as they are. NotSupportedError if laspy cannot write such a file.
    """
    import laspy
    from laspy.vlrs.vlrlist import VLRList

    overwrite = classes_fit(ids)
    try:
        with laspy.open(path) as reader:
            given = reader.header.point_format
            convert = overwrite and max(ids) >= LEGACY_CLASSES
            target = laspy.PointFormat(SUCCESSORS.get(given.id, given.id) if convert else given.id)
            added = {name: RESULT[name].name for name in RESULT.names or ()} | ({KEPT: "uint8"} if overwrite else {})
            names = _new_names(given, target, added)
            target.dimensions += [dim._replace(name=names[dim.name]) for dim in given.extra_dimensions]
            for name, kind in added.items():
                target.add_extra_dimension(laspy.ExtraBytesParams(name, kind, DESCRIPTIONS[name]))
            header = _extended_header(reader.header, target)
            compressed = reader.header.are_points_compressed
            with laspy.LasWriter(file, header, do_compress=compressed, closefd=False) as writer:
                start, channels = 0, set[int]()
                for points in reader.chunk_iterator(POINTS):
                    if compressed and target.has_waveform_packet and "scanner_channel" in given.dimension_names:
                        channels |= set(np.unique(np.array(points["scanner_channel"])).tolist())
                    if len(channels) > 1:  # lazrs garbles them
                        raise NotSupportedError("waveform packets of several scanner channels cannot be compressed")
                    part = result[start : start + len(points)]
                    writer.write_points(_labeled(points, target, names, part, overwrite))
                    start += len(points)
                records = [record for record in reader.evlrs or () if record.user_id != COPC]
                if records:
                    writer.write_evlrs(VLRList(records))
                _describe(writer.header, reader.header, names)
    except laspy.errors.LaspyException as error:
        raise NotSupportedError(one_line(error)) from None


def _new_names(given: laspy.PointFormat, target: laspy.PointFormat, added: Collection[str]) -> dict[str, str]:
    """The names that all extra dimensions of ``given`` get."""
    extra = list(given.extra_dimension_names)
    taken = {*added, *target.dimension_names, *target.dtype().names}
    changed = original_names(extra, taken)
    names: dict[str, str] = {}
    for name in extra:
        new = changed.get(name, name)
        if len(new.encode()) > NAME_BYTES:
            new = new.encode()[: NAME_BYTES - 3].decode(errors="ignore")  # with room for a number
        names[name] = unused_name(new, {*taken, *extra, *names.values()} - {name})
    return names


def _extended_header(given: laspy.LasHeader, target: laspy.PointFormat) -> laspy.LasHeader:
    import laspy

    if given.start_of_waveform_data_packet_record:
        raise NotSupportedError("it holds waveforms")
    if any(dim.num_elements > 255 for dim in target.extra_dimensions):
        raise NotSupportedError("its points have more than 255 bytes without a description")
    header = copy.deepcopy(given)
    version = given.version
    if target.id > max(SUCCESSORS) and version.minor < 4:
        version = laspy.header.Version(1, 4)
    elif version.minor < 1:
        version = laspy.header.Version(1, 2)
    header.set_version_and_point_format(version, target)
    for record in [record for record in header.vlrs if record.user_id == COPC]:
        header.vlrs.remove(record)
    for entry in _descriptions(header):
        if entry.data_type:
            entry.options &= ~(entry.MIN_BIT_MASK | entry.MAX_BIT_MASK)  # laspy writes those of the first points
    return header


def _describe(header: laspy.LasHeader, given: laspy.LasHeader, names: Mapping[str, str]) -> None:
    """Describe the extra dimensions of the scan in the words of its file, such as their smallest and largest values."""
    known = {names[entry.format_name()]: entry for entry in _descriptions(given)}
    for record in header.vlrs.get("ExtraBytesVlr"):
        entries = [copy.deepcopy(known.get(entry.format_name(), entry)) for entry in record.extra_bytes_structs]
        for entry, old in zip(entries, record.extra_bytes_structs, strict=True):
            entry.name = old.name
        record.extra_bytes_structs = entries


def _descriptions(header: laspy.LasHeader) -> list[ExtraBytesStruct]:
    return [entry for record in header.vlrs.get("ExtraBytesVlr")[:1] for entry in record.extra_bytes_structs]


def _labeled(
    points: laspy.PackedPointRecord,
    target: laspy.PointFormat,
    names: Mapping[str, str],
    result: np.ndarray,
    overwrite: bool,
) -> laspy.PackedPointRecord:
    """The points in the point format ``target``, with the result. ``names``: of the extra dimensions."""
    import laspy

    copied = laspy.PackedPointRecord.zeros(len(points), target)
    if target.id == points.point_format.id:
        for name in points.array.dtype.names:
            copied.array[names.get(name, name)] = points.array[name]
    else:
        for name in points.point_format.standard_dimension_names:
            if name != "scan_angle_rank":
                copied[name] = np.array(points[name])
        copied["scan_angle"] = np.round(np.array(points["scan_angle_rank"]) / STEP).astype(np.int16)
        for name, new in names.items():
            copied.array[new] = points.array[name]
    for name in result.dtype.names or ():
        copied.array[name] = result[name]
    if overwrite:
        copied.array[KEPT] = np.array(points["classification"])
        copied["classification"] = result["label"].astype(np.uint8)
    return copied
