"""Voxel coordinates as sorted keys, and the kernel maps between them."""

from ceco3d.sparse.maps.kernel_map import (
    CoordinateManager,
    KernelMap,
    build_kernel_map,
    build_offset_map,
    kernel_offsets,
)
from ceco3d.sparse.maps.layout import KeyLayout

__all__ = ["CoordinateManager", "KernelMap", "KeyLayout", "build_kernel_map", "build_offset_map", "kernel_offsets"]
