"""What a labeled scan holds, found before scenes are made of it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ceco3d.data.pointclouds.usable import usable_points
from ceco3d.data.scenes.colors import color_bytes, has_colors
from ceco3d.preprocessing.labeled.layout import Layout, RawScan
from ceco3d.utils.atomic import write_text
from ceco3d.utils.cluster_task import check_visible
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import read_json

FOLDER = ".check"
SAMPLE = 20_000  # points whose spacing is measured


@dataclass(frozen=True)
class Findings:
    """One scan, in the unit of its file.

    points     in the file; ``unusable`` of them without finite coordinates or far from all others
    labels     points by raw id (as text) or raw name; empty without labels
    instances  number of instances by raw id or raw name of most of their points
    size       (x, y, z) extent of the usable points
    spacing    median distance of neighboring points
    content    hash of the coordinates, to find duplicates
    error      why it cannot be read; "" if it can
    """

    points: int = 0
    unusable: int = 0
    labels: Mapping[str, int] = field(default_factory=dict)
    names: bool = False
    instances: Mapping[str, int] = field(default_factory=dict)
    size: tuple[float, float, float] = (0.0, 0.0, 0.0)
    spacing: float = 0.0
    color: bool = False
    normal: bool = False
    intensity: bool = False
    content: str = ""
    error: str = ""

    @property
    def labeled(self) -> bool:
        """Whether it has labels."""
        return bool(self.labels)


def examine(scan: RawScan, layout: Layout) -> Findings:
    """Read a scan and note what it holds; an error is a finding too."""
    try:
        check_visible(*scan.files)
        read = layout.read(scan)
        points, coord = read.scan, read.scan.coord
        usable, _ = usable_points(coord)
        if not usable.any():
            raise UserError(f"{scan.files[0]}: no point has finite coordinates")
        kept = coord if usable.all() else coord[usable]
    except UserError as error:
        return Findings(error=str(error))
    except MemoryError:
        return Findings(error=f"{scan.files[0]}: does not fit into memory; split it, or use fewer workers=")
    labels = {} if read.labels is None else _counts(read.labels)
    return Findings(
        points=len(points),
        unusable=int((~usable).sum()),
        labels=labels,
        names=read.labels is not None and read.labels.dtype.kind == "U",
        instances={} if read.labels is None or read.instance is None else _objects(read.labels, read.instance),
        size=tuple(np.ptp(kept, axis=0).astype(float).tolist()),
        spacing=_spacing(kept),
        color=points.color is not None and has_colors(color_bytes(points.color)),
        normal=points.normal is not None or bool(points.faces is not None) or _has_faces(points),
        intensity=read.intensity is not None,
        content=hashlib.sha256(np.ascontiguousarray(coord).data).hexdigest()[:16],
    )


def _has_faces(points: Any) -> bool:
    return points.ply is not None and any(element.name == "face" for element in points.ply.elements)


def _counts(labels: np.ndarray) -> dict[str, int]:
    values, counts = np.unique(labels, return_counts=True)
    return {str(value): int(count) for value, count in zip(values.tolist(), counts.tolist(), strict=True)}


def _objects(labels: np.ndarray, instance: np.ndarray) -> dict[str, int]:
    """Number of instances by the label of most of their points."""
    ids, number = np.unique(instance, return_inverse=True)
    values, index = np.unique(labels, return_inverse=True)
    pairs, counts = np.unique(number * len(values) + index, return_counts=True)
    most: dict[int, tuple[int, int]] = {}
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        which, label = divmod(pair, len(values))
        if ids[which] >= 0 and count > most.get(which, (0, 0))[0]:
            most[which] = (count, label)
    return dict(Counter(str(values[label]) for _, label in most.values()))


def _spacing(coord: np.ndarray) -> float:
    """The median distance of a point to its nearest neighbor, from points near each other in the file and in space."""
    from scipy.spatial import cKDTree

    middle = coord[len(coord) // 2]
    distance = np.abs(coord - middle).max(1)
    near = coord[np.argpartition(distance, min(SAMPLE, len(coord)) - 1)[:SAMPLE]].astype(np.float64)
    if len(near) < 2:
        return 0.0
    step = np.asarray(cKDTree(near).query(near, k=2)[0])
    return float(np.median(step[:, 1]))


def stored_findings(root: Path, scan: RawScan, options: str) -> Findings | None:
    """What ``store_findings`` wrote, if neither the files of the scan nor the ``options`` of reading have changed."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        stored = read_json(_path(root, scan))
        if stored["files"] == file_state(scan) and stored["options"] == options:
            return Findings(**{**stored["findings"], "size": tuple(stored["findings"]["size"])})
    return None


def store_findings(root: Path, scan: RawScan, options: str, findings: Findings) -> None:
    """Keep the findings of a scan in ``<root>/.check``, if that can be written."""
    with suppress(OSError):
        content = {"files": file_state(scan), "options": options, "findings": asdict(findings)}
        write_text(_path(root, scan), json.dumps(content) + "\n")


def file_state(scan: RawScan) -> list[list[Any]]:
    """[name, bytes, modification time in ns] of each file of a scan; it changes when one of them does."""
    state = []
    for path in scan.files:
        status = path.stat()
        state.append([path.name, status.st_size, status.st_mtime_ns])
    return state


def _path(root: Path, scan: RawScan) -> Path:
    return root / FOLDER / scan.split / f"{scan.name}.json"
