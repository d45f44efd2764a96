"""Pretrain with LGround (Rozenberszki et al., ECCV 2022): pull features toward text. Settings, objective, data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, field
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ceco3d.data.batch import Batch
from ceco3d.inference.evaluation import Evaluation, ReportFailed, evaluate_scenes
from ceco3d.inference.predictor import Predictor
from ceco3d.losses import LanguageHead, LanguageLoss
from ceco3d.models import Network
from ceco3d.preprocessing.datasets import training_scenes
from ceco3d.pretraining.anchors import load_anchors
from ceco3d.pretraining.method import Pretraining, PretrainSettings
from ceco3d.training.batches import training_batches
from ceco3d.training.build import make_network
from ceco3d.training.objective import TrainingObjective
from ceco3d.utils.device import choose_precision
from ceco3d.utils.errors import UserError
from ceco3d.utils.settings import Count, settings


class LanguageObjective(TrainingObjective[Batch]):
    """``Batch -> {"loss": ...}``; ``criterion`` holds the projection to the space of the anchors, and the loss.

    ``model.final`` is not trained: ``write_classifier`` turns it into the nearest-anchor classifier.
    """

    def __init__(self, model: Network, head: LanguageHead, loss: LanguageLoss) -> None:
        super().__init__()
        self.model = model
        self.model.final.requires_grad_(False)
        self.criterion: nn.ModuleDict = nn.ModuleDict({"head": head, "loss": loss})

    def prepare(self, batch: Batch) -> Batch:
        """``batch`` with the kernel maps of the network."""
        return batch.prepared(self.model.build_maps)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars by name."""
        points = batch.at_labels(self.model.forward_features(batch.sparse()).features)
        return {"loss": self.criterion["loss"](self.criterion["head"](points), batch.labels)}

    def write_classifier(self) -> None:
        """Make ``model.final`` predict the nearest anchor, so the network can be scored like any other."""
        weight, bias = cast(LanguageHead, self.criterion["head"]).classifier()
        final = self.model.final
        assert final.bias is not None
        with torch.no_grad():
            final.kernel.copy_(weight.T)
            final.bias.copy_(bias[None])


@settings
class LanguageLossSettings:
    """Arguments of ``LanguageLoss``."""

    pos_margin: float = 0.0
    neg_margin: float = 0.6
    neg_weight: float = 1.0
    negatives: Count = 3


@settings
class LanguageGrounding:
    """``method=lground`` (conf/method/lground.yaml explains every field)."""

    name: str = "lground"
    anchors: str = "minilm"
    loss: LanguageLossSettings = field(default_factory=LanguageLossSettings)
    voxel_sizes: Mapping[str, float] = field(default_factory=dict)

    def build(self, settings: PretrainSettings, device: torch.device) -> Pretraining:
        """The objective and its batches; UserError on bad settings or data."""
        train, val = training_scenes(settings.dataset, settings.workers)
        space = settings.dataset.space()
        anchors = load_anchors(self.anchors, space)
        model = make_network(settings)
        try:
            loss = LanguageLoss(anchors, **asdict(self.loss), seed=settings.seed)
            head = LanguageHead(model.feature_channels, anchors)
        except ValueError as error:
            raise UserError(f"method=lground: {error}") from error
        objective = LanguageObjective(model, head, loss).to(device)
        batches = training_batches(settings, train, device)
        validate = _validation(settings, objective, val, device)
        return Pretraining(objective, batches, len(space), validate, space)


def _validation(
    settings: PretrainSettings, objective: LanguageObjective, folders: Sequence[Path], device: torch.device
) -> Callable[[ReportFailed], Evaluation]:
    dtype = choose_precision(settings.precision, device)
    predictor = Predictor(objective.model, settings.features, settings.voxel_size, device, dtype=dtype)
    space = settings.dataset.space()

    def validate(report_failed: ReportFailed) -> Evaluation:
        objective.write_classifier()
        return evaluate_scenes(predictor, folders, space, report_failed)

    return validate
