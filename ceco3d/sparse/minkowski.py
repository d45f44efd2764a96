"""``engine=minkowski``: the layers of ``ceco3d.sparse`` on MinkowskiEngine 0.5.4, under the same names.

Layers take a ``ceco3d.sparse.SparseTensor`` or a ``MinkowskiTensor`` and return a ``MinkowskiTensor``, which returns
``features`` in the caller's order at stride 1. MinkowskiEngine hashes coordinates, builds kernel maps and computes the
convolutions, always in the dtype of the weights; the other layers only use rows.

Importing this module raises a one-line ImportError when MinkowskiEngine (scripts/install_minkowski.sh) does not load.
"""

from __future__ import annotations

import collections
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ceco3d.sparse import modules
from ceco3d.sparse.modules import BatchNorm, ReLU
from ceco3d.sparse.tensor import SparseTensor, cat

__all__ = ["BatchNorm", "Convolution", "MinkowskiTensor", "ReLU", "SparseTensor", "TransposedConvolution", "cat"]


@contextmanager
def _old_collections() -> Iterator[None]:
    """Within it ``collections.Sequence`` exists: MinkowskiEngine imports it, and Python 3.10 removed it."""
    if hasattr(collections, "Sequence"):
        yield
        return
    setattr(collections, "Sequence", Sequence)  # noqa: B010  # mypy knows no such attribute
    try:
        yield
    finally:
        delattr(collections, "Sequence")


def _load() -> tuple[ModuleType, ModuleType]:
    try:
        with _old_collections(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # every CPU build warns
            return import_module("MinkowskiEngine"), import_module("MinkowskiEngineBackend._C")
    except ImportError as error:
        reason = str(error).partition("\n")[0]
        raise ImportError(f"MinkowskiEngine does not load ({reason}): run scripts/install_minkowski.sh") from error


ME, backend = _load()


class MinkowskiTensor(SparseTensor):
    """Features on the voxels of a MinkowskiEngine coordinate map.

    rows      (N, C) in the order of that map
    key       which map of ``manager``: a MinkowskiEngine.CoordinateMapKey
    manager   a MinkowskiEngine.CoordinateManager
    position  (N,) int64: the row of each voxel of the caller's tensor, at stride 1
    """

    # Any: MinkowskiEngine has no types.
    manager: Any

    def __init__(self, rows: Tensor, key: Any, manager: Any, position: Tensor | None) -> None:
        self.rows, self.key, self.manager, self._position = rows, key, manager, position
        self.stride = key.get_tensor_stride()[0]

    @classmethod
    def of(cls, x: SparseTensor) -> MinkowskiTensor:
        """``x`` as a MinkowskiTensor. ValueError for a GPU tensor when MinkowskiEngine was built without CUDA."""
        if isinstance(x, cls):
            return x
        if x.rows.is_cuda and not ME.is_cuda_available():
            raise ValueError("this MinkowskiEngine was built without CUDA: choose device=cpu or engine=native")
        tensor = ME.SparseTensor(x.features, x.coordinates)
        return cls(tensor.F, tensor.coordinate_map_key, tensor.coordinate_manager, tensor.inverse_mapping.long())

    @property
    def coordinates(self) -> Tensor:
        """(N, 4) int32 ``[batch, x, y, z]`` in voxels, rows as in ``features``."""
        return self._in_caller_order(self.manager.get_coordinates(self.key))

    def with_rows(self, rows: Tensor) -> MinkowskiTensor:
        """The same voxels with the features ``rows``, in the order of ``self.rows``."""
        return MinkowskiTensor(rows, self.key, self.manager, self._position)


class Convolution(modules.Convolution):
    """Sparse convolution. Stride 1 keeps the voxels (submanifold); stride s makes the level s times coarser."""

    def forward(self, x: SparseTensor, residual: SparseTensor | None = None, relu: bool = False) -> MinkowskiTensor:
        """(N, Cin) at stride t -> (M, Cout) at stride t * stride."""
        return _convolve(self, x, residual, relu, ME.MinkowskiConvolutionFunction)

    def build_map(self, x: SparseTensor, stride: int) -> int:
        """Build nothing: MinkowskiEngine builds maps when it needs them. Returns the stride of the output."""
        return stride * self.stride


class TransposedConvolution(modules.TransposedConvolution):
    """The transpose of a strided convolution: returns to the voxels of the existing finer level."""

    def forward(self, x: SparseTensor, residual: SparseTensor | None = None, relu: bool = False) -> MinkowskiTensor:
        """(M, Cin) at stride t -> (N, Cout) at stride t / stride."""
        return _convolve(self, x, residual, relu, ME.MinkowskiConvolutionTransposeFunction)


def _convolve(
    layer: Convolution | TransposedConvolution,
    x: SparseTensor,
    residual: SparseTensor | None,
    relu: bool,
    function: Any,
) -> MinkowskiTensor:
    def finish(rows: Tensor) -> Tensor:
        return layer._finish(rows if layer.bias is None else rows + layer.bias, residual, relu)

    layer._check(x)
    x = MinkowskiTensor.of(x)
    with torch.autocast(x.rows.device.type, enabled=False):
        rows = x.rows.to(layer.kernel.dtype)
        if layer.kernel_size == layer.stride == 1:  # a matrix product, as in MinkowskiEngine's own layer
            return x.with_rows(finish(rows @ layer.kernel))
        weight = layer.kernel.reshape(-1, layer.in_channels, layer.out_channels)
        region = ME.KernelGenerator(layer.kernel_size, layer.stride, dimension=3)
        key = ME.CoordinateMapKey(4)  # of the output: set by the call
        rows = function.apply(rows, weight, region, backend.ConvolutionMode.DEFAULT, x.key, key, x.manager)
        return MinkowskiTensor(finish(rows), key, x.manager, x._position)
