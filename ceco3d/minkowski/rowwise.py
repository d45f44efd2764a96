"""Functions of features that do not depend on the order of the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor as Values

from ceco3d.minkowski.tensor import Tensor

Either = TypeVar("Either", bound=Tensor)  # a SparseTensor or a TensorField


def rowwise(x: Either, function: Callable[[Values], Values]) -> Either:
    """The coordinates of ``x`` with ``function`` of its features, (N, C) -> (N, C').

    TypeError unless ``x`` is a SparseTensor or a TensorField.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"expected a SparseTensor or a TensorField, got {type(x).__name__}")
    return x.with_rows(function(x.rows))
