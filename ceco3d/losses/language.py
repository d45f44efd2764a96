"""LGround: pull features toward the text embedding of their class (Rozenberszki et al., ECCV 2022).

With a_k the fixed anchor of class k, d(f, a) = 1 - cos(f, a), and N_i a few other classes drawn for point i::

    pull = relu(d(f_i, a_y) - pos_margin)
    push = relu(neg_margin - mean over j in N_i of d(f_i, a_j))
    loss = mean over points i of  pull + neg_weight * push
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ceco3d.utils.random import seeded_generator


def draw_negatives(labels: Tensor, num_classes: int, count: int, rng: torch.Generator) -> Tensor:
    """(N, count) int64: for each of ``labels`` (N,) >= 0, other classes drawn uniformly with replacement."""
    others = torch.randint(num_classes - 1, (len(labels), count), generator=rng, device=labels.device)
    return others + (others >= labels[:, None])


def anchor_loss(
    features: Tensor,
    labels: Tensor,
    negatives: Tensor,
    anchors: Tensor,
    pos_margin: float = 0.0,
    neg_margin: float = 0.6,
    neg_weight: float = 1.0,
) -> Tensor:
    """The loss of this module's docstring for labeled points: a scalar, 0 if N = 0.

    features (N, d), labels (N,) >= 0, negatives (N, J) classes, anchors (K, d) of unit length.
    The negative margin applies to the mean of a point's J distances, as in LGround.
    """
    # The mean cosine to J anchors is the product with their mean, which is faster than all K cosines and a gather.
    length = features.norm(dim=1).clamp(min=1e-12)
    own = torch.linalg.vecdot(features, anchors[labels]) / length
    other = torch.linalg.vecdot(features, F.embedding_bag(negatives, anchors, mode="mean")) / length
    pull, push = F.relu(1 - own - pos_margin), F.relu(neg_margin - 1 + other)
    return (pull + neg_weight * push).sum() / max(len(labels), 1)


class LanguageLoss(nn.Module):
    """``(features (N, d), labels (N,)) -> scalar``, the mean over points with a label >= 0; 0 if there are none.

    anchors     (K, d) text embeddings (``pretraining.anchors.load_anchors``), normalized here
    pos_margin  distance to the point's own anchor that costs nothing (LGround: 0)
    neg_margin  mean distance to the drawn anchors beyond which they cost nothing. LGround uses 0.6 with CLIP, whose
                class names lie close together; those of all-MiniLM-L6-v2 are 0.75 apart on average.
    neg_weight  weight of the second term (LGround: 1)
    negatives   anchors drawn per point (LGround: 3)
    seed        of these draws, together with ``calls``, the number of training calls so far. ``calls`` is in the
                state_dict, so a resumed run draws the same negatives as an uninterrupted one.

    All arithmetic is float32 or wider, also under autocast. ValueError for impossible values.
    """

    anchors: Tensor
    calls: Tensor

    def __init__(
        self,
        anchors: Tensor,
        pos_margin: float = 0.0,
        neg_margin: float = 0.6,
        neg_weight: float = 1.0,
        negatives: int = 3,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not (0 <= pos_margin <= 2 and 0 <= neg_margin <= 2 and neg_weight >= 0 and negatives >= 1):
            raise ValueError(
                f"pos_margin={pos_margin} and neg_margin={neg_margin} must be in [0, 2], neg_weight={neg_weight} not "
                f"negative and negatives={negatives} at least 1"
            )
        self.pos_margin, self.neg_margin, self.neg_weight = pos_margin, neg_margin, neg_weight
        self.negatives, self.seed = negatives, seed
        self.register_buffer("anchors", unit_anchors(anchors))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """(N, d), (N,) -> scalar. In training mode every call draws new negatives."""
        valid = labels >= 0
        labels = labels[valid]
        rng = seeded_generator(self.seed, int(self.calls), device=labels.device)
        if self.training:
            self.calls += 1
        negatives = draw_negatives(labels, len(self.anchors), self.negatives, rng)
        with torch.autocast(features.device.type, enabled=False):
            features = features[valid].to(torch.promote_types(features.dtype, self.anchors.dtype))
            anchors = self.anchors.to(features.dtype)
            return anchor_loss(features, labels, negatives, anchors, self.pos_margin, self.neg_margin, self.neg_weight)


class LanguageHead(nn.Module):
    """Map the network's features (N, in_channels) to the space of the anchors (N, d).

    The identity if the widths agree (34D and CLIP both have 512), else linear. ``anchors`` (K, d) as in LanguageLoss.
    """

    anchors: Tensor
    projection: nn.Identity | nn.Linear

    def __init__(self, in_channels: int, anchors: Tensor) -> None:
        super().__init__()
        self.register_buffer("anchors", unit_anchors(anchors))
        dim = anchors.shape[1]
        self.projection = nn.Identity() if in_channels == dim else nn.Linear(in_channels, dim)

    def forward(self, features: Tensor) -> Tensor:
        """(N, in_channels) -> (N, d), not normalized."""
        projected: Tensor = self.projection(features)
        return projected

    @torch.no_grad()
    def classifier(self) -> tuple[Tensor, Tensor]:
        """Weight (K, in_channels) and bias (K,) of a linear classifier whose largest logit is the nearest anchor.

        Its logits are |P f| cos(P f, a_k) with P the projection; the length is the same for all classes. The kernel of
        ``Network.final`` is the transpose of the weight: ``final.kernel.copy_(weight.T)``,
        ``final.bias.copy_(bias[None])``.
        """
        if isinstance(self.projection, nn.Identity):
            return self.anchors.clone(), self.anchors.new_zeros(len(self.anchors))
        return self.anchors @ self.projection.weight, self.anchors @ self.projection.bias


def unit_anchors(anchors: Tensor) -> Tensor:
    """``anchors`` (K, d) scaled to unit length; ValueError if K < 2 or a row is zero."""
    if anchors.ndim != 2 or len(anchors) < 2 or not anchors.norm(dim=1).gt(0).all():
        raise ValueError(
            f"anchors must be (2 or more classes, dimensions) without a zero row, got {tuple(anchors.shape)}"
        )
    return F.normalize(anchors, dim=1)
