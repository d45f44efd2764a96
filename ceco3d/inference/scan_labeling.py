"""Label scan files: read each scan, predict its points, write the results."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ceco3d.data.pointclouds.files import LABELS, read_scan
from ceco3d.data.pointclouds.scan_to_scene import to_scene
from ceco3d.data.scenes.labels import LabelSpace
from ceco3d.data.transforms import voxelize
from ceco3d.inference.chunks import predict_in_chunks, receptive_field
from ceco3d.inference.labeled_scan import LabeledScan, print_class_table
from ceco3d.inference.predictor import Predictor
from ceco3d.utils.atomic import write_json
from ceco3d.utils.errors import UserError

logger = logging.getLogger(__name__)

SUMMARY = ".summary.json"
SUFFIXES = (".ply", LABELS, SUMMARY)  # of the files written for each scan


@dataclass(frozen=True)
class LabelingOptions:
    """How scans are read and split into chunks.

    unit, up    of the files, see ``data.pointclouds.to_scene``
    max_voxels  per forward pass; larger scans are split into chunks
    overlap     voxels around a chunk that the network sees too; None: its receptive field
    """

    unit: str = "m"
    up: str = "z"
    max_voxels: int = 500_000
    overlap: int | None = 64


def name_outputs(scans: Sequence[Path], out: Path) -> dict[Path, str]:
    """The base name of each scan's files in ``out``: its stem, numbered if several scans share it.

    UserError if an output would replace an input.
    """
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path in scans:
        stem = path.resolve().name if path.is_dir() else path.stem
        name, number = stem, 1
        while name.lower() in taken:  # some file systems ignore case
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        names[path] = name
    inputs = {(status.st_dev, status.st_ino) for status in map(os.stat, scans)}  # also finds links to an input
    for target in (out / (name + suffix) for name in names.values() for suffix in SUFFIXES):
        if target.exists() and (target.stat().st_dev, target.stat().st_ino) in inputs:
            raise UserError(f"out={out}: {target} is an input and would be replaced; choose another folder")
    return names


def label_scans(
    predictor: Predictor, space: LabelSpace, scans: Sequence[Path], out: Path, options: LabelingOptions, checkpoint: str
) -> None:
    """Label every scan and write its files to ``out``; UserError after the last one if any failed.

    checkpoint  is recorded in the summaries
    """
    failed: list[str] = []
    for path, name in name_outputs(scans, out).items():
        try:
            label_scan(predictor, space, path, out / name, options, checkpoint)
        except UserError as error:
            if len(scans) == 1:
                raise
            logger.error(str(error))
            failed.append(str(path))
    if failed:
        raise UserError(f"{len(failed)} of {len(scans)} scans failed: {', '.join(failed)}")


def label_scan(
    predictor: Predictor, space: LabelSpace, path: Path, target: Path, options: LabelingOptions, checkpoint: str
) -> None:
    """Label the scan at ``path``, write ``<target>{.ply,.labels.txt,.summary.json}`` and print its classes.

    UserError if the scan cannot be read or a file cannot be written.
    """
    scan = read_scan(path)
    try:
        scene, finite, warnings = to_scene(
            scan, target.name, options.unit, options.up, predictor.features, predictor.voxel_size
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    for warning in warnings:
        logger.warning(f"{path}: {warning}")
    voxels = voxelize(scene.coord, predictor.voxel_size)
    overlap = receptive_field(predictor) if options.overlap is None else options.overlap
    labels, confidence = predict_in_chunks(predictor, scene, voxels, options.max_voxels, overlap)
    result = LabeledScan(scan, finite, labels.numpy(), confidence.numpy(), space)
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
    print_class_table(classes, f"{target.name}: {len(scan):,} points")
