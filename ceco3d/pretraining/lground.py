"""LGround (Rozenberszki et al., ECCV 2022): features pulled to text, its objective and its data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from ceco3d.cli.app import number
from ceco3d.data.batch import Batch
from ceco3d.data.scenes.labels import label_space
from ceco3d.inference.evaluation import Evaluation, ReportFailed, evaluate_scenes
from ceco3d.inference.predictor import Predictor
from ceco3d.losses import LanguageHead, LanguageLoss
from ceco3d.models import MinkUNet
from ceco3d.preprocessing.sources import processed_scenes
from ceco3d.pretraining.anchors import load_anchors
from ceco3d.pretraining.method import Pretraining
from ceco3d.training.build import make_model, make_training_feed
from ceco3d.utils.device import choose_precision
from ceco3d.utils.errors import UserError


class LanguageObjective(nn.Module):
    """``Batch -> {"loss": ...}``; ``criterion`` holds the projection to the anchors' space and the loss.

    ``model.final`` takes no part in it: ``write_classifier`` makes it the nearest-anchor classifier.
    """

    def __init__(self, model: MinkUNet, head: LanguageHead, loss: LanguageLoss) -> None:
        super().__init__()
        self.model = model
        self.model.final.requires_grad_(False)
        self.criterion = nn.ModuleDict({"head": head, "loss": loss})

    def prepare(self, batch: Batch) -> Batch:
        """The batch with everything that ``forward`` would have to wait for."""
        return batch.prepared(self.model.build_maps)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars by name."""
        points = self.model.forward_features(batch.sparse()).features
        return {"loss": self.criterion["loss"](self.criterion["head"](points), batch.labels)}

    def write_classifier(self) -> None:
        """Let ``model.final`` say which anchor is nearest, so that the network can be scored like any other."""
        weight, bias = self.criterion["head"].classifier()
        with torch.no_grad():
            self.model.final.kernel.copy_(weight.T)
            self.model.final.bias.copy_(bias[None])


def build(cfg: DictConfig, device: torch.device) -> Pretraining:
    """What ``method=lground`` (conf/method/lground.yaml) trains and on what; UserError on bad configuration or data."""
    number(cfg, "trainer.validate_every", whole=True)
    space = label_space(cfg.dataset.label_space)
    anchors = load_anchors(cfg.method.anchors, space)
    model = make_model(cfg)
    try:
        loss = LanguageLoss(anchors, **cfg.method.loss, seed=cfg.seed)
        head = LanguageHead(model.feature_channels, anchors)
    except (ValueError, TypeError) as error:
        raise UserError(f"method=lground: {error}") from error
    scenes = processed_scenes(cfg.dataset, ("train", "val"), cfg.workers)
    objective = LanguageObjective(model, head, loss).to(device)
    return Pretraining(
        objective,
        make_training_feed(cfg, scenes["train"], device),
        _validation(cfg, objective, scenes, device),
        space,
    )


def _validation(
    cfg: DictConfig, objective: LanguageObjective, scenes: dict, device: torch.device
) -> Callable[[ReportFailed], Evaluation]:
    dtype = choose_precision(cfg.precision, device)
    predictor = Predictor(objective.model, cfg.features, cfg.voxel_size, device, dtype=dtype)
    space = label_space(cfg.dataset.label_space)

    def validate(report_failed: ReportFailed) -> Evaluation:
        objective.write_classifier()
        return evaluate_scenes(predictor, scenes["val"], space, report_failed)

    return validate
