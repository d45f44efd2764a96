"""Typed settings of a training run; ``conf/train.yaml`` and its groups explain every field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ceco3d.data.batch import OFFSET_RANGE
from ceco3d.data.transforms import SphereCrop
from ceco3d.models.pretrained import WeightsPath
from ceco3d.preprocessing.datasets import DataSet
from ceco3d.training.schedule import Schedule
from ceco3d.utils.components import Component
from ceco3d.utils.settings import (
    BUILT,
    CommonSettings,
    Count,
    Factory,
    FilePath,
    Index,
    Number,
    Positive,
    Share,
    Text,
    settings,
)

Decay = Annotated[float, Field(gt=0, lt=1, strict=True)]
LayerDecay = Annotated[float, Field(gt=0, le=1, strict=True)]


def _auto_list(value: Any) -> Any:
    return ["auto"] if value == "auto" else value


@settings
class TrainerSettings:
    """Settings of the training loop (conf/trainer)."""

    epochs: Count
    batch_size: Count
    validate_every: Count = 10
    log_every: Count = 50
    repeat: Count = 1
    accumulate: Count = 1
    clip_grad_norm: Positive | None = 10.0
    ema: Decay | None = None
    workers: Index = 0
    cache: Positive | Literal["device"] | None = None
    batch_voxels: Count | None = None
    augment_on: Literal["auto", "loader", "device"] = "auto"
    sync_batch_norm: bool = False
    freeze: Sequence[str] = ()
    layer_decay: LayerDecay | None = None
    save_every: Count | None = None
    max_bad_scenes: Share = 0.1
    max_skipped: Count = 10


@settings
class PasteSettings:
    """Paste objects from other scenes: arguments of ``InstanceBank`` and ``PasteInstances``."""

    count: Count = 5
    tries: Count = 50
    power: Number = 0.5
    min_points: Count = 100
    max_points: Count = 20_000
    turn: Number = 180.0
    scale: tuple[Positive, Positive] = (0.9, 1.1)


@settings
class TransformSettings:
    """Augmentation (conf/transforms). Factories of ``train`` are called with ``structure`` and ``space``."""

    train: Sequence[Factory] = ()
    block: Positive | None = None
    crop: Annotated[SphereCrop | None, BUILT] = None
    paste: PasteSettings | None = None
    mix_prob: Share = 0.0
    mix: Literal["centers", "corners"] = "centers"
    offset: Index = OFFSET_RANGE
    crop_voxels: Annotated[SphereCrop | None, BUILT] = None


@settings
class RunSettings(CommonSettings):
    """Settings shared by training and pretraining.

    model      builds the network from ``in_channels``, ``out_channels`` and ``engine``
    optimizer  builds a torch optimizer from ``params``
    features   of the voxels, see ``data.batch.point_features``; ["auto"]: what the training scenes have
    logger     each builds a logger from ``run_dir`` and ``start``
    config     plain values for ``config.yaml``
    """

    dataset: Annotated[DataSet, BUILT]
    model: Component
    transforms: TransformSettings
    optimizer: Factory
    scheduler: Annotated[Schedule, BUILT]
    trainer: TrainerSettings
    logger: Mapping[str, Factory]
    run_dir: FilePath
    resume: Literal["auto"] | None = None
    init: WeightsPath | None = None
    init_leave_out: Sequence[str] = ()
    init_minkowski: Annotated[Literal["auto", "0.4", "0.5"], BeforeValidator(str)] = "auto"
    engine: str = "auto"
    voxel_size: Positive
    features: Annotated[Sequence[str], Field(min_length=1), BeforeValidator(_auto_list)]
    config: Mapping[str, Any]


@settings
class PretrainRequest:
    """Pretraining before training (conf/recipe/csc.yaml); None keeps the value of the method, or of the training."""

    method: str
    run_dir: FilePath
    epochs: Count | None = None
    voxel_size: Positive | None = None
    bn_momentum: Share | None = None


@settings
class TrainSettings(RunSettings):
    """``conf/train.yaml``.

    name  of the run, in tables and pictures
    loss  builds the loss from ``num_classes``, ``in_channels``, ``class_names``, ``class_points`` and ``class_counts``
          (training points and training scenes of each class)
    """

    name: Text
    loss: Component
    pretrain: PretrainRequest | None = None
