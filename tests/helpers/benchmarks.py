"""Small workloads for benchmark tests."""

from importlib import import_module

import torch

from ceco3d.benchmarks.workload import Workload

CHANNELS = 9
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def make_input(channels=CHANNELS):
    """Two scenes far apart, with negative coordinates and corners that are not multiples of 16.

    features (N, channels) float32, coordinates (N, 4) int32 ``[batch, x, y, z]``
    """
    generator = torch.Generator().manual_seed(0)
    coordinates = (torch.rand(2, 8, 8, 8, generator=generator) < 0.15).nonzero().int()
    coordinates += torch.tensor([0, -3, 5, -21], dtype=torch.int32)
    coordinates[coordinates[:, 0] == 1, 1] += 20
    features = torch.randn(len(coordinates), channels, generator=generator)
    return features.to(DEVICE), coordinates.to(DEVICE)


def make_workload():
    """MinkUNet14A with 7 classes on the voxels of ``make_input``."""
    features, coordinates = make_input()
    labels = torch.zeros(len(features), dtype=torch.int64, device=DEVICE)
    model = {"name": "MinkUNet14A", "stem_kernel": 3, "bn_momentum": 0.1}
    return Workload(coordinates, features, labels, model, 7, DEVICE)


def compute_on_cpu(monkeypatch, name, library):
    """Make spconv (``library``: ``spconv.pytorch``) or spconv-triton compute without a GPU.

    spconv has one algorithm for that, whose backward asks for a CUDA stream that it does not use. spconv-triton needs a
    GPU to check tensors, count multiprocessors and tune tiles; its kernels are interpreted.
    """
    if name == "spconv":
        native = {"algo": library.ConvAlgo.Native}
        for kind in ("SubMConv3d", "SparseConv3d", "SparseInverseConv3d"):
            layer = getattr(library, kind)
            monkeypatch.setattr(library, kind, lambda *args, layer=layer, **options: layer(*args, **options | native))
        monkeypatch.setattr(import_module("spconv.pytorch.ops"), "get_current_stream", lambda: 0)
    elif name == "spconv_triton":
        from spconv_triton.pytorch._impl import gemm, pair_kernels

        monkeypatch.setattr(torch.Tensor, "is_cuda", True, raising=False)
        monkeypatch.setattr(gemm, "_multiprocessor_count", lambda device: 1)
        for kernel in (*vars(gemm).values(), *vars(pair_kernels).values()):
            if hasattr(kernel, "configs"):
                monkeypatch.setattr(kernel, "configs", kernel.configs[:1])
