"""Batch normalization over the voxels of all processes.

torch.nn.SyncBatchNorm runs on GPUs only; this one runs everywhere, so that what is tested is what is used.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ceco3d.utils.distributed import differentiable_sum, world


class SyncBatchNorm(nn.BatchNorm1d):
    """BatchNorm1d whose statistics in training are those of the rows of all processes, some of which may have none."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C) -> (N, C)."""
        if not self.training or world() == 1:
            return super().forward(x)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        # Two passes over the rows, as a variance from sums of squares would lose digits.
        count = differentiable_sum(wide.new_full((1,), float(len(x)))).clamp(min=1)
        mean = differentiable_sum(wide.sum(0)) / count
        centered = wide - mean
        variance = differentiable_sum(centered.square().sum(0)) / count
        self._track(mean.detach(), variance.detach(), count)
        y = centered * (variance + self.eps).rsqrt() * self.weight + self.bias
        return y.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Running statistics as BatchNorm1d keeps them, with the unbiased variance; those before of less than two rows.

        Without a look at ``count``, for which the host would have to wait.
        """
        enough = (count > 1).to(mean.dtype)
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        share = self.momentum * enough
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * (count / (count - 1).clamp(min=1)), share)
        self.num_batches_tracked.add_(enough.squeeze().long())


def synchronize(module: nn.Module) -> None:
    """Turn every BatchNorm1d inside ``module`` into a SyncBatchNorm with the same parameters, in place."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm1d:
                synced = SyncBatchNorm(child.num_features, child.eps, child.momentum)
                synced.weight, synced.bias = child.weight, child.bias
                for key, buffer in child.named_buffers():
                    setattr(synced, key, buffer)
                setattr(parent, name, synced)
