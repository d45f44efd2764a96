"""CeCo: class centres of the features are pulled onto a fixed simplex ETF (Zhong et al., CVPR 2023, arXiv 2301.01100).

With C_k the points of class k in the batch and P the classes present::

    z_k  = projector(mean of the features of C_k)
    loss = mean over k in P of  -log softmax(scale * W z_k / |z_k| + log prior)_k

W is never trained. The term only shapes the features; prediction uses the point classifier alone.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ceco3d.losses.etf import simplex_etf
from ceco3d.utils.distributed import differentiable_sum, reduce

PROJECTORS = ("none", "linear", "mlp")
CLASSIFIERS = ("etf", "learned", "random")


def class_centers(
    features: Tensor, labels: Tensor, num_classes: int, across_ranks: bool = False
) -> tuple[Tensor, Tensor]:
    """Mean feature of every class present in the batch.

    features (N, C) float, labels (N,) training index, negative = ignored
    -> centres (P, C) float32 or wider, classes (P,) int64 ascending. Sums are taken in float32 at least.
    across_ranks: over the batches of all processes of torch.distributed, each of which gets all centres.
    """
    valid = labels >= 0
    features = features[valid].to(torch.promote_types(features.dtype, torch.float32))
    labels = labels[valid]
    # scatter_add is several times faster than index_add on the CPU
    sums = features.new_zeros(num_classes, features.shape[1])
    sums = sums.scatter_add(0, labels[:, None].expand_as(features), features)
    counts = torch.bincount(labels, minlength=num_classes)
    if across_ranks:
        sums, counts = differentiable_sum(sums), reduce(counts)
    classes = counts.nonzero().squeeze(1)
    return sums[classes] / counts[classes, None], classes


def center_logit_loss(logits: Tensor, classes: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of centre logits (P, K) against classes (P,); 0 when P = 0.

    The true class has target mass ``1 - label_smoothing``, each other class ``label_smoothing / (K - 1)``.
    """
    if len(classes) == 0:
        return logits.sum()
    log_p = F.log_softmax(logits, dim=1)
    true = log_p.gather(1, classes[:, None]).squeeze(1)
    other = (log_p.sum(1) - true) / (logits.shape[1] - 1)
    return -((1 - label_smoothing) * true + label_smoothing * other).mean()


