"""The layers of ``ceco3d.sparse`` on MinkowskiEngine 0.5.4 (scripts/install_minkowski.sh), under the same names.

A layer takes a ``ceco3d.sparse.SparseTensor`` or the output of another layer. What it returns offers the same as the
former: ``features`` in the row order of the caller at stride 1. MinkowskiEngine hashes the coordinates, finds the
kernel maps and computes the convolutions, always in the dtype of the weights; the other layers only see rows.

Importing this module raises an ImportError of one line where MinkowskiEngine is missing or does not load.
"""

from __future__ import annotations

import collections
import warnings
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from unittest.mock import patch

import torch
from torch import Tensor

from ceco3d.sparse import modules
from ceco3d.sparse.modules import BatchNorm, ReLU
from ceco3d.sparse.tensor import SparseTensor, cat

__all__ = ["BatchNorm", "Convolution", "MinkowskiTensor", "ReLU", "SparseTensor", "TransposedConvolution", "cat"]


def _load() -> tuple[ModuleType, ModuleType]:
    # MinkowskiEngine imports Sequence from collections, which has none since Python 3.10; it warns of every CPU build.
    try:
        with patch.object(collections, "Sequence", Sequence, create=True), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module("MinkowskiEngine"), import_module("MinkowskiEngineBackend._C")
    except ImportError as error:
        reason = str(error).partition("\n")[0]
        raise ImportError(f"MinkowskiEngine does not load ({reason}): run scripts/install_minkowski.sh") from error


ME, backend = _load()


class MinkowskiTensor(SparseTensor):
    """Features on the voxels of a MinkowskiEngine coordinate map.

    rows      (N, C) in the order of that map
    key       which map of ``manager``, a MinkowskiEngine.CoordinateManager
    position  the row of each voxel of the caller's tensor, at stride 1: (N,) int64
    """

    def __init__(self, rows: Tensor, key: ME.CoordinateMapKey, manager: ME.CoordinateManager, position: Tensor) -> None:
        self.rows, self.key, self.manager, self._position = rows, key, manager, position
        self.stride = key.get_tensor_stride()[0]

    @classmethod
    def of(cls, x: SparseTensor) -> MinkowskiTensor:
        """``x`` in the hands of MinkowskiEngine; ValueError on a GPU when MinkowskiEngine was built without CUDA."""
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
        """The same voxels with other features, given in the order of ``rows``."""
        return MinkowskiTensor(rows, self.key, self.manager, self._position)


class Convolution(modules.Convolution):
    """Sparse convolution. Stride 1 keeps the voxels (submanifold); stride s makes the level s times coarser."""

    def forward(self, x: SparseTensor) -> MinkowskiTensor:
        """(N, Cin) at stride t -> (M, Cout) at stride t * stride."""
        return _convolve(self, x, ME.MinkowskiConvolutionFunction)

    def build_map(self, x: SparseTensor, stride: int) -> int:
        """Nothing ahead of time: MinkowskiEngine makes its maps when it needs them. Returns the output's stride."""
        return stride * self.stride


class TransposedConvolution(modules.TransposedConvolution):
    """The transpose of a strided convolution: returns to the voxels of the existing finer level."""

    def forward(self, x: SparseTensor) -> MinkowskiTensor:
        """(M, Cin) at stride t -> (N, Cout) at stride t / stride."""
        return _convolve(self, x, ME.MinkowskiConvolutionTransposeFunction)


def _convolve(layer: Convolution | TransposedConvolution, x: SparseTensor, function: type) -> MinkowskiTensor:
    layer._check(x)
    x = MinkowskiTensor.of(x)
    with torch.autocast(x.rows.device.type, enabled=False):
        rows = x.rows.to(layer.kernel.dtype)
        if layer.kernel_size == layer.stride == 1:  # a matrix product, as in MinkowskiEngine's own layer
            return x.with_rows(layer._add_bias(rows @ layer.kernel))
        weight = layer.kernel.reshape(-1, layer.in_channels, layer.out_channels)
        region = ME.KernelGenerator(layer.kernel_size, layer.stride, dimension=3)
        key = ME.CoordinateMapKey(4)  # of the output: set by the call
        rows = function.apply(rows, weight, region, backend.ConvolutionMode.DEFAULT, x.key, key, x.manager)
        return MinkowskiTensor(layer._add_bias(rows), key, x.manager, x._position)
