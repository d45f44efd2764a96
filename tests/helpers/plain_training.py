"""One training step in plain torch: networks of the MinkUNet family and the losses of the recipes.

Shares no code with ceco3d: weights come by name, voxels as a grid of booleans.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class Level:
    """The voxels of one resolution: ``cells`` (B, X, Y, Z) bool, and the rows of their features, in order."""

    def __init__(self, cells: Tensor) -> None:
        self.cells, self.voxels = cells, cells.nonzero()
        self.row = torch.full(cells.shape, -1).masked_scatter(cells, torch.arange(len(self.voxels)))

    def rows(self, scene: Tensor, place: Tensor) -> Tensor:
        """(N,) rows at ``place`` (N, 3), -1 where there is no voxel."""
        size = self.cells.shape[1]
        inside = ((place >= 0) & (place < size)).all(1)
        x, y, z = place.clamp(0, size - 1).T
        return torch.where(inside, self.row[scene, x, y, z], -1)

    def coarser(self) -> Level:
        """The level of half the resolution."""
        return Level(F.max_pool3d(self.cells[:, None].float(), 2)[:, 0] > 0)


def gather(x: Tensor, rows: Tensor) -> Tensor:
    """``x`` at ``rows``, zeros at -1."""
    return torch.cat([x, torch.zeros_like(x[:1])])[rows]


def offsets(size: int) -> list[tuple[int, int, int]]:
    """Of the kernels of MinkowskiEngine: x runs fastest, odd ones are centered, even ones start at the output."""
    steps = range(-(size // 2), size // 2 + 1) if size % 2 else range(size)
    return [(x, y, z) for z in steps for y in steps for x in steps]


class PlainNetwork:
    """The features of a residual U-Net: ``weights`` by name, ``eps`` of its batch norms, which use batch statistics."""

    def __init__(self, weights: dict[str, Tensor], eps: float, final_relu: bool = True) -> None:
        self.weights, self.eps, self.final_relu = weights, eps, final_relu

    def features(self, x: Tensor, cells: Tensor) -> Tensor:
        """(N, C) inputs of the voxels ``cells`` (B, X, Y, Z) bool -> (N, C')."""
        levels = [Level(cells)]
        for _ in range(4):
            levels.append(levels[-1].coarser())
        x = self.norm("bn0", self.convolve("conv0p1s1", x, levels[0])).relu()
        skips = []
        for k in range(1, 5):
            skips.append(x)
            x = self.strided(f"conv{k}p{2 ** (k - 1)}s2", x, levels[k - 1], levels[k])
            x = self.stage(f"block{k}", self.norm(f"bn{k}", x).relu(), levels[k])
        for k in range(4, 8):
            x = self.transposed(f"convtr{k}p{2 ** (8 - k)}s2", x, levels[8 - k], levels[7 - k])
            x = torch.cat([self.norm(f"bntr{k}", x).relu(), skips.pop()], 1)
            x = self.stage(f"block{k + 1}", x, levels[7 - k])
        return x

    def stage(self, name: str, x: Tensor, level: Level) -> Tensor:
        """The residual blocks ``name``."""
        number = 0
        while f"{name}.{number}.conv1.kernel" in self.weights:
            block, number = f"{name}.{number}", number + 1
            last = name == "block8" and f"{name}.{number}.conv1.kernel" not in self.weights
            out = self.norm(f"{block}.norm1", self.convolve(f"{block}.conv1", x, level)).relu()
            out = self.norm(f"{block}.norm2", self.convolve(f"{block}.conv2", out, level))
            if f"{block}.downsample.0.kernel" in self.weights:
                x = self.norm(f"{block}.downsample.1", x @ self.weights[f"{block}.downsample.0.kernel"])
            x = out + x
            x = x if last and not self.final_relu else x.relu()
        return x

    def convolve(self, name: str, x: Tensor, level: Level) -> Tensor:
        """The convolution ``name`` that keeps the voxels."""
        weight = self.weights[f"{name}.kernel"]
        scene, place = level.voxels[:, 0], level.voxels[:, 1:]
        steps = [torch.tensor(step) for step in offsets(round(len(weight) ** (1 / 3)))]
        products = [gather(x, level.rows(scene, place + step)) @ w for step, w in zip(steps, weight, strict=True)]
        return torch.stack(products).sum(0)

    def strided(self, name: str, x: Tensor, fine: Level, coarse: Level) -> Tensor:
        """The convolution ``name`` of kernel and stride 2."""
        scene, place = coarse.voxels[:, 0], coarse.voxels[:, 1:]
        products = [
            gather(x, fine.rows(scene, 2 * place + torch.tensor(step))) @ w
            for step, w in zip(offsets(2), self.weights[f"{name}.kernel"], strict=True)
        ]
        return torch.stack(products).sum(0)

    def transposed(self, name: str, x: Tensor, coarse: Level, fine: Level) -> Tensor:
        """Its transpose, back to the voxels of ``fine``."""
        scene, place = fine.voxels[:, 0], fine.voxels[:, 1:]
        parents = x[coarse.rows(scene, place // 2)]
        own = (place % 2) @ torch.tensor([1, 2, 4])
        weight = self.weights[f"{name}.kernel"]
        return torch.stack([(own == k)[:, None] * (parents @ weight[k]) for k in range(8)]).sum(0)

    def norm(self, name: str, x: Tensor) -> Tensor:
        """The batch norm ``name``."""
        x = (x - x.mean(0)) / (x.var(0, correction=0) + self.eps).sqrt()
        return x * self.weights[f"{name}.bn.weight"] + self.weights[f"{name}.bn.bias"]


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean over the labeled rows, the target spread over all classes by ``smoothing``."""
    log_p = logits.log_softmax(1)[labels >= 0]
    true = log_p.gather(1, labels[labels >= 0, None]).mean()
    return -(1 - smoothing) * true - smoothing * log_p.mean()


def focal(logits: Tensor, labels: Tensor, alpha: Tensor, gamma: float) -> Tensor:
    """Mean of alpha (1 - p)^gamma times the cross-entropy."""
    own = labels >= 0
    log_p = logits.log_softmax(1)[own].gather(1, labels[own, None]).squeeze(1)
    return -(alpha[labels[own]] * (1 - log_p.exp()) ** gamma * log_p).mean()


def lovasz(logits: Tensor, labels: Tensor) -> Tensor:
    """Lovász-softmax over the classes present, from its definition."""
    p, labels = logits[labels >= 0].softmax(1), labels[labels >= 0]
    losses = []
    for label in labels.unique():
        truth = (labels == label).to(p.dtype)
        errors, order = (truth - p[:, label]).abs().sort(descending=True)
        truth = truth[order]
        jaccard = 1 - (truth.sum() - truth.cumsum(0)) / (truth.sum() + (1 - truth).cumsum(0))
        losses.append(errors @ torch.diff(jaccard, prepend=jaccard.new_zeros(1)))
    return torch.stack(losses).mean()


def centers(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The mean feature of each class present, and the classes."""
    classes = labels[labels >= 0].unique()
    return torch.stack([features[labels == label].mean(0) for label in classes]), classes


def center_loss(z: Tensor, classes: Tensor, frame: Tensor, scale: float, counts: Tensor) -> Tensor:
    """Cross-entropy of the normalized centers ``z`` to their rows of ``frame``, with the prior of the class counts."""
    logits = scale * (z / z.norm(dim=1, keepdim=True)) @ frame.T + (counts / counts.sum() + 1e-12).log()
    return cross_entropy(logits, classes)
