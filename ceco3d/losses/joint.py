"""The loss of a joint training: one criterion for each label space, on its own voxels and outputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ceco3d.data.labels.label_blocks import LabelBlock
from ceco3d.utils.distributed import reduce


class JointLoss(nn.Module):
    """``loss = sum over parts of share * loss of the part``, the shares those of the labeled voxels of a batch.

    blocks    the parts and their outputs of the classifier
    criteria  one for each, see ``ceco3d.losses.segmentation``; gets the labeled voxels of its part, and of the logits
              only its own outputs

    With several processes the shares are those in the batches of all. A part without voxels in a batch adds 0; its
    criterion is called all the same, without rows, because processes have to take part in its sums.
    """

    def __init__(self, blocks: Sequence[LabelBlock], criteria: Sequence[nn.Module]) -> None:
        super().__init__()
        self.blocks, self.criteria = tuple(blocks), nn.ModuleList(criteria)

    @property
    def needs_classifier(self) -> bool:
        """Whether a criterion needs the rows of the classifier."""
        return any(getattr(criterion, "needs_classifier", False) for criterion in self.criteria)

    def forward(
        self, logits: Tensor, features: Tensor, labels: Tensor, scenes: Tensor, classifier: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Scalars by name: ``loss``, what each part adds to it (``loss_PART``), and the other terms summed likewise.

        logits      (N, K), K the classes of all parts
        features    (N, C), the input of the classifier
        labels      (N,) joint index, -1 = ignored
        scenes      (N,) index of the scene in the batch
        classifier  (K, C) its rows, for criteria that need them
        """
        rows = [block.covers(labels).nonzero().squeeze(1) for block in self.blocks]
        counts = torch.tensor([float(len(own)) for own in rows], device=logits.device)
        total = reduce(counts) if self.training else counts
        shares = total / total.sum().clamp(min=1)
        sums: dict[str, Tensor] = {}
        added: dict[str, Tensor] = {}
        for block, criterion, own, share in zip(self.blocks, self.criteria, rows, shares, strict=True):
            known = {} if classifier is None else {"classifier": classifier[block.outputs]}
            rows_of_part = logits[:, block.outputs][own], features[own], block.own(labels[own]), scenes[own]
            terms = criterion(*rows_of_part, **(known if getattr(criterion, "needs_classifier", False) else {}))
            # A mean over no rows is NaN.
            terms = {name: share * torch.where(share > 0, value, 0.0) for name, value in terms.items()}
            sums = {name: sums[name] + value if name in sums else value for name, value in terms.items()}
            added[f"loss_{block.name}"] = terms["loss"]
        return sums | added
