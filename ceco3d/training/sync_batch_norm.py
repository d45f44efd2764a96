"""Batch normalization over the voxels of all processes.

torch.nn.SyncBatchNorm runs on GPUs only; this one runs everywhere, so that what is tested is what is used.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ceco3d.utils.distributed import differentiable_sum, world


class SyncBatchNorm(nn.BatchNorm1d):
    """BatchNorm1d whose training statistics cover the rows of all processes; a process may have no rows."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C) -> (N, C)."""
        if not self.training or world() == 1:
            return super().forward(x)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        # Two passes over the rows: a variance computed from sums of squares would lose digits.
        count = differentiable_sum(wide.new_full((1,), float(len(x)))).clamp(min=1)
        mean = differentiable_sum(wide.sum(0)) / count
        centered = wide - mean
        variance = differentiable_sum(centered.square().sum(0)) / count
        self._track(mean.detach(), variance.detach(), count)
        y = centered * (variance + self.eps).rsqrt() * self.weight + self.bias
        return y.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Update the running statistics like BatchNorm1d, with the unbiased variance; no change below two rows.

        Never reads ``count`` on the host, which would wait for the GPU.
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
