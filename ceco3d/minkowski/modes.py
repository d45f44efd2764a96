"""Enumerations and global settings under MinkowskiEngine's names.

The algorithms, allocators and map types of MinkowskiEngine choose between its own implementations; here they are
accepted and change nothing.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ceco3d.minkowski.coordinates import CoordinateManager


class SparseTensorOperationMode(Enum):
    """Whether each new SparseTensor gets a coordinate manager of its own, or all share one."""

    SEPARATE_COORDINATE_MANAGER = 0
    SHARE_COORDINATE_MANAGER = 1


class SparseTensorQuantizationMode(Enum):
    """What becomes of several rows with the same coordinates."""

    RANDOM_SUBSAMPLE = 0
    UNWEIGHTED_AVERAGE = 1
    UNWEIGHTED_SUM = 2
    NO_QUANTIZATION = 3
    MAX_POOL = 4
    SPLAT_LINEAR_INTERPOLATION = 5


class MinkowskiAlgorithm(IntEnum):
    """Accepted, without effect."""

    DEFAULT = 0
    MEMORY_EFFICIENT = 1
    SPEED_OPTIMIZED = 2


class CoordinateMapType(IntEnum):
    """Accepted, without effect: coordinates stay on the device of the tensor they came with."""

    CPU = 0
    CUDA = 1


class GPUMemoryAllocatorType(IntEnum):
    """Accepted, without effect: memory is torch's."""

    PYTORCH = 0
    CUDA = 1


class RegionType(IntEnum):
    """The shape of a kernel: all offsets of a box, those on its axes, or a list."""

    HYPER_CUBE = 0
    HYPER_CROSS = 1
    CUSTOM = 2


class PoolingMode(IntEnum):
    """What a pooling layer computes. The endings of the global modes choose nothing here."""

    LOCAL_SUM_POOLING = 0
    LOCAL_AVG_POOLING = 1
    LOCAL_MAX_POOLING = 2
    GLOBAL_SUM_POOLING_DEFAULT = 3
    GLOBAL_AVG_POOLING_DEFAULT = 4
    GLOBAL_MAX_POOLING_DEFAULT = 5
    GLOBAL_SUM_POOLING_KERNEL = 6
    GLOBAL_AVG_POOLING_KERNEL = 7
    GLOBAL_MAX_POOLING_KERNEL = 8
    GLOBAL_SUM_POOLING_PYTORCH_INDEX = 9
    GLOBAL_AVG_POOLING_PYTORCH_INDEX = 10
    GLOBAL_MAX_POOLING_PYTORCH_INDEX = 11


class BroadcastMode(IntEnum):
    """How a row per batch item joins the rows of the item. The first name is misspelled in MinkowskiEngine too."""

    ELEMENTWISE_ADDITON = 0
    ELEMENTWISE_MULTIPLICATION = 1


class ConvolutionMode(IntEnum):
    """Accepted, without effect."""

    DEFAULT = 0
    DIRECT_GEMM = 1
    COPY_GEMM = 2


COORDINATE_MANAGER_DIFFERENT_ERROR = (
    "the tensors must share a coordinate manager: pass coordinate_manager=x.coordinate_manager, "
    "or call set_sparse_tensor_operation_mode(SparseTensorOperationMode.SHARE_COORDINATE_MANAGER)"
)
COORDINATE_KEY_DIFFERENT_ERROR = "the tensors must have the same coordinate_map_key"

_mode = SparseTensorOperationMode.SEPARATE_COORDINATE_MANAGER
_manager: CoordinateManager | None = None


def set_sparse_tensor_operation_mode(operation_mode: SparseTensorOperationMode) -> None:
    """Choose whether new tensors share one coordinate manager; if so, clear it after each step."""
    global _mode
    if not isinstance(operation_mode, SparseTensorOperationMode):
        raise AssertionError(f"Input must be an instance of SparseTensorOperationMode not {operation_mode}")
    _mode = operation_mode


def sparse_tensor_operation_mode() -> SparseTensorOperationMode:
    """The mode that was set last."""
    return _mode


def global_coordinate_manager() -> CoordinateManager | None:
    """The manager that new tensors share, if there is one yet."""
    return _manager


def set_global_coordinate_manager(coordinate_manager: CoordinateManager | None) -> None:
    """Let new tensors share ``coordinate_manager``."""
    global _manager
    _manager = coordinate_manager


def clear_global_coordinate_manager() -> None:
    """Forget the shared manager: the next tensor makes a new one."""
    set_global_coordinate_manager(None)


def set_gpu_allocator(backend: GPUMemoryAllocatorType) -> None:
    """Accepted, without effect: memory is torch's."""
    if not isinstance(backend, GPUMemoryAllocatorType):
        raise AssertionError(f"Input must be an instance of GPUMemoryAllocatorType not {backend}")


def set_memory_manager_backend(backend: GPUMemoryAllocatorType) -> None:
    """The old name of ``set_gpu_allocator``."""
    set_gpu_allocator(backend)
