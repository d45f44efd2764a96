"""Train one backbone on several data sets, each with a classifier, a loss and scores of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ceco3d.data.dataset import SceneDataset
from ceco3d.data.joint import JointDataset, PartTransforms
from ceco3d.data.labels import LabelBlock, label_blocks, stored_blocks
from ceco3d.data.scenes.blocks import find_pieces
from ceco3d.inference.evaluation import Evaluation, ReportFailed
from ceco3d.inference.joint import JointEvaluation, evaluate_parts
from ceco3d.inference.predictor import Predictor
from ceco3d.losses import JointLoss
from ceco3d.models import Network
from ceco3d.preprocessing.datasets import training_scenes
from ceco3d.preprocessing.joint import Joint
from ceco3d.training import build
from ceco3d.training.batches import (
    array_reader,
    augmentation,
    augments_on_device,
    collated,
    device_cache,
    other_rooms,
)
from ceco3d.training.prefetcher import Prefetcher
from ceco3d.training.results import Results
from ceco3d.training.settings import TrainSettings
from ceco3d.training.task import Segmentation
from ceco3d.utils.errors import UserError


@dataclass(frozen=True)
class JointSegmentation:
    """The task of ``preprocessing.joint.Joint``: the parts by name, and their shares of the training scenes."""

    settings: TrainSettings
    parts: Mapping[str, Segmentation]
    shares: tuple[float, ...]

    @classmethod
    def read(cls, settings: TrainSettings, dataset: Joint) -> JointSegmentation:
        """The task of ``dataset``. UserError on bad data, or settings that joint training does not know."""
        if settings.trainer.batch_voxels is not None:
            raise UserError(
                f"trainer.batch_voxels={settings.trainer.batch_voxels}: does not work with several data sets, whose "
                "scenes take turns; set trainer.batch_size"
            )
        scenes = {name: training_scenes(part, settings.workers) for name, part in dataset.parts.items()}
        settings = build.with_features(settings, [*chain(*(train for train, _ in scenes.values()))])
        parts = {
            name: Segmentation(replace(settings, dataset=part), part.space(), train, val)
            for (name, part), (train, val) in zip(dataset.parts.items(), scenes.values(), strict=True)
        }
        return cls(settings, parts, dataset.draw_shares)

    @cached_property
    def blocks(self) -> tuple[LabelBlock, ...]:
        """The classes of the parts. UserError if there are too many."""
        try:
            return label_blocks({name: part.space for name, part in self.parts.items()})
        except ValueError as error:
            raise UserError(f"dataset.parts: {error}") from error

    def network(self) -> Network:
        """See Task."""
        return build.make_network(self.settings, self.blocks[-1].outputs.stop, self.blocks)

    def loss(self, in_channels: int) -> nn.Module:
        """See Task."""
        return JointLoss(self.blocks, [part.loss(in_channels) for part in self.parts.values()])

    def batches(self, device: torch.device) -> Prefetcher:
        """See Task."""
        settings, trainer, parts = self.settings, self.settings.trainer, list(self.parts.values())
        load = array_reader(trainer, [*chain(*(part.train for part in parts))])
        crop, features = settings.transforms.crop, settings.features
        pieces = [find_pieces(part.train, settings.transforms.block) for part in parts]
        kept = device_cache(settings, [*chain(*pieces)], device)
        rooms = [other_rooms(settings, part.settings.dataset) for part in parts]
        read = [
            SceneDataset(own, part.space, None, settings.seed, 1, crop, load, features, kept, renew)
            for own, part, renew in zip(pieces, parts, rooms, strict=True)
        ]
        own = [augmentation(part.settings, part.train, part.space) for part in parts]
        transforms = PartTransforms(self.blocks, own)
        applied = None if augments_on_device(trainer, device) else transforms
        dataset = JointDataset(read, self.blocks, self.shares, applied, settings.seed, trainer.repeat)
        return collated(settings, dataset, transforms, device, kept=kept)

    def setup(self) -> dict[str, Any]:
        """See Task."""
        setup = build.network_setup(self.settings, self.blocks[-1].outputs.stop, None)
        return setup | {"label_space": stored_blocks(self.blocks)}

    def evaluate(self, predictor: Predictor, report_failed: ReportFailed) -> JointEvaluation:
        """See Task."""
        return evaluate_parts(predictor, self.blocks, [part.val for part in self.parts.values()], report_failed)

    def write_classes(self, folder: Path) -> None:
        """See Task: those of the first part, and in a folder for each part its own."""
        next(iter(self.parts.values())).write_classes(folder)
        for name, part in self.parts.items():
            part.write_classes(folder / name)

    def write(self, folder: Path, evaluation: Evaluation, predictor: Predictor) -> Results:
        """See Task: what belongs to each part into a folder of its own, then that of the first part."""
        assert isinstance(evaluation, JointEvaluation)
        for block, part in zip(self.blocks, self.parts.values(), strict=True):
            part.write(folder / block.name, evaluation.parts[block.name], predictor.with_outputs(block.outputs))
        block, part = self.blocks[0], next(iter(self.parts.values()))
        results = part.write(folder, evaluation, predictor.with_outputs(block.outputs))
        return replace(results, head=block.name)
