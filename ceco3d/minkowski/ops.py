"""Operations on several tensors, and conversions between sparse and dense ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor as Values
from torch import nn

from ceco3d.minkowski.common import MinkowskiModuleBase
from ceco3d.minkowski.linear import MinkowskiLinear
from ceco3d.minkowski.sparse_tensor import SparseTensor
from ceco3d.minkowski.tensor import Tensor
from ceco3d.minkowski.tensor_field import TensorField

__all__ = [
    "MinkowskiLinear",
    "MinkowskiStackCat",
    "MinkowskiStackMean",
    "MinkowskiStackSum",
    "MinkowskiStackVar",
    "MinkowskiToDenseTensor",
    "MinkowskiToFeature",
    "MinkowskiToSparseTensor",
    "cat",
    "dense_coordinates",
    "mean",
    "sum_tensors",
    "to_sparse",
    "to_sparse_all",
    "var",
]


def _same(tensors: Sequence[Any]) -> Sequence[Any]:
    """The tensors, given one by one or as a list. AssertionError unless all lie on the same coordinates."""
    if len(tensors) == 1:
        if not isinstance(tensors[0], list | tuple):
            raise AssertionError("give at least two tensors, or a list of them")
        tensors = tensors[0]
    if len(tensors) < 2:
        raise AssertionError(f"Invalid number of inputs. The input must be at least two, got {len(tensors)}")
    first = tensors[0]
    if not isinstance(first, Tensor):
        raise ValueError("Invalid data type. The input must be either a list of sparse tensors or of tensor fields.")
    for other in tensors:
        first._check_same(other)
        if other.device != first.device:
            raise AssertionError(f"Device must be the same. {first.device} != {other.device}")
    return tensors


def _join(tensors: Sequence[Any], operation: Callable[[list[Values]], Values]) -> Any:
    tensors = _same(tensors)
    return tensors[0].with_rows(operation([tensor.rows for tensor in tensors]))


def cat(*sparse_tensors: Any) -> Any:
    """The channels of tensors on the same coordinates, side by side."""
    return _join(sparse_tensors, lambda rows: torch.cat(rows, dim=-1))


def _add(rows: list[Values]) -> Values:
    total = rows[0] + rows[1]
    for other in rows[2:]:
        total = total + other
    return total


def sum_tensors(*sparse_tensors: Any) -> Any:
    """The sum of tensors on the same coordinates."""
    return _join(sparse_tensors, _add)


def mean(*sparse_tensors: Any) -> Any:
    """The mean of tensors on the same coordinates."""
    return _join(sparse_tensors, lambda rows: _add(rows) / len(rows))


def var(*sparse_tensors: Any) -> Any:
    """The variance, without Bessel's correction, of tensors on the same coordinates."""

    def variance(rows: list[Values]) -> Values:
        center = _add(rows) / len(rows)
        return _add([(row - center) ** 2 for row in rows]) / len(rows)

    return _join(sparse_tensors, variance)


def dense_coordinates(shape: Sequence[int]) -> Values:
    """(N, 1 + D) int32: the coordinates of all cells of a dense tensor (batch, channels, axes...)."""
    if len(shape) < 3:
        raise AssertionError("Invalid shape. Shape must be batch x channel x spatial dimensions.")
    axes = [torch.arange(size, dtype=torch.int32) for size in (shape[0], *shape[2:])]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, len(axes))


def to_sparse(
    x: Values, format: str | None = None, coordinates: Values | None = None, device: Any = None
) -> SparseTensor:
    """The cells of a dense tensor in which a channel is not zero.

    format  the axes in order: "B" for the batch, "C" for the channels, "X" for each other; by default "BCX...X"
    """
    if x.ndim < 3:
        raise AssertionError("Input has 0 spatial dimension.")
    format = "BC" + "X" * (x.ndim - 2) if format is None else format
    if len(format) != x.ndim:
        raise AssertionError(f"Invalid format: {format}. len(format) != x.ndim")
    if format[0] != "B" or format.count("B") != 1:
        raise AssertionError("The input must have the batch axis and the format must include 'B' as its first letter.")
    if format.count("C") != 1:
        raise AssertionError("The format must indicate the channel axis")
    cells = x.movedim(format.find("C"), -1)
    places = (cells != 0).any(-1).nonzero()
    return SparseTensor(cells[tuple(places.t())], places.int(), device=x.device if device is None else device)


def to_sparse_all(dense_tensor: Values, coordinates: Values | None = None) -> SparseTensor:
    """All cells of a dense tensor (batch, channels, axes...); ``coordinates`` are those of ``dense_coordinates``."""
    if coordinates is None:
        coordinates = dense_coordinates(dense_tensor.shape)
    rows = dense_tensor.movedim(1, -1).reshape(-1, dense_tensor.shape[1])
    return SparseTensor(rows, coordinates, device=dense_tensor.device)


class MinkowskiToSparseTensor(MinkowskiModuleBase):
    """A TensorField or a dense tensor (batch, channels, axes...) as a SparseTensor.

    As in MinkowskiEngine 0.5.4, cells of zeros are left out only if ``coordinates`` are given too.
    """

    def __init__(self, remove_zeros: bool = True, coordinates: Values | None = None) -> None:
        super().__init__()
        self.remove_zeros, self.coordinates = remove_zeros, coordinates

    def forward(self, input: TensorField | Values) -> SparseTensor:
        """(N, C) field or dense tensor -> (M, C)."""
        if isinstance(input, TensorField):
            return input.sparse()
        if not isinstance(input, Values):
            raise ValueError("Unsupported type. Only TensorField and torch.Tensor are supported")
        if self.remove_zeros and self.coordinates is not None:
            return to_sparse(input)
        return to_sparse_all(input, self.coordinates)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class MinkowskiToDenseTensor(MinkowskiModuleBase):
    """A SparseTensor as a dense tensor (batch, channels, axes...), of the given shape if there is one."""

    def __init__(self, shape: torch.Size | None = None) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, input: SparseTensor) -> Values:
        """(N, C) -> (batch, C, axes...)."""
        return input.dense(shape=self.shape)[0]

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class MinkowskiToFeature(MinkowskiModuleBase):
    """The features of a tensor."""

    def forward(self, x: Tensor) -> Values:
        """(N, C) -> (N, C)."""
        if not isinstance(x, Tensor):
            raise AssertionError("Invalid input type for MinkowskiToFeature")
        return x.F


class MinkowskiStackCat(nn.Sequential):
    """All modules on the same input, their channels side by side."""

    def forward(self, x: Any) -> Any:
        """See ``cat``."""
        return cat([module(x) for module in self])


class MinkowskiStackSum(nn.Sequential):
    """All modules on the same input, added."""

    def forward(self, x: Any) -> Any:
        """See ``sum_tensors``."""
        return sum_tensors([module(x) for module in self])


class MinkowskiStackMean(nn.Sequential):
    """All modules on the same input, averaged."""

    def forward(self, x: Any) -> Any:
        """See ``mean``."""
        return mean([module(x) for module in self])


class MinkowskiStackVar(nn.Sequential):
    """All modules on the same input, their variance."""

    def forward(self, x: Any) -> Any:
        """See ``var``."""
        return var([module(x) for module in self])
