"""The loss of each point: cross-entropy, with options that help rare classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from ceco3d import sparse
from ceco3d.losses.class_weights import read_weights, weights_from_counts
from ceco3d.sparse import Engine
from ceco3d.utils.distributed import reduce


class PointLoss(nn.Module):
    """``(logits (N, K), labels (N,)) -> scalar``, the mean over points with a label >= 0; 0 if there are none.

    With several processes (``utils.distributed``), each divides by the mean number of these points per process.
    Averaged over the processes, loss and gradients then equal those of one process with all the points.

    label_smoothing  target mass spread evenly over all classes
    tau              logit adjustment (Menon et al., ICLR 2021): add tau * log(class frequency) to the logits in the
                     loss, so the logits without it favor rare classes as a balanced loss would; 0 = off
    gamma            focal loss (Lin et al., ICCV 2017): weight a point by (1 - p)^gamma, with p the probability of its
                     class; 0 = off
    beta, power      class weights proportional to (1 - beta) / (1 - beta^n) * n^-power for a class with n training
                     points, with mean 1 over the training points; 0 = off (Cui et al., CVPR 2019; inverse frequency)
    weights          a file with the weights of the classes instead, taken as they are (``class_weights.read_weights``)
    divide_by        "labeled" points, or "all": LanguageGroundedSemseg takes the mean of losses that are 0 where
                     a point has no label (``sample_categories_for_balancing`` in its lib/losses/utils.py at 3af87e9).
                     The same in a joint training, whose parts get labeled points only
    class_points     (K,) n of each class; needed for tau, beta and power. A class without points counts as having one.
    class_names      (K,) needed for weights
    engine           of the network: its ``cross_entropy`` computes the loss, if it has one
    """

    offset: Tensor
    weight: Tensor

    def __init__(
        self,
        num_classes: int,
        label_smoothing: float = 0.0,
        tau: float = 0.0,
        gamma: float = 0.0,
        beta: float = 0.0,
        power: float = 0.0,
        weights: Path | None = None,
        class_points: Tensor | None = None,
        class_names: Sequence[str] | None = None,
        engine: Engine | None = None,
        divide_by: Literal["labeled", "all"] = "labeled",
    ) -> None:
        super().__init__()
        if (tau or beta or power) and (class_points is None or class_points.shape != (num_classes,)):
            raise ValueError(
                f"tau, beta and power need class_points, the training points of each of {num_classes} classes"
            )
        if not 0 <= beta < 1 or gamma < 0 or power < 0:
            raise ValueError(f"beta={beta} must be in [0, 1), and gamma={gamma} and power={power} not negative")
        if weights is not None and (class_names is None or beta or power):
            raise ValueError(f"weights={weights} needs class_names, and neither beta nor power")
        self.label_smoothing, self.gamma, self.divide_by = label_smoothing, gamma, divide_by
        self.cross_entropy = getattr(engine, "cross_entropy", sparse.cross_entropy)
        points = torch.ones(num_classes) if class_points is None else class_points.double().clamp(min=1)
        frequency = points / points.sum()
        if weights is not None and class_names is not None:
            weight = read_weights(weights, class_names)
        else:
            weight = weights_from_counts(points, beta, power)
            weight = weight / (weight * frequency).sum()
        self.register_buffer("offset", (tau * frequency.log()).float())
        self.register_buffer("weight", weight.float())

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(N, K), (N,) -> scalar, float32 or wider."""
        offset: Tensor | None = self.offset
        if self.gamma:
            logits, offset = logits.to(torch.promote_types(logits.dtype, torch.float32)) + self.offset, None
        losses: Tensor = self.cross_entropy(logits, labels, self.weight, offset, self.label_smoothing)
        if self.gamma:
            true = logits.log_softmax(1).gather(1, labels.clamp(min=0)[:, None]).squeeze(1)
            losses = losses * (1 - true.exp()) ** self.gamma
        count = ((labels >= 0) | (self.divide_by == "all")).sum()
        count = reduce(count.to(losses.dtype), "mean") if self.training else count
        return losses.sum() / torch.where(count > 0, count, 1)
