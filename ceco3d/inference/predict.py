"""Labels of scan files: what is read, predicted and written of each, and how a batch of them goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ceco3d.data.pointclouds.files import LABELS, read_scan
from ceco3d.data.pointclouds.scan_to_scene import to_scene
from ceco3d.data.scenes.labels import LabelSpace
from ceco3d.data.transforms import voxelize
from ceco3d.inference.chunks import label_chunks, receptive_field
from ceco3d.inference.labelled import Labelled, print_classes
from ceco3d.inference.predictor import Predictor
from ceco3d.utils.atomic import write_json
from ceco3d.utils.errors import UserError

SUMMARY = ".summary.json"
SUFFIXES = (".ply", LABELS, SUMMARY)  # of what is written of each scan


@dataclass(frozen=True)
class Settings:
    """How scans are read and cut.

    unit, up    of the files, see ``scans.scene``
    max_voxels  that go through the network at once
    overlap     voxels around a chunk that the network sees too; None: its receptive field
    """

    unit: str = "m"
    up: str = "z"
    max_voxels: int = 500_000
    overlap: int | None = 64


def name_outputs(scans: Sequence[Path], out: Path) -> dict[Path, str]:
    """What the files of each scan are called in ``out``: its stem, with a number where others have the same.

    UserError when one of them would replace an input.
    """
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path in scans:
        stem = path.resolve().name if path.is_dir() else path.stem
        name, number = stem, 1
        while name.lower() in taken:  # some file systems do not tell cases apart
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        names[path] = name
    inputs = {(status.st_dev, status.st_ino) for status in map(os.stat, scans)}  # a link to a file is that file
    for target in (out / (name + suffix) for name in names.values() for suffix in SUFFIXES):
        if target.exists() and (target.stat().st_dev, target.stat().st_ino) in inputs:
            raise UserError(f"out={out}: {target} is an input and would be replaced; choose another folder")
    return names


def predict_scans(
    predictor: Predictor, space: LabelSpace, scans: Sequence[Path], out: Path, settings: Settings, checkpoint: str
) -> None:
    """Label every scan and write its files to ``out``; UserError at the end that names those that failed."""
    failed: list[str] = []
    for path, name in name_outputs(scans, out).items():
        try:
            predict_scan(predictor, space, path, out / name, settings, checkpoint)
        except UserError as error:
            if len(scans) == 1:
                raise
            print(f"error: {error}", file=sys.stderr)
            failed.append(str(path))
    if failed:
        raise UserError(f"{len(failed)} of {len(scans)} scans failed: {', '.join(failed)}")


def predict_scan(
    predictor: Predictor, space: LabelSpace, path: Path, target: Path, settings: Settings, checkpoint: str
) -> None:
    """Label the scan at ``path``, write ``<target>.ply``, ``.labels.txt`` and ``.summary.json``, print the classes."""
    scan = read_scan(path)
    try:
        scene, finite, warnings = to_scene(
            scan, target.name, settings.unit, settings.up, predictor.features, predictor.voxel_size
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    for warning in warnings:
        print(f"warning: {path}: {warning}", file=sys.stderr)
    voxels = voxelize(scene.coord, predictor.voxel_size)
    overlap = receptive_field(predictor) if settings.overlap is None else settings.overlap
    labels, confidence = label_chunks(predictor, scene, voxels, settings.max_voxels, overlap)
    result = Labelled(scan, finite, labels.numpy(), confidence.numpy(), space)
    classes = result.classes(voxels.index.numpy(), predictor.voxel_size)
    summary = {
        "input": str(path),
        "checkpoint": checkpoint,
        "label_space": space.name,
        "voxel_size": predictor.voxel_size,
        "points": len(scan),
        "unlabelled": int((~finite).sum()),
        "warnings": warnings,
        "classes": classes,
    }
    try:
        result.write(target)
        write_json(target.with_name(target.name + SUMMARY), summary)
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror or error})") from None
    print_classes(classes, f"{target.name}: {len(scan):,} points")
