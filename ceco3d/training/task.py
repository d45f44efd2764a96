"""What a training is about: its classifier, loss, batches and scores. ``joint`` has the same for several data sets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from ceco3d.data.labels import LabelSpace, stored_space
from ceco3d.data.scenes.frequency import class_frequency
from ceco3d.inference.evaluation import Evaluation, ReportFailed, evaluate_scenes
from ceco3d.inference.predictor import Predictor
from ceco3d.models import Network
from ceco3d.preprocessing.datasets import training_scenes
from ceco3d.runs.folder import CLASSES
from ceco3d.training import build
from ceco3d.training.batches import training_batches
from ceco3d.training.prefetcher import Prefetcher
from ceco3d.training.results import Results
from ceco3d.training.settings import TrainSettings
from ceco3d.utils.atomic import retry_on_disk_error, whole_file, write_json


class Task(Protocol):
    """What ``run.train`` needs to know of the data."""

    @property
    def settings(self) -> TrainSettings:
        """Of the run, with the features that the scenes have."""
        ...

    def network(self) -> Network:
        """The network, with the weights of ``init``."""
        ...

    def loss(self, in_channels: int) -> nn.Module:
        """The loss of logits, features (N, ``in_channels``), labels and scenes."""
        ...

    def batches(self, device: torch.device) -> Prefetcher:
        """The batches of the training."""
        ...

    def setup(self) -> dict[str, Any]:
        """What checkpoints hold beside the weights, see ``models.load_trained``."""
        ...

    def evaluate(self, predictor: Predictor, report_failed: ReportFailed) -> Evaluation:
        """The scores of ``predictor``, which has all outputs of the network, on the validation scenes."""
        ...

    def write_classes(self, folder: Path) -> None:
        """Write ``classes.json``."""
        ...

    def write(self, folder: Path, evaluation: Evaluation, predictor: Predictor) -> Results:
        """Write the scores and measures at the end, ``metrics.json`` as the last file."""
        ...


@dataclass(frozen=True)
class Segmentation:
    """A network that predicts the classes of one data set.

    train, val  folders of its processed scenes
    """

    settings: TrainSettings
    space: LabelSpace
    train: list[Path]
    val: list[Path]

    @classmethod
    def read(cls, settings: TrainSettings) -> Segmentation:
        """The task of ``settings.dataset``, whose scenes are processed first. UserError on bad data."""
        train, val = training_scenes(settings.dataset, settings.workers)
        found = build.with_features(settings, train)
        return cls(found, settings.dataset.space(), train, val)

    def network(self) -> Network:
        """See Task."""
        return build.make_network(self.settings)

    def loss(self, in_channels: int) -> nn.Module:
        """See Task."""
        return build.make_loss(self.settings, in_channels, self.train)

    def batches(self, device: torch.device) -> Prefetcher:
        """See Task."""
        return training_batches(self.settings, self.train, device)

    def setup(self) -> dict[str, Any]:
        """See Task."""
        return build.network_setup(self.settings, len(self.space), self.space)

    def evaluate(self, predictor: Predictor, report_failed: ReportFailed) -> Evaluation:
        """See Task."""
        return evaluate_scenes(predictor, self.val, self.space, report_failed)

    def write_classes(self, folder: Path) -> None:
        """See Task."""
        write_json(folder / CLASSES, stored_space(self.space))

    def write(self, folder: Path, evaluation: Evaluation, predictor: Predictor) -> Results:
        """See Task."""
        retry_on_disk_error(partial(self._write_collapse, folder / "collapse.npz", evaluation, predictor))
        retry_on_disk_error(lambda: evaluation.write(folder, "val"))  # last: metrics.json marks the run as finished
        return Results(folder, evaluation, self.space, self.val, predictor.device)

    def _write_collapse(self, path: Path, evaluation: Evaluation, predictor: Predictor) -> None:
        """Write the data of the neural-collapse figures: class means, classifier, sampled features, class counts."""
        moments = evaluation.moments
        with whole_file(path) as file:
            np.savez(
                file,
                centers=moments.centers.numpy(),
                classifiers=predictor.classifier[0].detach().cpu().numpy(),
                counts=moments.counts.numpy(),
                train_counts=class_frequency(self.train, self.space)[1].numpy(),
                features=moments.features.numpy(),
                feature_labels=moments.labels.numpy(),
            )
