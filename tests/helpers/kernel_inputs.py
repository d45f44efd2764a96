"""Kernel maps and values for tests of the Triton kernels. Import after conftest has chosen the interpreter."""

import torch

from ceco3d.sparse.kernels import triton_map
from ceco3d.sparse.maps.kernel_map import KernelMap, build_kernel_map
from tests.helpers.sparse import sparse_input

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
KERNELS = {"3": (3, 1), "5": (5, 1), "down": (2, 2), "up": (2, 2), "3 strided": (3, 2), "4": (4, 1)}


def make_maps(kernel, density=0.04, seed=0) -> tuple[KernelMap, triton_map.TileMaps]:
    """The same pairs as a KernelMap and as TileMaps."""
    x, _ = sparse_input(seed, density=density)
    size, stride = KERNELS[kernel]
    levels = x.manager.keys(1).to(DEVICE), x.manager.keys(x.manager.downsample(1, stride)).to(DEVICE)
    same = levels[0] if stride == 1 else levels[1]
    maps = [build(levels[0], same, size, 1) for build in (build_kernel_map, triton_map.build_tile_maps)]
    return tuple(one.transposed() for one in maps) if kernel == "up" else tuple(maps)


def make_values(pairs: KernelMap, volume, cin, cout, dtype, seed=0):
    """(features, weight, bias, grad_out) whose values ``dtype`` holds exactly."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(pairs.num_in, cin), (volume, cin, cout), (cout,), (pairs.num_out, cout)]
    return [torch.randn(shape, generator=generator).to(DEVICE, dtype) for shape in shapes]
