"""The Triton kernels of ``engine=triton`` (see ``Kernels``), on TileMaps."""

from __future__ import annotations

from typing import Literal, overload

import torch
import torch.nn.functional as F
from torch import Tensor

from ceco3d.sparse.kernels import triton_gemm
from ceco3d.sparse.kernels.triton_config import ConvolveConfig, GradientConfig, convolve_config, gradient_config
from ceco3d.sparse.kernels.triton_launch import cdiv, device_of, interpreted
from ceco3d.sparse.kernels.triton_map import TileMap, TileMaps
from ceco3d.sparse.kernels.triton_tuned import tuned_config


def forward(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    kernel_map: TileMaps,
    residual: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """See ``Kernels.forward``."""
    out = convolve(features, weight, bias, kernel_map.forward)
    if residual is not None:
        out += residual
    return out.relu_() if relu else out


def backward(
    grad_out: Tensor, features: Tensor, weight: Tensor, kernel_map: TileMaps, needs_features: bool, needs_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """See ``Kernels.backward``; the weight gradient is float32."""
    grad_features = grad_weight = None
    if needs_features:
        transposed = (weight.flip(0) if kernel_map.mirrored else weight).transpose(1, 2)
        grad_features = convolve(grad_out, transposed, None, kernel_map.backward)
    if needs_weight:
        grad_weight = weight_gradient(features, grad_out, kernel_map.forward)
    return grad_features, grad_weight


def convolve(
    features: Tensor, weight: Tensor, bias: Tensor | None, tiles: TileMap, config: ConvolveConfig | None = None
) -> Tensor:
    """(num_in, Cin), (K, Cin, Cout), (Cout,) -> (num_out, Cout) in the dtype of the features."""
    features, weight = _align_rows(features), weight.to(features.dtype)
    volume, _, cout = weight.shape
    cin = features.shape[1]
    if cin > weight.shape[1]:
        weight = F.pad(weight, (0, 0, 0, cin - weight.shape[1]))
    weight = weight.contiguous()
    config = config or choose("convolve", tiles, cin, cout, features.dtype)
    split_k = config.SPLIT_K
    out = features.new_empty(
        (tiles.num_out, cout) if split_k == 1 else (split_k, tiles.num_out, cout),
        dtype=features.dtype if split_k == 1 else torch.float32,
    )
    if out.numel() == 0:
        return features.new_empty(tiles.num_out, cout)
    fused = bias is not None and split_k == 1
    grid = (len(tiles.counts) * cdiv(cout, config.BLOCK_N), split_k)
    with device_of(features):
        triton_gemm.convolve[grid](
            *(features, weight, bias if fused else None, out),
            *(tiles.neighbors, tiles.rows, tiles.offsets, tiles.counts, tiles.num_out),
            VOLUME=volume,
            CIN=cin,
            COUT=cout,
            BLOCK_M=tiles.tile,
            BLOCK_N=config.BLOCK_N,
            BLOCK_K=config.BLOCK_K,
            SPLIT_K=split_k,
            STAGES=config.num_stages,
            BIAS=fused,
            OPERANDS=_operands(features.dtype),
            num_warps=config.num_warps,
        )
    if split_k == 1:
        return out
    total = out.sum(0)
    return (total if bias is None else total + bias).to(features.dtype)


def weight_gradient(features: Tensor, grad_out: Tensor, tiles: TileMap, config: GradientConfig | None = None) -> Tensor:
    """(num_in, Cin), (num_out, Cout) -> (K, Cin, Cout) float32, because scaled float16 gradients exceed 65504."""
    channels = features.shape[1], grad_out.shape[1]
    features, grad_out = _align_rows(features), _align_rows(grad_out)
    volume, cin, cout = tiles.volume, features.shape[1], grad_out.shape[1]
    if tiles.num_out == 0:
        return features.new_zeros(volume, *channels, dtype=torch.float32)
    config = config or choose("weight_gradient", tiles, cin, cout, features.dtype)
    out = features.new_empty(config.SPLIT_K, volume, cin, cout, dtype=torch.float32)
    grid = (cdiv(cin, config.BLOCK_M) * cdiv(cout, config.BLOCK_N), volume, config.SPLIT_K)
    with device_of(features):
        triton_gemm.weight_gradient[grid](
            *(features, grad_out, out, tiles.neighbors, tiles.rows),
            *(tiles.blocks, tiles.block_counts, len(tiles.counts)),
            VOLUME=volume,
            CIN=cin,
            COUT=cout,
            TILE=tiles.tile,
            BLOCK_M=config.BLOCK_M,
            BLOCK_N=config.BLOCK_N,
            BLOCK_K=config.BLOCK_K,
            SPLIT_K=config.SPLIT_K,
            STAGES=config.num_stages,
            OPERANDS=_operands(features.dtype),
            num_warps=config.num_warps,
        )
    total = out[0] if config.SPLIT_K == 1 else out.sum(0)
    return total[:, : channels[0], : channels[1]]


def _align_rows(rows: Tensor) -> Tensor:
    """(N, C) contiguous, padded with zero channels until rows begin at multiples of 16 bytes.

    The asynchronous copies to shared memory need that alignment; padding the stem's 3 or 9 channels costs little.
    """
    missing = -rows.shape[1] % (16 // rows.element_size())
    return F.pad(rows, (0, missing)) if missing else rows.contiguous()


@overload
def choose(
    kernel: Literal["convolve"], tiles: TileMap, in_channels: int, out_channels: int, dtype: torch.dtype
) -> ConvolveConfig: ...


@overload
def choose(
    kernel: Literal["weight_gradient"], tiles: TileMap, in_channels: int, out_channels: int, dtype: torch.dtype
) -> GradientConfig: ...


def choose(
    kernel: str, tiles: TileMap, in_channels: int, out_channels: int, dtype: torch.dtype
) -> ConvolveConfig | GradientConfig:
    """Block sizes for a kernel of ``triton_gemm``: the tuned ones if there are any, else the defaults."""
    found = tuned_config(kernel, tiles.rows.device, call_key(tiles, in_channels, out_channels, dtype))
    return found or default_config(kernel, tiles, in_channels, out_channels, dtype)


def default_config(
    kernel: str, tiles: TileMap, in_channels: int, out_channels: int, dtype: torch.dtype
) -> ConvolveConfig | GradientConfig:
    """The block sizes of ``triton_config``."""
    shape = (tiles.num_out, in_channels, out_channels, tiles.volume, tiles.tile, dtype)
    return convolve_config(*shape) if kernel == "convolve" else gradient_config(*shape)


def call_key(tiles: TileMap, in_channels: int, out_channels: int, dtype: torch.dtype) -> str:
    """What the best block sizes depend on: channels, offsets, precision, and the number of rows to a power of two."""
    precision = "tf32" if _operands(dtype) == "tf32" else str(dtype).removeprefix("torch.")
    return f"2^{tiles.num_out.bit_length()} rows {in_channels}x{out_channels}x{tiles.volume} {precision}"


def _operands(dtype: torch.dtype) -> str:
    """OPERANDS of the kernels: TF32 where torch's own float32 products may use it (``precision=tf32``)."""
    if dtype == torch.float32 and torch.get_float32_matmul_precision() != "highest":
        return "tf32"
    return "widened" if dtype == torch.bfloat16 and interpreted() else "exact"
