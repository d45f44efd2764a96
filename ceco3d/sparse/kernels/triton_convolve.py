"""Sparse convolution by the Triton kernels, given a TileMap."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ceco3d.sparse.kernels import triton_gemm
from ceco3d.sparse.kernels.triton_config import ConvolveConfig, GradientConfig, convolve_config, gradient_config
from ceco3d.sparse.kernels.triton_launch import cdiv, device_of, interpreted
from ceco3d.sparse.kernels.triton_map import TileMap, TileMaps
from ceco3d.sparse.kernels.triton_tuned import tuned_config


def forward(features: Tensor, weight: Tensor, bias: Tensor | None, maps: TileMaps) -> Tensor:
    """(num_in, Cin), (K, Cin, Cout), (Cout,) -> (num_out, Cout) in the features' dtype."""
    return convolve(features, weight, bias, maps.forward)


def backward(
    grad_out: Tensor, features: Tensor, weight: Tensor, maps: TileMaps, needs_features: bool, needs_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients (num_in, Cin) in the features' dtype and (K, Cin, Cout) float32; None where not needed."""
    grad_features = grad_weight = None
    if needs_features:
        transposed = (weight.flip(0) if maps.mirrored else weight).transpose(1, 2)
        grad_features = convolve(grad_out, transposed, None, maps.backward)
    if needs_weight:
        grad_weight = weight_gradient(features, grad_out, maps.forward)
    return grad_features, grad_weight


def convolve(
    features: Tensor, weight: Tensor, bias: Tensor | None, tiles: TileMap, config: ConvolveConfig | None = None
) -> Tensor:
    """(num_in, Cin), (K, Cin, Cout), (Cout,) -> (num_out, Cout) in the features' dtype."""
    features, weight = _whole_words(features), weight.to(features.dtype)
    volume, _, cout = weight.shape
    cin = features.shape[1]
    if cin > weight.shape[1]:
        weight = F.pad(weight, (0, 0, 0, cin - weight.shape[1]))
    weight = weight.contiguous()
    config = config or choose("convolve", tiles, cin, cout, features.dtype)
    splits = config.splits
    out = features.new_empty(
        (tiles.num_out, cout) if splits == 1 else (splits, tiles.num_out, cout),
        dtype=features.dtype if splits == 1 else torch.float32,
    )
    if out.numel() == 0:
        return features.new_empty(tiles.num_out, cout)
    fused = bias is not None and splits == 1
    grid = (len(tiles.counts) * cdiv(cout, config.columns), splits)
    with device_of(features):
        triton_gemm.convolve[grid](
            *(features, weight, bias if fused else None, out),
            *(tiles.neighbours, tiles.rows, tiles.offsets, tiles.counts, tiles.num_out),
            VOLUME=volume,
            CIN=cin,
            COUT=cout,
            TILE=tiles.tile,
            COLUMNS=config.columns,
            DEPTH=config.depth,
            SPLITS=splits,
            STAGES=config.stages,
            BIAS=fused,
            OPERANDS=_operands(features.dtype),
            num_warps=config.warps,
        )
    if splits == 1:
        return out
    total = out.sum(0)
    return (total if bias is None else total + bias).to(features.dtype)


def weight_gradient(features: Tensor, grad_out: Tensor, tiles: TileMap, config: GradientConfig | None = None) -> Tensor:
    """(num_in, Cin), (num_out, Cout) -> (K, Cin, Cout) float32, which real float16 gradients need: they pass 65504."""
    channels = features.shape[1], grad_out.shape[1]
    features, grad_out = _whole_words(features), _whole_words(grad_out)
    volume, cin, cout = tiles.volume, features.shape[1], grad_out.shape[1]
    if tiles.num_out == 0:
        return features.new_zeros(volume, *channels, dtype=torch.float32)
    config = config or choose("weight_gradient", tiles, cin, cout, features.dtype)
    out = features.new_empty(config.splits, volume, cin, cout, dtype=torch.float32)
    grid = (cdiv(cin, config.rows) * cdiv(cout, config.columns), volume, config.splits)
    with device_of(features):
        triton_gemm.weight_gradient[grid](
            *(features, grad_out, out, tiles.neighbours, tiles.rows),
            *(tiles.blocks, tiles.block_counts, len(tiles.counts)),
            VOLUME=volume,
            CIN=cin,
            COUT=cout,
            TILE=tiles.tile,
            PAIRS=config.pairs,
            ROWS=config.rows,
            COLUMNS=config.columns,
            SPLITS=config.splits,
            STAGES=config.stages,
            OPERANDS=_operands(features.dtype),
            num_warps=config.warps,
        )
    total = out[0] if config.splits == 1 else out.sum(0)
    return total[:, : channels[0], : channels[1]]


def _whole_words(rows: Tensor) -> Tensor:
    """(N, C) contiguous, with channels of zeros so that every row begins at a multiple of 16 bytes.

    Only then rows are copied to shared memory while others are multiplied; the stem's 3 or 9 channels cost little.
    """
    missing = -rows.shape[1] % (16 // rows.element_size())
    return F.pad(rows, (0, missing)) if missing else rows.contiguous()


def choose(
    kernel: str, tiles: TileMap, in_channels: int, out_channels: int, dtype: torch.dtype
) -> ConvolveConfig | GradientConfig:
    """Sizes of blocks for a kernel of ``triton_gemm``: those found by tuning, else the default ones."""
    found = tuned_config(kernel, tiles.rows.device, call_key(tiles, in_channels, out_channels, dtype))
    return found or default_config(kernel, tiles, in_channels, out_channels, dtype)


def default_config(
    kernel: str, tiles: TileMap, in_channels: int, out_channels: int, dtype: torch.dtype
) -> ConvolveConfig | GradientConfig:
    """The sizes of ``triton_config``."""
    make = {"convolve": convolve_config, "weight_gradient": gradient_config}[kernel]
    return make(tiles.num_out, in_channels, out_channels, tiles.volume, tiles.tile, dtype)


def call_key(tiles: TileMap, in_channels: int, out_channels: int, dtype: torch.dtype) -> str:
    """What the best sizes depend on; of the number of rows, the power of two."""
    precision = "tf32" if _operands(dtype) == "tf32" else str(dtype).removeprefix("torch.")
    return f"2^{tiles.num_out.bit_length()} rows {in_channels}x{out_channels}x{tiles.volume} {precision}"


def _operands(dtype: torch.dtype) -> str:
    """TF32 where torch's own float32 products may use it (``precision=tf32``)."""
    if dtype == torch.float32 and torch.get_float32_matmul_precision() != "highest":
        return "tf32"
    return "widened" if dtype == torch.bfloat16 and interpreted() else "exact"
