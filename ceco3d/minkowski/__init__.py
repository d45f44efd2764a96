"""MinkowskiEngine's Python API (0.5.4) on this engine: ``import ceco3d.minkowski as ME``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from ceco3d.minkowski import functional as MinkowskiFunctional
from ceco3d.minkowski import ops as MinkowskiOps
from ceco3d.minkowski import utils
from ceco3d.minkowski.broadcast import (
    MinkowskiBroadcast,
    MinkowskiBroadcastAddition,
    MinkowskiBroadcastConcatenation,
    MinkowskiBroadcastFunction,
    MinkowskiBroadcastMultiplication,
)
from ceco3d.minkowski.channelwise import MinkowskiChannelwiseConvolution
from ceco3d.minkowski.common import MinkowskiModuleBase, convert_to_int_list, convert_to_int_tensor
from ceco3d.minkowski.convolution import (
    MinkowskiConvolution,
    MinkowskiConvolutionFunction,
    MinkowskiConvolutionTranspose,
    MinkowskiConvolutionTransposeFunction,
    MinkowskiGenerativeConvolutionTranspose,
)
from ceco3d.minkowski.coordinates import CoordinateManager, CoordinateMapKey, CoordsManager
from ceco3d.minkowski.diagnostics import print_diagnostics
from ceco3d.minkowski.interpolation import MinkowskiInterpolation, MinkowskiInterpolationFunction
from ceco3d.minkowski.kernels import KernelGenerator, get_kernel_volume
from ceco3d.minkowski.modes import (
    BroadcastMode,
    ConvolutionMode,
    CoordinateMapType,
    GPUMemoryAllocatorType,
    MinkowskiAlgorithm,
    PoolingMode,
    RegionType,
    SparseTensorOperationMode,
    SparseTensorQuantizationMode,
    clear_global_coordinate_manager,
    global_coordinate_manager,
    set_global_coordinate_manager,
    set_gpu_allocator,
    set_memory_manager_backend,
    set_sparse_tensor_operation_mode,
    sparse_tensor_operation_mode,
)
from ceco3d.minkowski.network import MinkowskiNetwork
from ceco3d.minkowski.nonlinearity import (
    MinkowskiAdaptiveLogSoftmaxWithLoss,
    MinkowskiAlphaDropout,
    MinkowskiCELU,
    MinkowskiDropout,
    MinkowskiELU,
    MinkowskiGELU,
    MinkowskiHardshrink,
    MinkowskiHardsigmoid,
    MinkowskiHardswish,
    MinkowskiHardtanh,
    MinkowskiLeakyReLU,
    MinkowskiLogSigmoid,
    MinkowskiLogSoftmax,
    MinkowskiPReLU,
    MinkowskiReLU,
    MinkowskiReLU6,
    MinkowskiRReLU,
    MinkowskiSELU,
    MinkowskiSigmoid,
    MinkowskiSiLU,
    MinkowskiSinusoidal,
    MinkowskiSoftmax,
    MinkowskiSoftmin,
    MinkowskiSoftplus,
    MinkowskiSoftshrink,
    MinkowskiSoftsign,
    MinkowskiTanh,
    MinkowskiTanhshrink,
    MinkowskiThreshold,
)
from ceco3d.minkowski.normalization import (
    MinkowskiBatchNorm,
    MinkowskiInstanceNorm,
    MinkowskiInstanceNormFunction,
    MinkowskiStableInstanceNorm,
    MinkowskiSyncBatchNorm,
)
from ceco3d.minkowski.ops import (
    MinkowskiLinear,
    MinkowskiStackCat,
    MinkowskiStackMean,
    MinkowskiStackSum,
    MinkowskiStackVar,
    MinkowskiToDenseTensor,
    MinkowskiToFeature,
    MinkowskiToSparseTensor,
    cat,
    dense_coordinates,
    mean,
    to_sparse,
    to_sparse_all,
    var,
)
from ceco3d.minkowski.ops import sum_tensors as sum  # MinkowskiEngine's name
from ceco3d.minkowski.pooling import (
    MinkowskiAvgPooling,
    MinkowskiDirectMaxPoolingFunction,
    MinkowskiGlobalAvgPooling,
    MinkowskiGlobalMaxPooling,
    MinkowskiGlobalPooling,
    MinkowskiGlobalPoolingFunction,
    MinkowskiGlobalSumPooling,
    MinkowskiLocalPoolingFunction,
    MinkowskiLocalPoolingTransposeFunction,
    MinkowskiMaxPooling,
    MinkowskiPoolingTranspose,
    MinkowskiSumPooling,
)
from ceco3d.minkowski.program import install
from ceco3d.minkowski.pruning import MinkowskiPruning, MinkowskiPruningFunction
from ceco3d.minkowski.sparse_tensor import SparseTensor
from ceco3d.minkowski.spmm import MinkowskiSPMMAverageFunction, MinkowskiSPMMFunction, spmm
from ceco3d.minkowski.tensor_field import TensorField
from ceco3d.minkowski.union import MinkowskiUnion, MinkowskiUnionFunction

# fmt: off
__all__ = [
    "BroadcastMode", "ConvolutionMode", "CoordinateManager", "CoordinateMapKey", "CoordinateMapType",
    "CoordsManager", "GPUMemoryAllocatorType", "KernelGenerator", "MinkowskiAdaptiveLogSoftmaxWithLoss",
    "MinkowskiAlgorithm", "MinkowskiAlphaDropout", "MinkowskiAvgPooling", "MinkowskiBatchNorm",
    "MinkowskiBroadcast", "MinkowskiBroadcastAddition", "MinkowskiBroadcastConcatenation",
    "MinkowskiBroadcastFunction", "MinkowskiBroadcastMultiplication", "MinkowskiCELU",
    "MinkowskiChannelwiseConvolution", "MinkowskiConvolution", "MinkowskiConvolutionFunction",
    "MinkowskiConvolutionTranspose", "MinkowskiConvolutionTransposeFunction", "MinkowskiDirectMaxPoolingFunction",
    "MinkowskiDropout", "MinkowskiELU", "MinkowskiFunctional", "MinkowskiGELU",
    "MinkowskiGenerativeConvolutionTranspose", "MinkowskiGlobalAvgPooling", "MinkowskiGlobalMaxPooling",
    "MinkowskiGlobalPooling", "MinkowskiGlobalPoolingFunction", "MinkowskiGlobalSumPooling",
    "MinkowskiHardshrink", "MinkowskiHardsigmoid", "MinkowskiHardswish", "MinkowskiHardtanh",
    "MinkowskiInstanceNorm", "MinkowskiInstanceNormFunction", "MinkowskiInterpolation",
    "MinkowskiInterpolationFunction", "MinkowskiLeakyReLU", "MinkowskiLinear", "MinkowskiLocalPoolingFunction",
    "MinkowskiLocalPoolingTransposeFunction", "MinkowskiLogSigmoid", "MinkowskiLogSoftmax", "MinkowskiMaxPooling",
    "MinkowskiModuleBase", "MinkowskiNetwork", "MinkowskiOps", "MinkowskiPReLU", "MinkowskiPoolingTranspose",
    "MinkowskiPruning", "MinkowskiPruningFunction", "MinkowskiRReLU", "MinkowskiReLU", "MinkowskiReLU6",
    "MinkowskiSELU", "MinkowskiSPMMAverageFunction", "MinkowskiSPMMFunction", "MinkowskiSiLU", "MinkowskiSigmoid",
    "MinkowskiSinusoidal", "MinkowskiSoftmax", "MinkowskiSoftmin", "MinkowskiSoftplus", "MinkowskiSoftshrink",
    "MinkowskiSoftsign", "MinkowskiStableInstanceNorm", "MinkowskiStackCat", "MinkowskiStackMean",
    "MinkowskiStackSum", "MinkowskiStackVar", "MinkowskiSumPooling", "MinkowskiSyncBatchNorm", "MinkowskiTanh",
    "MinkowskiTanhshrink", "MinkowskiThreshold", "MinkowskiToDenseTensor", "MinkowskiToFeature",
    "MinkowskiToSparseTensor", "MinkowskiUnion", "MinkowskiUnionFunction", "PoolingMode", "RegionType",
    "SparseTensor", "SparseTensorOperationMode", "SparseTensorQuantizationMode", "TensorField", "cat",
    "clear_global_coordinate_manager", "convert_to_int_list", "convert_to_int_tensor", "cuda_version",
    "cudart_version", "dense_coordinates", "get_gpu_memory_info", "get_kernel_volume",
    "global_coordinate_manager", "install", "is_cuda_available", "mean", "print_diagnostics",
    "set_global_coordinate_manager", "set_gpu_allocator", "set_memory_manager_backend",
    "set_sparse_tensor_operation_mode", "sparse_tensor_operation_mode", "spmm", "sum", "to_sparse",
    "to_sparse_all", "utils", "var",
]
# fmt: on
__version__ = "0.5.4"


def is_cuda_available() -> bool:
    """Whether torch sees a GPU."""
    return torch.cuda.is_available()


def cuda_version() -> int:
    """The version of CUDA that torch was built for, as 10 * major + minor; -1 without CUDA."""
    return int(torch.version.cuda.replace(".", "")) if torch.version.cuda else -1


cudart_version = cuda_version


def get_gpu_memory_info() -> tuple[int, int]:
    """(free, total) bytes of the current GPU."""
    return torch.cuda.mem_get_info()


def __getattr__(name: str) -> Any:
    if name == "modules":  # it imports this package
        return import_module("ceco3d.minkowski.modules")
    raise AttributeError(f"ceco3d.minkowski has no {name}: see docs/minkowski.md")
