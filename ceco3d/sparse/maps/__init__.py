"""Voxel coordinates as sorted keys, and the kernel maps between them."""

from ceco3d.sparse.maps.kernel_map import CoordinateManager, KernelMap, build_kernel_map, kernel_offsets

__all__ = ["CoordinateManager", "KernelMap", "build_kernel_map", "kernel_offsets"]
