"""Pretrain with Contrastive Scene Contexts (Hou et al., CVPR 2021): settings, objective, data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field, replace
from itertools import chain
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ceco3d.losses import Partition, SceneContextLoss
from ceco3d.models import Network
from ceco3d.preprocessing.datasets import processed_scenes, training_splits
from ceco3d.pretraining.dataset import FramePairs, PairDataset, ScanPairs
from ceco3d.pretraining.frames import list_frame_pairs
from ceco3d.pretraining.method import Pretraining, PretrainSettings
from ceco3d.pretraining.pairs import PairBatch, PairCollate, PairMaker
from ceco3d.training.batches import make_prefetcher
from ceco3d.training.build import make_network
from ceco3d.training.objective import TrainingObjective
from ceco3d.utils.errors import UserError
from ceco3d.utils.settings import Count, Positive, settings


class ContrastObjective(TrainingObjective[PairBatch]):
    """``PairBatch -> {"loss": ..., ...}``, see SceneContextLoss; the features are the outputs of ``model.final``."""

    def __init__(self, model: Network, criterion: SceneContextLoss) -> None:
        super().__init__()
        self.model, self.criterion = model, criterion

    def prepare(self, batch: PairBatch) -> PairBatch:
        """``batch`` with the kernel maps of both views."""
        first, second = (view.prepared(self.model.build_maps) for view in (batch.first, batch.second))
        return replace(batch, first=first, second=second)

    def forward(self, batch: PairBatch) -> dict[str, Tensor]:
        """Scalars by name. The network sees each view as its own batch, so batch norms do too, as in CSC."""
        first, second = (self.model(view.sparse()).features for view in (batch.first, batch.second))
        rows, other_rows = batch.matches.unbind(1)
        losses: dict[str, Tensor] = self.criterion(first[rows], second[other_rows], batch.positions, batch.counts)
        return losses


@settings
class PartitionSettings:
    """Arguments of ``Partition``."""

    kind: str = "fast"
    r1: Positive = 2.0
    r2: Positive = 20.0
    bins_xy: Count = 2
    bins_zy: Count = 2


@settings
class ContrastiveSceneContexts:
    """``method=csc`` (conf/method/csc.yaml explains every field)."""

    name: str = "csc"
    frames: Path | None = None
    min_overlap: Annotated[float, Field(gt=0, le=1, strict=True)] = 0.3
    color_jitter: Positive = 0.01
    queries: Count = 4096
    temperature: Positive = 0.4
    out_channels: Count = 32
    partition: PartitionSettings = field(default_factory=PartitionSettings)
    voxel_sizes: Mapping[str, float] = field(default_factory=dict)

    def build(self, settings: PretrainSettings, device: torch.device) -> Pretraining:
        """The objective and its batches; UserError on bad settings or data."""
        if settings.trainer.augment_on == "device" or settings.trainer.cache == "device":
            raise UserError(
                "trainer.augment_on=device and trainer.cache=device: method=csc makes its views in the loader; leave "
                "them out"
            )
        model = make_network(settings, out_channels=self.out_channels)
        try:
            criterion = SceneContextLoss(Partition(**asdict(self.partition)), self.temperature)
        except ValueError as error:
            raise UserError(f"method=csc: {error}") from error
        collate = PairCollate(settings.voxel_size, list(settings.features), settings.seed)
        batches = make_prefetcher(
            settings.trainer, self.dataset(settings), collate, lambda batch: batch.to(device), device
        )
        return Pretraining(ContrastObjective(model, criterion).to(device), batches, self.out_channels)

    def dataset(self, settings: PretrainSettings) -> PairDataset:
        """Pairs of real frames if ``frames`` is set, else of virtual cameras in the training scenes."""
        make = PairMaker(settings.voxel_size, self.queries, self.color_jitter)
        if self.frames is not None:
            if "normal" in settings.features:
                raise UserError("method.frames: frames have no normals; use features=[color] or [color,coord]")
            pairs = list_frame_pairs(self.frames, self.min_overlap)
            return FramePairs(pairs, make, settings.seed, settings.trainer.repeat)
        scenes = processed_scenes(settings.dataset, training_splits(settings.dataset), settings.workers)
        folders = [*chain(*scenes.values())]
        space = settings.dataset.space()
        return ScanPairs(folders, space, self.min_overlap, make, settings.seed, settings.trainer.repeat)
