"""CeCo: class centres of the features are pulled onto a fixed simplex ETF (Zhong et al., CVPR 2023, arXiv 2301.01100).

With C_k the points of class k in the batch and P the classes present::

    z_k  = projector(mean of the features of C_k)
    loss = mean over k in P of  -log softmax(scale * W z_k / |z_k| + log prior)_k

W is never trained. The term only shapes the features; prediction uses the point classifier alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ceco3d.losses.etf import simplex_etf

PROJECTORS = ("none", "linear", "mlp")
CLASSIFIERS = ("etf", "random")


def class_centers(features: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Mean feature of every class present in the batch.

    features (N, C) float, labels (N,) training index, negative = ignored
    -> centres (P, C) float32 or wider, classes (P,) int64 ascending. Sums are taken in float32 at least.
    """
    valid = labels >= 0
    features = features[valid].to(torch.promote_types(features.dtype, torch.float32))
    labels = labels[valid]
    sums = features.new_zeros(num_classes, features.shape[1]).index_add(0, labels, features)
    counts = torch.bincount(labels, minlength=num_classes)
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

    Every choice the released 2D code makes is a parameter. Where the defaults differ, 3D asks for it:

    projector     "mlp" (Linear, ReLU, Linear; default), "linear" or "none". MinkUNet34C ends in 96 channels, but an
                  ETF of 200 classes needs 199 dimensions; a linear map of 96 channels has rank 96 and cannot align
                  200 centres either, so the default is non-linear. 34D (512 channels) can use "none".
    final_relu    ends the projector with a ReLU, as the 2D code does. Off: non-negative vectors cannot form a
                  simplex, their cosine with an ETF row stays below about 0.71.
    freeze        keeps the projector at its random initial values, as the 2D code does. Off: a frozen map with a
                  96-channel input would fix in advance which centres can separate.
    dim           dimensions of the ETF, at least num_classes - 1
    scale         of the cosine logits. The 2D code uses 5, whose loss cannot fall below 0.84 nats at 200 classes;
                  at 10 the floor is 0.01, so the value measures misalignment.
    class_counts  (K,) how often each class occurs, e.g. in how many training scenes; log(count / sum + 1e-12) is
                  added to the logits. None = no prior.
    label_smoothing  target mass taken from the true class
    classifier    "etf" with normalised centres, or "random": a frozen random linear map with bias on the centres as
                  they are (the `cecol` variant, Region Rebalance: scale 1, label_smoothing 0.5).
    seed          of the frame's orientation

    Centres are averaged before they are projected, so the cost hardly grows with the projector. All arithmetic is
    float32 at least, also under autocast. Raises ValueError for impossible combinations.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        projector: str = "mlp",
        final_relu: bool = False,
        freeze: bool = False,
        dim: int = 512,
        scale: float = 10.0,
        class_counts: Tensor | None = None,
        label_smoothing: float = 0.0,
        classifier: str = "etf",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.num_classes, self.scale, self.label_smoothing = num_classes, scale, label_smoothing
        self.projector = build_projector(projector, in_channels, dim, final_relu).requires_grad_(not freeze)
        self.normalize = classifier == "etf"
        if classifier == "etf":
            weight, bias = simplex_etf(num_classes, dim, seed), torch.zeros(num_classes)
        elif classifier == "random":
            linear = nn.Linear(dim, num_classes)
            weight, bias = linear.weight.detach(), linear.bias.detach()
        else:
            raise ValueError(f"unknown classifier {classifier!r}; choose one of {', '.join(CLASSIFIERS)}")
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.register_buffer("log_prior", _log_prior(class_counts, num_classes))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """(N, in_channels), (N,) -> scalar; 0 (with zero gradient) when no label is valid."""
        with torch.autocast(features.device.type, enabled=False):
            centers, classes = class_centers(features, labels, self.num_classes)
            return center_logit_loss(self.logits(centers.to(self.weight.dtype)), classes, self.label_smoothing)

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
