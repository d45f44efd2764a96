"""The interfaces of kernels: the arithmetic of a sparse convolution on one kind of kernel map, and of a batch norm."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeVar

from torch import Tensor

Map = TypeVar("Map", contravariant=True)


class Kernels(Protocol[Map]):
    """A module, or any object with these two functions. ``Map`` is its kernel map; K is the number of offsets."""

    def forward(
        self,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        kernel_map: Map,
        residual: Tensor | None = None,
        relu: bool = False,
    ) -> Tensor:
        """(num_in, Cin), (K, Cin, Cout), (Cout,) -> (num_out, Cout) in the dtype of the features.

        Adds ``residual`` (num_out, Cout), of the same dtype, and ends with a ReLU, if asked to.
        """
        ...

    def backward(
        self,
        grad_out: Tensor,
        features: Tensor,
        weight: Tensor,
        kernel_map: Map,
        needs_features: bool,
        needs_weight: bool,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Gradients (num_in, Cin) in the dtype of the features and (K, Cin, Cout) in float32 or wider.

        None where not needed.
        """
        ...


class Norm(NamedTuple):
    """What a batch norm does to its rows.

    weight, bias  (C,) float32
    eps           added to the variance
    relu          whether ReLU comes last
    training      whether the statistics are those of the rows, so that gradients flow through them
    """

    weight: Tensor
    bias: Tensor
    eps: float
    relu: bool
    training: bool


class Running(NamedTuple):
    """The running statistics of a batch norm: (C,) float32 mean and unbiased variance; the number of batches, ()."""

    mean: Tensor
    variance: Tensor
    batches: Tensor
    momentum: float


class NormKernels(Protocol):
    """A module, or any object with these functions. Rows are (N, C) contiguous with N > 1."""

    def supports(self, x: Tensor) -> bool:
        """Whether these kernels take the rows ``x`` here."""
        ...

    def forward(self, norm: Norm, running: Running, x: Tensor, residual: Tensor | None) -> tuple[Tensor, Tensor]:
        """``relu(norm(x) + residual)``, and the statistics of x for ``backward``, in a form of the kernels' own.

        In training also updates the running statistics.
        """
        ...

    def backward(
        self, norm: Norm, statistics: Tensor, grad: Tensor, x: Tensor, out: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The gradients of x, weight, bias and residual.

        grad  (N, C) in the dtype of x, of any strides
        out   what ``forward`` returned, if it took a residual and ended with a ReLU
        """
        ...
