"""The loss of each point: cross-entropy, with options that help rare classes."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
    beta             class-balanced weights (Cui et al., CVPR 2019): proportional to (1 - beta) / (1 - beta^n) for a
                     class with n training points, with mean 1 over the training points; 0 = off
    divide_by        "labeled" points, or "all": LanguageGroundedSemseg takes the mean of losses that are 0 where
                     a point has no label (``sample_categories_for_balancing`` in its lib/losses/utils.py at 3af87e9).
                     The same in a joint training, whose parts get labeled points only
    class_points     (K,) n of each class; needed for tau and beta. A class without points counts as having one.
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
        class_points: Tensor | None = None,
        divide_by: Literal["labeled", "all"] = "labeled",
    ) -> None:
        super().__init__()
        if (tau or beta) and (class_points is None or class_points.shape != (num_classes,)):
            raise ValueError(f"tau and beta need class_points, the training points of each of {num_classes} classes")
        if not 0 <= beta < 1 or gamma < 0:
            raise ValueError(f"beta={beta} must be in [0, 1), and gamma={gamma} must not be negative")
        self.label_smoothing, self.gamma, self.divide_by = label_smoothing, gamma, divide_by
        points = torch.ones(num_classes) if class_points is None else class_points.double().clamp(min=1)
        frequency = points / points.sum()
        weight = (1 - beta) / (1 - beta**points)
        self.register_buffer("offset", (tau * frequency.log()).float())
        self.register_buffer("weight", (weight / (weight * frequency).sum()).float())

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(N, K), (N,) -> scalar, float32 or wider."""
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32)) + self.offset
        weight = self.weight.to(logits.dtype)
        smoothing = self.label_smoothing
        losses = F.cross_entropy(logits, labels, weight, ignore_index=-1, label_smoothing=smoothing, reduction="none")
        if self.gamma:
            true = logits.log_softmax(1).gather(1, labels.clamp(min=0)[:, None]).squeeze(1)
            losses = losses * (1 - true.exp()) ** self.gamma
        count = ((labels >= 0) | (self.divide_by == "all")).sum()
        count = reduce(count.to(losses.dtype), "mean") if self.training else count
        return losses.sum() / torch.where(count > 0, count, 1)
