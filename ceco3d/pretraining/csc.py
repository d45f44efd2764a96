"""Contrastive Scene Contexts (Hou et al., CVPR 2021): its objective and its data, from the configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from ceco3d.cli.app import number
from ceco3d.losses import Partition, SceneContextLoss
from ceco3d.models import MinkUNet
from ceco3d.preprocessing.sources import processed_scenes
from ceco3d.pretraining.dataset import FramePairs, PairDataset, ScanPairs
from ceco3d.pretraining.frames import list_frame_pairs
from ceco3d.pretraining.method import Pretraining
from ceco3d.pretraining.pairs import PairBatch, PairCollate, PairMaker
from ceco3d.training.build import make_feed, make_model
from ceco3d.utils.errors import UserError


class ContrastObjective(nn.Module):
    """``PairBatch -> {"loss": ..., ...}``, see SceneContextLoss; the features are the outputs of ``model.final``."""

    def __init__(self, model: MinkUNet, criterion: SceneContextLoss) -> None:
        super().__init__()
        self.model, self.criterion = model, criterion

    def prepare(self, batch: PairBatch) -> PairBatch:
        """The batch with everything that ``forward`` would have to wait for."""
        first, second = (view.prepared(self.model.build_maps) for view in (batch.first, batch.second))
        return replace(batch, first=first, second=second)

    def forward(self, batch: PairBatch) -> dict[str, Tensor]:
        """Scalars by name. Each view is a batch of its own for the batch norms, as in CSC."""
        first, second = (self.model(view.sparse()).features for view in (batch.first, batch.second))
        rows, other_rows = batch.matches.unbind(1)
        return self.criterion(first[rows], second[other_rows], batch.positions, batch.counts)


def build(cfg: DictConfig, device: torch.device) -> Pretraining:
    """What ``method=csc`` (conf/method/csc.yaml) trains and on what; UserError on bad configuration or data."""
    if cfg.trainer.augment_on != "loader":
        raise UserError(f"trainer.augment_on={cfg.trainer.augment_on}: views are made by the loader, choose loader")
    model = make_model(cfg, out_channels=number(cfg, "method.out_channels", whole=True))
    for key in ("r1", "r2", "bins_xy", "bins_zy"):
        number(cfg, f"method.partition.{key}", whole=key.startswith("bins"))
    try:
        criterion = SceneContextLoss(Partition(**cfg.method.partition), number(cfg, "method.temperature"))
    except ValueError as error:
        raise UserError(f"method=csc: {error}") from error
    collate = PairCollate(cfg.voxel_size, list(cfg.features), cfg.seed)
    feed = make_feed(cfg, make_dataset(cfg), collate, lambda batch: batch.to(device), device)
    return Pretraining(ContrastObjective(model, criterion).to(device), feed)


def make_dataset(cfg: DictConfig) -> PairDataset:
    """Pairs of real frames where ``method.frames`` names some, else of virtual cameras in the training scenes."""
    method = cfg.method
    if not 0 < number(cfg, "method.min_overlap") <= 1:
        raise UserError(f"method.min_overlap={method.min_overlap}: must be a share, at most 1")
    make = PairMaker(cfg.voxel_size, number(cfg, "method.queries", whole=True), number(cfg, "method.color_jitter"))
    if method.frames is not None:
        if "normal" in cfg.features:
            raise UserError("method.frames: frames have no normals; use features=[color] or [color,coord]")
        pairs = list_frame_pairs(Path(method.frames), method.min_overlap)
        return FramePairs(pairs, make, cfg.seed, cfg.trainer.repeat)
    folders = processed_scenes(cfg.dataset, ("train",), cfg.workers)["train"]
    return ScanPairs(folders, cfg.dataset.label_space, method.min_overlap, make, cfg.seed, cfg.trainer.repeat)
