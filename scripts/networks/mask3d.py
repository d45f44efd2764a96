"""Mask3D as a whole: what its file imports beside MinkowskiEngine, its settings for ScanNet, and one call of it."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

SETTINGS = {  # conf/model/mask3d.yaml, with 20 queries instead of 100
    "hidden_dim": 128, "dim_feedforward": 1024, "num_queries": 20, "num_heads": 8, "num_decoders": 3, "dropout": 0.0,
    "pre_norm": False, "use_level_embed": False, "normalize_pos_enc": True, "positional_encoding_type": "fourier",
    "gauss_scale": 1.0, "hlevels": [0, 1, 2, 3], "non_parametric_queries": True, "random_query_both": False,
    "random_normal": False, "random_queries": False, "use_np_features": False,
    "sample_sizes": [200, 800, 3200, 12800, 51200], "max_sample_size": False, "shared_decoder": True,
    "train_on_segments": True, "scatter_type": "mean", "voxel_size": 0.02,
}  # fmt: skip


def build(in_channels: int, out_channels: int, config: Any, D: int) -> nn.Module:
    """The network with its backbone; its file's other imports are the stand-ins below."""
    _provide("hydra", utils=types.SimpleNamespace(instantiate=lambda make: make()))
    _provide("third_party")
    _provide("third_party.pointnet2")
    _provide("third_party.pointnet2.pointnet2_utils", furthest_point_sample=furthest_points)
    _provide("torch_scatter", scatter_mean=scatter_mean, scatter_max=None, scatter_min=None)
    backbone = import_module("models.res16unet").Res16UNet34C

    def make() -> nn.Module:
        return backbone(in_channels, out_channels, config, D=D, out_fpn=True)

    model: nn.Module = import_module("models.mask3d").Mask3D(
        types.SimpleNamespace(backbone=make), num_classes=out_channels, **SETTINGS
    )
    return model


def call(model: Callable[..., Any], tensor: Any) -> list[tuple[Tensor, Tensor]]:
    """(rows, logits) of classes and of the masks of segments, of each decoder step. Segments are cubes of 4 voxels."""
    segments = [(rows // 4).unique(dim=0, return_inverse=True)[1] for rows in tensor.decomposed_coordinates]
    places = tensor.C[:, 1:].to(tensor.F.dtype)
    found = model(tensor, segments, raw_coordinates=places)
    logits = [each for step in (found, *found["aux_outputs"]) for each in (*step["pred_logits"], *step["pred_masks"])]
    return [(torch.arange(len(each))[:, None], each) for each in logits]


def furthest_points(places: Tensor, count: int) -> Tensor:
    """(1, N, 3) -> (1, count) rows: the first, then always the furthest from those before."""
    rows, distance = [0], torch.full_like(places[0, :, 0], float("inf"))
    while len(rows) < count:
        distance = torch.minimum(distance, (places[0] - places[0, rows[-1]]).square().sum(1))
        rows.append(int(distance.argmax()))
    return torch.tensor([rows])


def scatter_mean(values: Tensor, groups: Tensor, dim: int) -> Tensor:
    """(N, C), (N,) -> the mean of each group (G, C)."""
    sums = values.new_zeros(int(groups.max()) + 1, values.shape[1]).index_add(dim, groups, values)
    return sums / groups.bincount()[:, None]


def _provide(name: str, **names: Any) -> None:
    module = types.ModuleType(name)
    module.__dict__.update(names)
    sys.modules[name] = module
