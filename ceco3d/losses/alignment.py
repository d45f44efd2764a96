"""Alignment of the class centers of the features with the rows of the classifier (self-duality of neural collapse).

For P, the classes present in the batch, mu_k the mean feature of class k, w_k its row of the classifier, and mu_P and
w_P the means of both over P::

    loss = mean over k in P of  1 - cos(mu_k - mu_P, w_k - w_P)

0: each center points where its row points, the third property of neural collapse (Papyan, Han and Donoho, PNAS 2020);
2: the opposite way. "Space Alignment Matters" (Wang, Gao and Xie, AAAI 2026, arXiv 2512.07844) adds a regularizer for
this in long-tailed learning. This formula is our reading of its abstract and summaries: we found neither its code nor
an exact definition, and centers of a batch in place of those of the data are our choice. Its two other strategies,
which change the classifier's rows themselves, are not here.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ceco3d.losses.center_collapse import class_centers


def alignment(features: Tensor, labels: Tensor, classifier: Tensor) -> Tensor:
    """Scalar in [0, 2], float32 or wider, with gradients for ``features`` and ``classifier``; 0 below two classes.

    features    (N, C)
    labels      (N,) training index, negative = ignored
    classifier  (K, C), one row for each class

    Centers are those of the batches of all processes, like those of CeCo.
    """
    with torch.autocast(features.device.type, enabled=False):
        centers, classes = class_centers(features, labels, len(classifier), across_ranks=True)
        rows = classifier.to(centers.dtype)[classes]
        if len(classes) < 2:
            return centers.sum() * 0 + rows.sum() * 0
        cosines = F.cosine_similarity(centers - centers.mean(0), rows - rows.mean(0))
        return (1 - cosines).mean()
