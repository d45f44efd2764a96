"""Activations and dropout of ``torch.nn`` on the features of sparse tensors and fields."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ceco3d.minkowski.common import MinkowskiModuleBase
from ceco3d.minkowski.rowwise import Either, rowwise


class MinkowskiNonlinearityBase(MinkowskiModuleBase):
    """Applies ``module``, an instance of the class ``MODULE``, to the features."""

    MODULE: type[nn.Module]

    # Any: the arguments are those of MODULE.
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.module = self.MODULE(*args, **kwargs)

    def forward(self, input: Either) -> Either:
        """The same coordinates with ``module`` of the features."""
        return rowwise(input, self.module)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class MinkowskiELU(MinkowskiNonlinearityBase):
    """``torch.nn.ELU``."""

    MODULE = nn.ELU


class MinkowskiHardshrink(MinkowskiNonlinearityBase):
    """``torch.nn.Hardshrink``."""

    MODULE = nn.Hardshrink


class MinkowskiHardsigmoid(MinkowskiNonlinearityBase):
    """``torch.nn.Hardsigmoid``."""

    MODULE = nn.Hardsigmoid


class MinkowskiHardtanh(MinkowskiNonlinearityBase):
    """``torch.nn.Hardtanh``."""

    MODULE = nn.Hardtanh


class MinkowskiHardswish(MinkowskiNonlinearityBase):
    """``torch.nn.Hardswish``."""

    MODULE = nn.Hardswish


class MinkowskiLeakyReLU(MinkowskiNonlinearityBase):
    """``torch.nn.LeakyReLU``."""

    MODULE = nn.LeakyReLU


class MinkowskiLogSigmoid(MinkowskiNonlinearityBase):
    """``torch.nn.LogSigmoid``."""

    MODULE = nn.LogSigmoid


class MinkowskiPReLU(MinkowskiNonlinearityBase):
    """``torch.nn.PReLU``."""

    MODULE = nn.PReLU


class MinkowskiReLU(MinkowskiNonlinearityBase):
    """``torch.nn.ReLU``."""

    MODULE = nn.ReLU


class MinkowskiReLU6(MinkowskiNonlinearityBase):
    """``torch.nn.ReLU6``."""

    MODULE = nn.ReLU6


class MinkowskiRReLU(MinkowskiNonlinearityBase):
    """``torch.nn.RReLU``."""

    MODULE = nn.RReLU


class MinkowskiSELU(MinkowskiNonlinearityBase):
    """``torch.nn.SELU``."""

    MODULE = nn.SELU


class MinkowskiCELU(MinkowskiNonlinearityBase):
    """``torch.nn.CELU``."""

    MODULE = nn.CELU


class MinkowskiGELU(MinkowskiNonlinearityBase):
    """``torch.nn.GELU``."""

    MODULE = nn.GELU


class MinkowskiSigmoid(MinkowskiNonlinearityBase):
    """``torch.nn.Sigmoid``."""

    MODULE = nn.Sigmoid


class MinkowskiSiLU(MinkowskiNonlinearityBase):
    """``torch.nn.SiLU``."""

    MODULE = nn.SiLU


class MinkowskiSoftplus(MinkowskiNonlinearityBase):
    """``torch.nn.Softplus``."""

    MODULE = nn.Softplus


class MinkowskiSoftshrink(MinkowskiNonlinearityBase):
    """``torch.nn.Softshrink``."""

    MODULE = nn.Softshrink


class MinkowskiSoftsign(MinkowskiNonlinearityBase):
    """``torch.nn.Softsign``."""

    MODULE = nn.Softsign


class MinkowskiTanh(MinkowskiNonlinearityBase):
    """``torch.nn.Tanh``."""

    MODULE = nn.Tanh


class MinkowskiTanhshrink(MinkowskiNonlinearityBase):
    """``torch.nn.Tanhshrink``."""

    MODULE = nn.Tanhshrink


class MinkowskiThreshold(MinkowskiNonlinearityBase):
    """``torch.nn.Threshold``."""

    MODULE = nn.Threshold


class MinkowskiSoftmin(MinkowskiNonlinearityBase):
    """``torch.nn.Softmin``."""

    MODULE = nn.Softmin


class MinkowskiSoftmax(MinkowskiNonlinearityBase):
    """``torch.nn.Softmax``."""

    MODULE = nn.Softmax


class MinkowskiLogSoftmax(MinkowskiNonlinearityBase):
    """``torch.nn.LogSoftmax``."""

    MODULE = nn.LogSoftmax


class MinkowskiDropout(MinkowskiNonlinearityBase):
    """``torch.nn.Dropout``."""

    MODULE = nn.Dropout


class MinkowskiAlphaDropout(MinkowskiNonlinearityBase):
    """``torch.nn.AlphaDropout``."""

    MODULE = nn.AlphaDropout


class MinkowskiAdaptiveLogSoftmaxWithLoss(MinkowskiNonlinearityBase):
    """``torch.nn.AdaptiveLogSoftmaxWithLoss``, which needs targets: use ``log_prob`` and ``predict`` of ``module``."""

    MODULE = nn.AdaptiveLogSoftmaxWithLoss


class MinkowskiSinusoidal(MinkowskiModuleBase):
    """``sin(F kernel + bias) * coef``: (N, in_channel) -> (N, out_channel); all parameters start uniform in [0, 1)."""

    def __init__(self, in_channel: int, out_channel: int) -> None:
        super().__init__()
        self.in_channel = in_channel
        self.out_channel = out_channel
        self.kernel = nn.Parameter(torch.rand(in_channel, out_channel))
        self.bias = nn.Parameter(torch.rand(1, out_channel))
        self.coef = nn.Parameter(torch.rand(1, out_channel))

    def forward(self, input: Either) -> Either:
        """The same coordinates with the sinusoids of the features."""
        return rowwise(input, lambda rows: torch.sin(rows.mm(self.kernel) + self.bias) * self.coef)
