"""A labeled scan: the files written for it, and a table of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from rich.table import Table

from ceco3d.data.labels import LabelSpace
from ceco3d.data.pointclouds.attributes import vertex_properties
from ceco3d.data.pointclouds.earlier_result import PREFIX, RESULT
from ceco3d.data.pointclouds.files import LABELS
from ceco3d.data.pointclouds.labeled_copy import copy_notes, copy_suffix, write_copy
from ceco3d.data.pointclouds.ply_write import extend_ply, write_ply
from ceco3d.data.pointclouds.scan import Scan
from ceco3d.data.scenes.scene import Scene
from ceco3d.metrics.tables import percent
from ceco3d.utils.atomic import json_bytes, whole_file
from ceco3d.utils.plain_console import PlainConsole
from ceco3d.utils.untrusted import NotSupportedError, one_line

SUMMARY = ".summary.json"
PAGE = (".html", ".png")  # of the viewer and its picture, see ``visualization.scan_page``
# Open3D ignores properties of type ushort, so labels are written as int.
ADDED_FIELDS = np.dtype([("red", "u1"), ("green", "u1"), ("blue", "u1"), *RESULT.descr])
LINES = 1 << 20  # per write
SHOWN = 20  # classes in the printed table; the summary has all


def output_suffixes(path: Path, page: bool = False) -> list[str]:
    """The suffixes of the files written for the scan at ``path``, with those of its page if there is one."""
    own = copy_suffix(path)
    return [".ply", LABELS, SUMMARY, *([own] if own else []), *(PAGE if page else ())]


@dataclass(frozen=True)
class LabeledScan:
    """A scan of N points with predictions for the M of them that are usable.

    path        of the file or folder that the scan was read from; None if it comes from memory
    scene       the M points as the network saw them
    usable      (N,) bool
    labels      (M,) training indices
    confidence  (M,) float32 probability of the predicted class
    voxels      (V,) one of the M points of each voxel
    voxel_size  meters
    space       label space of ``labels``
    warnings    what a user must know, one line each
    """

    path: Path | None
    scan: Scan
    scene: Scene
    usable: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray
    voxels: np.ndarray
    voxel_size: float
    space: LabelSpace
    warnings: Sequence[str] = ()

    @property
    def mean_confidence(self) -> float:
        """Over the M points."""
        return float(self.confidence.mean())

    def classes(self) -> list[dict[str, Any]]:
        """The classes that occur, most points first: name, raw id, points, share, area_m2 and mean confidence.

        The area counts ``voxel_size`` squared per voxel: about right for axis-aligned surfaces, up to 1.7 times too
        large for slanted or noisy ones.
        """
        count = len(self.space)
        points = np.bincount(self.labels, minlength=count)
        voxels = np.bincount(self.labels[self.voxels], minlength=count)
        confidence = np.bincount(self.labels, self.confidence, minlength=count) / np.maximum(points, 1)
        return [
            {
                "name": self.space.names[k],
                "id": self.space.ids[k],
                "points": int(points[k]),
                "share": float(points[k] / len(self.scan)),
                "area_m2": round(float(voxels[k] * self.voxel_size**2), 4),
                "confidence": float(confidence[k]),
            }
            for k in np.argsort(-points, kind="stable")
            if points[k]
        ]

    def write(self, target: Path, summary: dict[str, Any]) -> list[str]:
        """Write the files of ``output_suffixes``, which appear together, once all are complete. Returns new warnings.

        PLY   the scan in the colors of the classes, with label and confidence
        text  one raw id per line
        copy  of the file of the scan, in its own format if that can hold label and confidence
        """
        added = self._added()
        ply, text, table = (target.with_name(target.name + suffix) for suffix in (".ply", LABELS, SUMMARY))
        with ExitStack() as files:
            mesh, lines, about = [files.enter_context(whole_file(path)) for path in (ply, text, table)]
            self.write_ply(mesh)
            for start in range(0, len(added), LINES):
                ids = added["label"][start : start + LINES].tolist()
                lines.write(("\n".join(map(str, ids)) + "\n").encode())
            own = self.copy_suffix
            warnings = [] if own is None else self._write_copy(files, target.with_name(target.name + own))
            summary = summary | {"warnings": [*self.warnings, *warnings]}
            about.write(json_bytes(summary))
            for file in (mesh, lines, about):
                file.flush()  # before the first of them gets its name: the disk may be full
        return warnings

    @property
    def copy_suffix(self) -> str | None:
        """The suffix of the copy in the format of the scan; None if there is none."""
        return None if self.path is None else copy_suffix(self.path)

    def _write_copy(self, files: ExitStack, target: Path) -> list[str]:
        """Write the copy in the format of the scan, which gets its name with the other ``files``; returns warnings."""
        try:
            with ExitStack() as own:
                file = own.enter_context(whole_file(target))
                notes = self.write_copy(file)
                file.flush()
                files.push(own.pop_all())
        except NotSupportedError as error:
            return [f"there is no {target.suffix} result ({one_line(error)}), only the .ply"]
        return notes

    def write_copy(self, file: BinaryIO) -> list[str]:
        """Write a copy of the file of the scan with label and confidence; returns what it lacks, one line each.

        NotSupportedError if the file has something that its writer cannot keep.
        """
        assert self.path is not None  # otherwise there is no ``copy_suffix``
        added = self._added()
        result = np.empty(len(added), RESULT)
        for name in RESULT.names or ():
            result[name] = added[name]
        write_copy(file, self.path, self.scan, result, self.written_ids)
        return copy_notes(self.path, self.written_ids)

    @property
    def ids(self) -> np.ndarray:
        """(N,) raw ids, that of no label where nothing is predicted."""
        ids: np.ndarray = self._added()["label"]
        return ids

    @property
    def written_ids(self) -> list[int]:
        """Every raw id that a label can be."""
        return [*self.space.ids, self.space.unlabeled]

    def _added(self) -> np.ndarray:
        """Color, raw id and confidence of all N points (``ADDED_FIELDS``); zeros where nothing is predicted."""
        added = np.zeros(len(self.scan), ADDED_FIELDS)
        for channel, name in enumerate(("red", "green", "blue")):
            added[name][self.usable] = self.space.colors[self.labels, channel]
        added["label"][~self.usable] = self.space.unlabeled
        added["label"][self.usable] = np.array(self.space.ids)[self.labels]
        added["confidence"][self.usable] = self.confidence
        return added

    def write_ply(self, file: BinaryIO) -> None:
        """Write the scan as PLY in the colors of the classes, with label and confidence."""
        scan, added = self.scan, self._added()
        if scan.ply is not None:
            extend_ply(file, scan.ply, added, set(scan.color_names))
            return
        given = dict(zip("xyz", scan.coord.T, strict=True))
        if scan.normal is not None:
            given |= dict(zip(("nx", "ny", "nz"), scan.normal.T, strict=True))
        if scan.color is not None:
            given |= {PREFIX + name: scan.color[:, i] for i, name in enumerate(("red", "green", "blue"))}
        result = {name: added[name] for name in added.dtype.names or ()}
        given |= vertex_properties(scan.attributes, {*given, *result})
        write_ply(file, given | result, scan.faces)


def print_class_table(classes: list[dict[str, Any]], title: str) -> None:
    """Print the most frequent classes."""
    table = Table("class", title=title, title_justify="left")
    for column in ("id", "points", "points %", "area m²", "confidence %"):
        table.add_column(column, justify="right")
    for row in classes[:SHOWN]:
        values = (f"{row['points']:,}", percent(row["share"]), f"{row['area_m2']:.2f}", percent(row["confidence"]))
        table.add_row(row["name"], str(row["id"]), *values)
    if len(classes) > SHOWN:
        table.caption = f"and {len(classes) - SHOWN} more"
    PlainConsole().print(table)
