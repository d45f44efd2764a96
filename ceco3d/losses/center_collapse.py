"""CeCo: pull the class centers of the features onto a fixed simplex ETF (Zhong et al., CVPR 2023, arXiv 2301.01100).

For C_k, the points of class k in the batch, and P, the classes present::

    z_k  = projector(mean of the features of C_k)
    loss = mean over k in P of  -log softmax(scale * W z_k / |z_k| + log prior)_k

By default W, the ETF, is not trained. The loss only shapes the features; predictions come from the point classifier.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ceco3d.losses.center_memory import CenterMemory
from ceco3d.losses.etf import simplex_etf
from ceco3d.utils.distributed import differentiable_sum, reduce

PROJECTORS = ("none", "linear", "mlp")
CLASSIFIERS = ("etf", "learned", "random")


def class_centers(
    features: Tensor, labels: Tensor, num_classes: int, across_ranks: bool = False
) -> tuple[Tensor, Tensor]:
    """The mean feature of each class present in the batch.

    features (N, C) float, labels (N,) training index, negative = ignored
    -> centers (P, C), classes (P,) int64 ascending. Sums and centers are float32 or wider.
    across_ranks: average over the batches of all torch.distributed processes; each process gets all centers.
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
    """Mean cross-entropy between center logits (P, K) and classes (P,); 0 if P = 0.

    The target is ``1 - label_smoothing`` for the true class and ``label_smoothing / (K - 1)`` for every other class.
    """
    if len(classes) == 0:
        return logits.sum()
    log_p = F.log_softmax(logits, dim=1)
    true = log_p.gather(1, classes[:, None]).squeeze(1)
    other = (log_p.sum(1) - true) / (logits.shape[1] - 1)
    return -((1 - label_smoothing) * true + label_smoothing * other).mean()


