"""What sparse tensors and fields have in common: features, coordinates, batch items, arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor as Values

from ceco3d.minkowski.coordinates import CoordinateManager, CoordinateMapKey
from ceco3d.minkowski.modes import (
    COORDINATE_KEY_DIFFERENT_ERROR,
    COORDINATE_MANAGER_DIFFERENT_ERROR,
    SparseTensorQuantizationMode,
)

if TYPE_CHECKING:
    from typing_extensions import Self


class Tensor:
    """Base of SparseTensor and TensorField.

    ``rows`` are the features in the order in which layers compute, ``F`` in that of ``C``; ``with_rows`` makes a tensor
    on the same coordinates.
    """

    _manager: CoordinateManager
    _D: int
    quantization_mode: SparseTensorQuantizationMode
    _batch_rows: list[Values] | None = None

    _F: Values

    # Subclasses keep the features and the key.

    @property
    def rows(self) -> Values:
        """(N, channels) features in the order in which layers compute."""
        raise NotImplementedError

    @property
    def key(self) -> CoordinateMapKey:
        """The key of the coordinates, of a map or of a field."""
        raise NotImplementedError

    def with_rows(self, rows: Values) -> Self:
        """The same coordinates with other features, in the order of ``rows``."""
        raise NotImplementedError

    def with_features(self, features: Values) -> Self:
        """The same coordinates with other features, in the order of ``C``."""
        raise NotImplementedError

    def _coordinates(self) -> Values:
        raise NotImplementedError

    def _rows_by_item(self) -> list[Values]:
        raise NotImplementedError

    @property
    def coordinate_manager(self) -> CoordinateManager:
        """The manager of the coordinates."""
        return self._manager

    @property
    def coordinate_key(self) -> CoordinateMapKey:
        """The key of the coordinates."""
        return self.key

    @property
    def tensor_stride(self) -> list[int]:
        """The distance of neighbors, for each axis."""
        return self.key.get_tensor_stride()

    @property
    def F(self) -> Values:
        """(N, channels) features."""
        return self._F

    features = F

    @property
    def C(self) -> Values:
        """(N, 1 + D) coordinates, the batch item first."""
        return self._coordinates()

    coordinates = C

    @property
    def D(self) -> int:
        """The number of axes."""
        return self._D

    dimension = D

    # Batch items

    @property
    def _batchwise_row_indices(self) -> list[Values]:
        if self._batch_rows is None:
            self._batch_rows = self._rows_by_item()
        return self._batch_rows

    _sorted_batchwise_row_indices = _batchwise_row_indices
    decomposition_permutations = _batchwise_row_indices

    @property
    def decomposed_coordinates(self) -> list[Values]:
        """For each batch item its (n, D) coordinates."""
        return [self.C[rows, 1:] for rows in self._batchwise_row_indices]

    @property
    def decomposed_features(self) -> list[Values]:
        """For each batch item its (n, channels) features."""
        return [self.F[rows] for rows in self._batchwise_row_indices]

    @property
    def decomposed_coordinates_and_features(self) -> tuple[list[Values], list[Values]]:
        """Both, in the same order."""
        return self.decomposed_coordinates, self.decomposed_features

    def coordinates_at(self, batch_index: int) -> Values:
        """(n, D) coordinates of a batch item."""
        return self.C[self._batchwise_row_indices[batch_index], 1:]

    def features_at(self, batch_index: int) -> Values:
        """(n, channels) features of a batch item."""
        return self.F[self._batchwise_row_indices[batch_index]]

    def coordinates_and_features_at(self, batch_index: int) -> tuple[Values, Values]:
        """Both, in the same order."""
        return self.coordinates_at(batch_index), self.features_at(batch_index)

    # Like a torch tensor

    @property
    def requires_grad(self) -> bool:
        """Whether the features require gradients."""
        return self._any().requires_grad

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Make the features require gradients."""
        self.F.requires_grad_(requires_grad)
        return self

    def float(self) -> Self:
        """Turn the features of this tensor into float32."""
        self._F = self.F.float()
        return self

    def double(self) -> Self:
        """Turn the features of this tensor into float64."""
        self._F = self.F.double()
        return self

    def detach(self) -> Self:
        """Cut the features of this tensor from their history."""
        self._F = self.F.detach()
        return self

    def _any(self) -> Values:
        """The features in any order."""
        return self.rows

    def __len__(self) -> int:
        return len(self._any())

    def size(self) -> torch.Size:
        """(N, channels)."""
        return self._any().shape

    @property
    def shape(self) -> torch.Size:
        """(N, channels)."""
        return self._any().shape

    @property
    def device(self) -> torch.device:
        """Where the features are."""
        return self._any().device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the features."""
        return self._any().dtype

    def get_device(self) -> int:
        """The number of the GPU, -1 for the CPU."""
        return self._any().get_device()

    # Arithmetic

    def _check_same(self, other: Any) -> None:
        if not isinstance(other, type(self)):
            raise AssertionError(f"expected a {type(self).__name__}, got {type(other).__name__}")
        if self._manager is not other._manager:
            raise AssertionError(COORDINATE_MANAGER_DIFFERENT_ERROR)
        if self.key != other.key:
            raise AssertionError(f"{COORDINATE_KEY_DIFFERENT_ERROR}: {self.key} and {other.key}")

    def _in_place(self, other: Any, operation: Callable[[Values, Values], Values]) -> Self:
        self._check_same(other)
        self._set_rows(operation(self.rows, other.rows))
        return self

    def _set_rows(self, rows: Values) -> None:
        raise NotImplementedError

    def __iadd__(self, other: Any) -> Self:
        return self._in_place(other, torch.add)

    def __isub__(self, other: Any) -> Self:
        return self._in_place(other, torch.sub)

    def __imul__(self, other: Any) -> Self:
        return self._in_place(other, torch.mul)

    def __itruediv__(self, other: Any) -> Self:
        return self._in_place(other, torch.div)

    def _combine(self, other: Any, operation: Callable[[Values, Any], Values]) -> Self:
        if isinstance(other, type(self)):
            self._check_same(other)
            return self.with_rows(operation(self.rows, other.rows))
        if isinstance(other, Values) and other.ndim == 2 and len(other) == len(self) and len(self) > 1:
            return self.with_features(operation(self.F, other))
        if isinstance(other, Values | int | float):
            return self.with_rows(operation(self.rows, other))
        raise AssertionError(
            f"expected a {type(self).__name__}, a torch.Tensor or a number, got {type(other).__name__}"
        )

    def __add__(self, other: Any) -> Self:
        return self._combine(other, torch.add)

    def __sub__(self, other: Any) -> Self:
        return self._combine(other, torch.sub)

    def __mul__(self, other: Any) -> Self:
        return self._combine(other, torch.mul)

    def __truediv__(self, other: Any) -> Self:
        return self._combine(other, torch.div)

    def __pow__(self, power: Any) -> Self:
        return self.with_rows(self.rows**power)