class CenterCollapseLoss(nn.Module):
    """The CeCo centre term. ``(features (N, in_channels), labels (N,)) -> scalar``; labels < 0 are ignored.

    Images go in as they are: features (B, in_channels, H, W), labels (B, H, W); a centre is then that of all pixels of
    the batch.

    Every choice the released 2D code makes is a parameter. Where the defaults differ, 3D asks for it:

    projector     "linear" (default), "mlp" (Linear, ReLU, Linear) or "none". MinkUNet34C ends in 96 channels, an ETF of
                  200 classes needs 199 dimensions. A linear map of 96 channels has rank 96, so that 200 centres cannot
                  reach the frame; the MLP could, but takes over the work of separating classes that the features should
                  do: docs/results/longtail.md compares them. 34D (512 channels) can use "none".
    final_relu    ends the projector with a ReLU, as the 2D code does. Off: non-negative vectors cannot form a
                  simplex, their cosine with an ETF row stays below about 0.71.
    freeze        keeps the projector at its random initial values, as the 2D code does. Off: a frozen map with a
                  96-channel input would fix in advance which centres can separate.
    dim           dimensions of the ETF, at least num_classes - 1
    scale         of the cosine logits. The 2D code uses 5, whose loss cannot fall below 0.84 nats at 200 classes;
                  at 10 the floor is 0.01, so the value measures misalignment.
    class_counts  (K,) how often each class occurs, e.g. in how many training scenes; log(count / sum + 1e-12) is
                  added to the logits. None = no prior.
    prior         None ignores ``class_counts``
    label_smoothing  target mass taken from the true class
    classifier    "etf" with normalised centres, or "random": a frozen random linear map with bias on the centres as
                  they are (the `cecol` variant, Region Rebalance: scale 1, label_smoothing 0.5).
                  "learned" starts as the ETF and is trained.
    over          "batch": a centre is that of a class in the whole batch; "scene": in one scene, and the loss is the
                  mean over all of them
    across_ranks  centres over the batches of all processes; averaged gradients are then those of one process with all
                  the data. Makes no difference for centres of scenes
    seed          of the frame's orientation

    Centres are averaged before they are projected, so the cost hardly grows with the projector. All arithmetic is
    float32 at least, also under autocast. Raises ValueError for impossible combinations.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        projector: str = "linear",
        final_relu: bool = False,
        freeze: bool = False,
        dim: int = 512,
        scale: float = 10.0,
        class_counts: Tensor | None = None,
        prior: Literal["scenes"] | None = "scenes",
        label_smoothing: float = 0.0,
        classifier: str = "etf",
        over: str = "batch",
        across_ranks: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if over not in ("batch", "scene"):
            raise ValueError(f"centres over {over!r}; choose batch or scene")
        self.over, self.across_ranks = over, across_ranks
        self.num_classes, self.scale, self.label_smoothing = num_classes, scale, label_smoothing
        self.projector = build_projector(projector, in_channels, dim, final_relu).requires_grad_(not freeze)
        self.normalize = classifier != "random"
        if classifier in ("etf", "learned"):
            weight, bias = simplex_etf(num_classes, dim, seed), torch.zeros(num_classes)
        elif classifier == "random":
            linear = nn.Linear(dim, num_classes)
            weight, bias = linear.weight.detach(), linear.bias.detach()
        else:
            raise ValueError(f"unknown classifier {classifier!r}; choose one of {', '.join(CLASSIFIERS)}")
        if classifier == "learned":
            self.weight = nn.Parameter(weight)
        else:
            self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.register_buffer("log_prior", _log_prior(class_counts if prior else None, num_classes))

    def forward(self, features: Tensor, labels: Tensor, scenes: Tensor | None = None) -> Tensor:
        """(N, in_channels), (N,) or (B, in_channels, H, W), (B, H, W) -> scalar; 0 when no label is valid.

        scenes  (N,) which item of the batch a point belongs to; needed for centres over scenes, known of images
        """
        if features.ndim == 4:
            scenes = torch.arange(len(labels), device=labels.device)[:, None].expand(-1, labels[0].numel()).flatten()
            features, labels = features.permute(0, 2, 3, 1).flatten(0, 2), labels.flatten()
        with torch.autocast(features.device.type, enabled=False):
            centers, classes = self._centers(features, labels, scenes)
            return center_logit_loss(self.logits(centers.to(self.weight.dtype)), classes, self.label_smoothing)

    def _centers(self, features: Tensor, labels: Tensor, scenes: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.over == "batch":
            return class_centers(features, labels, self.num_classes, self.across_ranks)
        if scenes is None:
            raise ValueError("centres over scenes need to know which scene a point belongs to")
        groups = torch.where(labels >= 0, scenes.long() * self.num_classes + labels, -1)
        count = int(scenes.max()) + 1 if len(scenes) else 1
        centers, found = class_centers(features, groups, count * self.num_classes)
        return centers, found % self.num_classes

    def logits(self, centers: Tensor) -> Tensor:
        """Centres (P, in_channels) -> logits (P, K), prior included."""
        z = self.projector(centers)
        if self.normalize:
            z = F.normalize(z, dim=1)
        return self.scale * F.linear(z, self.weight, self.bias) + self.log_prior


def build_projector(kind: str, in_channels: int, dim: int, final_relu: bool) -> nn.Module:
    """The map from feature space (in_channels) to the space of the frame (dim); see CenterCollapseLoss."""
    if kind == "none":
        if in_channels != dim:
            raise ValueError(f"projector 'none' needs dim equal to the feature channels: {dim} != {in_channels}")
        layers: list[nn.Module] = []
    elif kind == "linear":
        layers = [nn.Linear(in_channels, dim)]
    elif kind == "mlp":
        layers = [nn.Linear(in_channels, dim), nn.ReLU(), nn.Linear(dim, dim)]
    else:
        raise ValueError(f"unknown projector {kind!r}; choose one of {', '.join(PROJECTORS)}")
    return nn.Sequential(*layers, *([nn.ReLU()] if final_relu else []))


def _log_prior(class_counts: Tensor | None, num_classes: int) -> Tensor:
    if class_counts is None:
        return torch.zeros(num_classes)
    if class_counts.shape != (num_classes,) or class_counts.sum() <= 0:
        raise ValueError(f"class_counts must be {num_classes} counts with a positive sum, got {class_counts.shape}")
    frequency = class_counts.double() / class_counts.double().sum()
    return (frequency + 1e-12).log().float()
