"""Evaluate scenes and label scans on the workers of a cluster: one task for each, which loads the network once."""

from __future__ import annotations

import json
import platform
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from torch import Tensor

from ceco3d.data.labels import LabelSpace, restored_space, stored_space
from ceco3d.data.scenes.missing import warn_missing
from ceco3d.inference.evaluation import Evaluation, empty_moments, label_scene, summarize
from ceco3d.inference.outputs import checkpoint_source
from ceco3d.inference.predictor import Predictor, View, load_predictor
from ceco3d.inference.scan_labeling import ClassTable, LabelingOptions, label_scan, plan_outputs, report_scans
from ceco3d.metrics import Calibration, ClassMoments, Confusion
from ceco3d.utils.cluster import Cluster, WorkerDied
from ceco3d.utils.cluster_task import check_visible
from ceco3d.utils.device import choose_device, choose_precision
from ceco3d.utils.errors import UserError
from ceco3d.utils.parallel import run_parallel
from ceco3d.utils.progress import track

_loading = threading.Lock()  # a worker may have several threads


@dataclass(frozen=True)
class PredictorSource:
    """What a worker needs to load a predictor. The checkpoint must not have changed since ``sha256`` was computed.

    classes, head      JSON of the label space that is predicted, and the name of the part of a joint training, if given
    device, precision  names, see ``utils.device``: workers may have GPUs where this machine has none
    """

    checkpoint: Path
    sha256: str
    device: str
    precision: str
    views: tuple[View, ...]
    voxel_size: float
    classes: str
    head: str | None = None
    fragments: int | None = 1

    def load(self) -> tuple[Predictor, LabelSpace]:
        """The predictor and its label space; a process keeps the last one. UserError if the file is not the same."""
        check_visible(self.checkpoint)
        with _loading:
            return _load(self)


@lru_cache(maxsize=1)
def _load(source: PredictorSource) -> tuple[Predictor, LabelSpace]:
    if checkpoint_source(source.checkpoint)["checkpoint_sha256"] != source.sha256:
        raise UserError(f"{source.checkpoint}: worker {platform.node()} sees another file there, or it has changed")
    device = choose_device(source.device)
    dtype, wanted = choose_precision(source.precision, device), restored_space(json.loads(source.classes))
    own = None, source.head, wanted, source.fragments
    predictor, space = load_predictor(source.checkpoint, device, source.views, dtype, *own)
    predictor.voxel_size = source.voxel_size  # the caller has warned if it is not the checkpoint's
    return predictor, space


def predictor_source(
    predictor: Predictor, checkpoint: Path, device: str, precision: str, space: LabelSpace, head: str | None = None
) -> PredictorSource:
    """How workers load ``predictor``, which this process has loaded from ``checkpoint``."""
    sha256 = checkpoint_source(checkpoint)["checkpoint_sha256"]
    return PredictorSource(
        checkpoint.absolute(),
        sha256,
        device,
        precision,
        tuple(predictor.views),
        predictor.voxel_size,
        json.dumps(stored_space(space)),
        head,
        predictor.fragments,
    )


@dataclass(frozen=True)
class SceneJob:
    """One processed scene, the ``number``-th."""

    folder: Path
    number: int


def evaluate_on_cluster(
    cluster: Cluster, source: PredictorSource, predictor: Predictor, folders: Sequence[Path], space: LabelSpace
) -> Evaluation:
    """``evaluate_scenes`` with one task a scene: the same scores, moments equal up to the order of summation.

    predictor  the same as ``source`` loads, on any device
    UserError if a scene cannot be read or kills its workers.
    """
    warn_missing(folders, predictor.features)
    jobs = [SceneJob(folder, number) for number, folder in enumerate(folders)]
    confusion, moments, calibration = Confusion(len(space)), empty_moments(predictor, space), Calibration()
    sums: dict[str, Tensor] = {}
    waiting: dict[int, tuple[Confusion, ClassMoments, Calibration]] = {}
    for job, future in track(
        run_parallel(partial(_measure, source=source), jobs, cluster), len(jobs), "labeling scenes"
    ):
        try:
            waiting[job.number] = future.result()
        except WorkerDied as died:
            raise UserError(f"{job.folder}: {died}") from None
        while len(sums) in waiting:  # in the order of scenes, whatever order they finish in
            scene, added, bins = waiting.pop(len(sums))
            sums[folders[len(sums)].name] = scene.sums
            confusion.counts += scene.counts
            moments.add(added)
            calibration.sums += bins.sums
    return summarize(predictor, space, confusion, moments, calibration, sums)


def _measure(job: SceneJob, source: PredictorSource) -> tuple[Confusion, ClassMoments, Calibration]:
    check_visible(job.folder)
    predictor, space = source.load()
    confusion, moments, calibration = Confusion(len(space)), empty_moments(predictor, space), Calibration()
    moments.seed(job.number)
    label_scene(predictor, job.folder, space, confusion, moments, calibration)
    return confusion, moments, calibration


@dataclass(frozen=True)
class ScanJob:
    """One scan file; ``target``: path of the written files without suffix."""

    path: Path
    target: Path


def label_scans_on_cluster(
    cluster: Cluster,
    source: PredictorSource,
    scans: Sequence[Path],
    out: Path,
    options: LabelingOptions,
    checkpoint: Path,
) -> None:
    """``label_scans`` with one task a scan; what it logs and prints appears here as the scans finish."""
    names, written = plan_outputs(scans, out, options, checkpoint)
    out.mkdir(parents=True, exist_ok=True)  # workers must see it
    jobs = [ScanJob(path, out / names[path]) for path in scans]
    label = partial(_label, source=source, options=options, written=written)
    done = run_parallel(label, jobs, cluster)
    report_scans(((job.path, partial(_table, job, future)) for job, future in done), scans)


def _label(job: ScanJob, source: PredictorSource, options: LabelingOptions, written: dict[str, str]) -> ClassTable:
    check_visible(job.path, job.target.parent)
    return label_scan(*source.load(), job.path, job.target, options, written)


def _table(job: ScanJob, future: Future[ClassTable]) -> ClassTable:
    try:
        return future.result()
    except WorkerDied as died:
        raise UserError(f"{job.path}: {died}") from None
