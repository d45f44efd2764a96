"""The interface of kernels: the arithmetic of a sparse convolution on one kind of kernel map."""

from __future__ import annotations

from typing import Protocol, TypeVar

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
