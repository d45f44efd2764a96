"""Initial weights of a MinkUNet by name: those that the published trainings begin with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from torch import Tensor, nn


def _kaiming_normal(model: nn.Module) -> None:
    """MinkowskiEngine's ``kaiming_normal_(kernel, mode="fan_out", nonlinearity="relu")``, as in its examples/resnet.py.

    Transposed convolutions and biases stay as they are. Of kernels without a volume, (Cin, Cout), the engine takes the
    first dimension for the outputs.
    """
    for name, kernel in _kernels(model):
        if not name.startswith("convtr"):
            fan = kernel.shape[0] * kernel.shape[2] if kernel.ndim == 3 else kernel.shape[0]
            nn.init.normal_(kernel, std=math.sqrt(2 / fan))


def _truncated_normal(model: nn.Module) -> None:
    """Pointcept's SpUNet: submanifold convolutions normal with std 0.02, the classifier's bias 0.

    The others start as spconv's do, uniform in +-1/sqrt(K^3 Cin), inverse convolutions too.
    """
    for name, kernel in _kernels(model):
        if name.startswith("conv") and name.endswith("s2"):
            bound = 1 / math.sqrt(kernel.shape[0] * kernel.shape[1])
            nn.init.uniform_(kernel, -bound, bound)
        else:
            nn.init.trunc_normal_(kernel, std=0.02)
    nn.init.zeros_(model.get_parameter("final.bias"))


def _kernels(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The kernels of all convolutions, by the names of these."""
    for name, value in model.named_parameters():
        if name.endswith(".kernel"):
            yield name.removesuffix(".kernel"), value


def _unchanged(model: nn.Module) -> None:
    """What the layers do themselves: MinkowskiEngine's start, which is that of Res16UNet."""


INITIAL: dict[str, Callable[[nn.Module], None]] = {
    "uniform": _unchanged,
    "kaiming_normal": _kaiming_normal,
    "truncated_normal": _truncated_normal,
}
