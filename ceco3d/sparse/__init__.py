"""Sparse convolution on voxels with MinkowskiEngine's semantics and parameter layout. Works without the rest of ceco3d.

>>> x = SparseTensor(features, coordinates)      # (N, C) float, (N, 4) int [batch, x, y, z]
>>> y = Convolution(3, 32, kernel_size=3)(x)
>>> y.features                                   # (N, 32), rows in the order of x
"""

from ceco3d.sparse.casting import cast_weights
from ceco3d.sparse.engine import ENGINES, Engine, load_engine
from ceco3d.sparse.entropy import cross_entropy
from ceco3d.sparse.modules import BatchNorm, Convolution, Layer, ReLU, TransposedConvolution
from ceco3d.sparse.tensor import SparseTensor, cat

__all__ = [
    "ENGINES",
    "BatchNorm",
    "Convolution",
    "Engine",
    "Layer",
    "ReLU",
    "SparseTensor",
    "TransposedConvolution",
    "cast_weights",
    "cat",
    "cross_entropy",
    "load_engine",
]
