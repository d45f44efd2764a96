"""Label scan files: read each scan, predict its points, write the results."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ceco3d.data.labels import LabelSpace, stored_space
from ceco3d.data.pointclouds.files import read_scan
from ceco3d.data.pointclouds.scan import Scan
from ceco3d.data.pointclouds.scan_to_scene import to_scene
from ceco3d.data.transforms import voxelize
from ceco3d.inference.chunks import predict_in_chunks, receptive_field
from ceco3d.inference.labeled_scan import LabeledScan, print_class_table
from ceco3d.inference.outputs import checkpoint_source, name_outputs, refuse_to_overwrite
from ceco3d.inference.predictor import Predictor
from ceco3d.inference.segments import Vote, scan_segments
from ceco3d.inference.votes import SegmentVotes
from ceco3d.metrics.tables import percent
from ceco3d.utils.errors import UserError

logger = logging.getLogger(__name__)

ClassTable = tuple[list[dict[str, Any]], str]  # arguments of print_class_table

LOW_CONFIDENCE = 0.5  # mean confidence below which a user is warned


@dataclass(frozen=True)
class LabelingOptions:
    """How scans are read and split into chunks, and what may be replaced.

    unit, up    of the files, see ``data.pointclouds.to_scene``
    columns     of tables, see ``data.pointclouds.read_scan``
    max_voxels  per forward pass; larger scans are split into chunks
    overlap     voxels around a chunk that the network sees too; None: its receptive field
    overwrite   results of another checkpoint or scan
    max_points  of a scan; larger ones are refused; None: any number
    page        writes the page of a labeled scan beside its files, whose path without suffix is given; None: no page
    vote        over which segments, see ``inference.segments``; None: each point has its own label
    """

    unit: str = "m"
    up: str = "z"
    columns: Sequence[str] | None = None
    max_voxels: int = 500_000
    overlap: int | None = 64
    overwrite: bool = False
    max_points: int | None = None
    page: Callable[[LabeledScan, Path], None] | None = None
    vote: Vote | None = None


def label_scans(
    predictor: Predictor,
    space: LabelSpace,
    scans: Sequence[Path],
    out: Path,
    options: LabelingOptions,
    checkpoint: Path | Sequence[Path],
) -> None:
    """Label every scan and write its files to ``out``; UserError after the last one if any failed.

    checkpoint  of the predictor, or those of its members; recorded in the summaries
    """
    names, source = plan_outputs(scans, out, options, checkpoint)
    jobs = ((path, partial(label_scan, predictor, space, path, out / names[path], options, source)) for path in scans)
    report_scans(jobs, scans)


def plan_outputs(
    scans: Sequence[Path], out: Path, options: LabelingOptions, checkpoint: Path | Sequence[Path]
) -> tuple[dict[Path, str], dict[str, str]]:
    """The base name of each scan's files in ``out``, and the source that their summaries record.

    UserError if a file would be replaced that must not be.
    """
    page = options.page is not None
    names = name_outputs(scans, out, page)
    source = checkpoint_source(checkpoint)
    if not options.overwrite:
        refuse_to_overwrite(names, out, source, page)
    return names, source


def report_scans(results: Iterable[tuple[Path, Callable[[], ClassTable]]], scans: Sequence[Path]) -> None:
    """Print the classes of each scan, which calling its result returns; UserError after the last one if any failed."""
    failed: set[Path] = set()
    for path, result in results:
        try:
            classes, title = result()
        except UserError as error:
            if len(scans) == 1:
                raise
            logger.error(str(error))
            failed.add(path)
        else:
            print_class_table(classes, title)
    if failed:
        names = ", ".join(str(path) for path in scans if path in failed)
        raise UserError(f"{len(failed)} of {len(scans)} scans failed: {names}")


def label_scan(
    predictor: Predictor,
    space: LabelSpace,
    path: Path,
    target: Path,
    options: LabelingOptions,
    source: dict[str, str],
) -> ClassTable:
    """Label the scan at ``path``, write the files of ``LabeledScan.write``, return its classes and a title.

    source  of the predictor, see ``checkpoint_source``
    UserError if the scan cannot be read or a file cannot be written.
    """
    scan = read_scan(path, options.columns)
    if options.max_points is not None and len(scan) > options.max_points:
        raise UserError(f"{path}: {len(scan):,} points, but no more than {options.max_points:,} are taken; thin it")
    if scan.layout:
        logger.info(f"{path}: columns: {scan.layout}")
    result = predict_scan(predictor, space, scan, target.name, options, path)
    classes = result.classes()
    summary = {
        "input": os.path.abspath(path),
        **source,
        "label_space": stored_space(space),
        "voxel_size": predictor.voxel_size,
        **({} if options.vote is None else {"vote": options.vote}),
        "points": len(scan),
        "unlabelled": int((~result.usable).sum()),
        "mean_confidence": result.mean_confidence,
        "warnings": [],
        "classes": classes,
    }
    try:
        for warning in result.write(target, summary):
            logger.warning(f"{path}: {warning}")
        if options.page is not None:
            options.page(result, target)
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror or error})") from None
    return classes, f"{target.name}: {len(scan):,} points"


def predict_scan(
    predictor: Predictor,
    space: LabelSpace,
    scan: Scan,
    name: str,
    options: LabelingOptions,
    path: Path | None = None,
) -> LabeledScan:
    """Label the points of a scan; logs the warnings.

    name  of the scan, for progress and titles
    path  that it was read from
    UserError if it has no usable points or is too large for the voxel grid.
    """
    shown = path or name
    try:
        scene, usable, warnings = to_scene(
            scan, name, options.unit, options.up, predictor.features, predictor.voxel_size
        )
    except UserError as error:
        raise UserError(f"{shown}: {error}") from None
    for warning in warnings:
        logger.warning(f"{shown}: {warning}")
    voxels = voxelize(scene.coord, predictor.voxel_size)
    given = options.overlap
    overlap = receptive_field(predictor) if given is None else math.ceil(given * predictor.coarsest)
    votes = None
    if options.vote is not None:
        votes = SegmentVotes(scan_segments(options.vote, scan, path, scene.coord.numpy(), usable))
    labels, confidence = predict_in_chunks(predictor, scene, voxels, options.max_voxels, overlap, votes)
    mean = float(confidence.mean())
    if mean < LOW_CONFIDENCE:
        warnings.append(
            f"the mean confidence is {percent(mean)} %: the network hardly knows such scans; "
            "check unit, up and colors, and look at the labels before you use them"
        )
        logger.warning(f"{shown}: {warnings[-1]}")
    own = voxels.index.numpy(), predictor.voxel_size, space, warnings
    return LabeledScan(path, scan, scene, usable, labels.numpy(), confidence.numpy(), *own)