class CenterCollapseLoss(nn.Module):
    """The CeCo center loss: ``(features (N, in_channels), labels (N,)) -> scalar``; labels < 0 are ignored.

    It also takes images, features (B, in_channels, H, W) and labels (B, H, W). Their centers average all pixels of the
    batch.

    Every choice of the released 2D code for its centers is a parameter; conf/loss/ceco_2d.yaml makes all of them. Where
    a default differs from it, the reason is given:

    bottleneck    channels of a frozen random linear map and a batch norm before the centers, as the 2D code has (128);
                  None = the features themselves. It would leave centers of rank 128 at most.
    projector     "linear" (default), "mlp" (Linear, ReLU, Linear) or "none". An ETF of 200 classes needs 199
                  dimensions, and MinkUNet34C ends in 96 channels. A linear map of 96 channels has rank 96, so 200
                  centers cannot reach the ETF. The MLP can reach it, but then the MLP separates the classes instead of
                  the features; docs/results/longtail.md compares the two. 34D (512 channels) works with "none".
    final_relu    end the projector with a ReLU, as the 2D code does. Off by default: non-negative vectors cannot form
                  a simplex; their cosine with an ETF row stays below about 0.71.
    freeze        keep the projector at its random initial values, as the 2D code does. Off by default: a frozen map
                  of 96 channels would fix in advance which centers can separate.
    dim           dimensions of the ETF, at least num_classes - 1
    scale         of the cosine logits. The 2D code uses 5, but then the loss cannot fall below 0.84 nats for 200
                  classes. At 10 the minimum is 0.01, so the value measures misalignment.
    class_counts  (K,) how often each class occurs, e.g. the number of training scenes that contain it;
                  log(count / sum + 1e-12) is added to the logits. None = no prior.
    prior         None ignores ``class_counts``
    label_smoothing  target mass taken from the true class
    dropout       of the normalized centers, as the 2D code does (0.1)
    classifier    "etf" on normalized centers; "learned", which starts as the ETF and is trained; or "random", a frozen
                  random linear map with bias on centers that are not normalized (the `cecol` variant, Region
                  Rebalance, with scale 1 and label_smoothing 0.5)
    over          "batch": one center per class in the whole batch; "scene": one center per class and scene, and the
                  loss averages over all of them
    across_ranks  average centers over the batches of all processes. The averaged gradients then equal those of one
                  process with all the data. No effect with over="scene".
    seed          of the ETF's random orientation
    memory        momentum m of a memory of class centers, in [0, 1); 0 = none. Ours, not in the paper; see below

    The memory keeps one center per class, ``remembered = m * remembered + (1 - m) * center of the batch``; a class
    enters it with its first center. The loss takes these in place of the centers of the batch. Their gradient flows
    through the batch's part only and is 1 - m times that of the plain loss at the same place, which a larger weight
    makes up for. A class that is absent from the batch keeps its center, which is constant, so it says nothing to the
    features; since W is fixed, its cross-entropy has no gradient but that of a trained projector or a ``learned``
    classifier. Only with one of these do absent classes take part, and then they count in the mean over classes: the
    projector sees all classes in every step, and the features' share of the gradient falls. Otherwise they are left
    out, because they would only scale the loss. Evaluation mode reads the memory and does not change it. The memory is
    a buffer, so checkpoints keep it. It needs over="batch" and across_ranks.

    Centers are averaged before the projection, so a larger projector costs almost nothing. All arithmetic is float32 or
    wider, also under autocast. Raises ValueError for impossible combinations.
    """

    weight: Tensor
    bias: Tensor
    log_prior: Tensor

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
        bottleneck: int | None = None,
        dropout: float = 0.0,
        memory: float = 0.0,
    ) -> None:
        super().__init__()
        if over not in ("batch", "scene"):
            raise ValueError(f"over={over!r}: choose batch or scene")
        self.over, self.across_ranks = over, across_ranks
        self.num_classes, self.scale, self.label_smoothing = num_classes, scale, label_smoothing
        self.reduce: nn.Module | None = None
        if bottleneck is not None:
            layers = nn.Linear(in_channels, bottleneck, bias=False), nn.BatchNorm1d(bottleneck)
            self.reduce = nn.Sequential(*layers).requires_grad_(False)
        self.projector = build_projector(projector, bottleneck or in_channels, dim, final_relu)
        self.projector.requires_grad_(not freeze)
        self.dropout = nn.Dropout(dropout)
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
        self.memory: CenterMemory | None = None
        if memory:
            if over != "batch" or not across_ranks:
                raise ValueError(f"memory={memory} needs over=batch and across_ranks=true")
            trained = classifier == "learned" or any(value.requires_grad for value in self.projector.parameters())
            self.memory = CenterMemory(num_classes, bottleneck or in_channels, memory, absent=trained)

    def forward(self, features: Tensor, labels: Tensor, scenes: Tensor | None = None) -> Tensor:
        """(N, in_channels), (N,) or (B, in_channels, H, W), (B, H, W) -> scalar; 0 if no label is valid.

        scenes  (N,) the batch item of each point. Required for over="scene", except for images.
        """
        if features.ndim == 4:
            scenes = torch.arange(len(labels), device=labels.device)[:, None].expand(-1, labels[0].numel()).flatten()
            features, labels = features.permute(0, 2, 3, 1).flatten(0, 2), labels.flatten()
        with torch.autocast(features.device.type, enabled=False):
            if self.reduce is not None and len(features) > 1:
                features = self.reduce(features.to(torch.promote_types(features.dtype, torch.float32)))
            centers, classes = self._centers(features, labels, scenes)
            if self.memory is not None:
                centers, classes = self.memory(centers, classes)
            return center_logit_loss(self.logits(centers.to(self.weight.dtype)), classes, self.label_smoothing)

    def _centers(self, features: Tensor, labels: Tensor, scenes: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.over == "batch":
            return class_centers(features, labels, self.num_classes, self.across_ranks)
        if scenes is None:
            raise ValueError('over="scene" needs to know which scene each point belongs to: pass scenes')
        groups = torch.where(labels >= 0, scenes.long() * self.num_classes + labels, -1)
        count = int(scenes.max()) + 1 if len(scenes) else 1
        centers, found = class_centers(features, groups, count * self.num_classes)
        return centers, found % self.num_classes

    def logits(self, centers: Tensor) -> Tensor:
        """Centers (P, in_channels) -> logits (P, K), with the prior added."""
        z = self.projector(centers)
        if self.normalize:
            z = F.normalize(z, dim=1)
        z = self.dropout(z)
        logits: Tensor = self.scale * F.linear(z, self.weight, self.bias) + self.log_prior
        return logits


def build_projector(kind: str, in_channels: int, dim: int, final_relu: bool) -> nn.Module:
    """The map from features (in_channels) to the space of the ETF (dim); see CenterCollapseLoss."""
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
