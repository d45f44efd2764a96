"""New features on the coordinates of a tensor."""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor

from ceco3d.minkowski.sparse_tensor import SparseTensor
from ceco3d.minkowski.tensor_field import TensorField

Either = TypeVar("Either", SparseTensor, TensorField)


def with_features(x: Either, features: Tensor) -> Either:
    """(N, C') rows in the order of ``x.F`` on the coordinates of ``x``. TypeError unless ``x`` is sparse or a field."""
    if isinstance(x, TensorField):
        return TensorField(
            features,
            coordinate_field_map_key=x.coordinate_field_map_key,
            coordinate_manager=x.coordinate_manager,
            quantization_mode=x.quantization_mode,
        )
    if not isinstance(x, SparseTensor):
        raise TypeError(f"expected a SparseTensor or a TensorField, got {type(x).__name__}")
    return SparseTensor(features, coordinate_map_key=x.coordinate_map_key, coordinate_manager=x.coordinate_manager)
