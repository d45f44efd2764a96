"""A labeled scan: the files written for it, and a table of its classes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from rich.console import Console
from rich.table import Table

from ceco3d.data.labels import LabelSpace
from ceco3d.data.pointclouds.attributes import vertex_properties
from ceco3d.data.pointclouds.earlier_result import PREFIX
from ceco3d.data.pointclouds.files import LABELS
from ceco3d.data.pointclouds.ply_write import extend_ply, write_ply
from ceco3d.data.pointclouds.scan import Scan
from ceco3d.metrics.tables import percent
from ceco3d.utils.atomic import whole_file

SUMMARY = ".summary.json"
SUFFIXES = (".ply", LABELS, SUMMARY)  # of the files written for each scan
# Open3D ignores properties of type ushort, so labels are written as int.
ADDED_FIELDS = np.dtype([("red", "u1"), ("green", "u1"), ("blue", "u1"), ("label", "<i4"), ("confidence", "<f4")])
LINES = 1 << 20  # per write
SHOWN = 20  # classes in the printed table; the summary has all


@dataclass(frozen=True)
class LabeledScan:
    """A scan of N points with predictions for the M of them that are usable.

    usable      (N,) bool
    labels      (M,) training indices
    confidence  (M,) float32 probability of the predicted class
    space       label space of ``labels``
    """

    scan: Scan
    usable: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray
    space: LabelSpace

    def classes(self, index: np.ndarray, voxel_size: float) -> list[dict[str, Any]]:
        """The classes that occur, most points first. ``index`` (V,) holds one of the M points of each voxel.

        The area counts ``voxel_size`` squared per voxel: about right for axis-aligned surfaces, up to 1.7 times too
        large for slanted or noisy ones.
        """
        count = len(self.space)
        points = np.bincount(self.labels, minlength=count)
        voxels = np.bincount(self.labels[index], minlength=count)
        confidence = np.bincount(self.labels, self.confidence, minlength=count) / np.maximum(points, 1)
        return [
            {
                "name": self.space.names[k],
                "id": self.space.ids[k],
                "points": int(points[k]),
                "share": points[k] / len(self.scan),
                "area_m2": round(float(voxels[k] * voxel_size**2), 4),
                "confidence": float(confidence[k]),
            }
            for k in np.argsort(-points, kind="stable")
            if points[k]
        ]

    def write(self, target: Path, summary: dict[str, Any]) -> None:
        """Write ``<target>.labels.txt``, one raw id per point, ``<target>.ply`` in class colors, and the summary.

        The three appear together, once all are complete.
        """
        added = self._added()
        paths = [target.with_name(target.name + suffix) for suffix in SUFFIXES]
        with whole_file(paths[0]) as ply, whole_file(paths[1]) as text, whole_file(paths[2]) as table:
            for start in range(0, len(added), LINES):
                ids = added["label"][start : start + LINES].tolist()
                text.write(("\n".join(map(str, ids)) + "\n").encode())
            self._write_ply(ply, added)
            table.write((json.dumps(summary, indent=2) + "\n").encode())

    def _added(self) -> np.ndarray:
        """Color, raw id and confidence of all N points (``ADDED_FIELDS``); zeros where nothing is predicted."""
        added = np.zeros(len(self.scan), ADDED_FIELDS)
        for channel, name in enumerate(("red", "green", "blue")):
            added[name][self.usable] = self.space.colors[self.labels, channel]
        added["label"][~self.usable] = self.space.unlabeled
        added["label"][self.usable] = np.array(self.space.ids)[self.labels]
        added["confidence"][self.usable] = self.confidence
        return added

    def _write_ply(self, file: BinaryIO, added: np.ndarray) -> None:
        scan = self.scan
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
    Console().print(table)
