"""The Triton kernels of ``engine=triton`` (see ``Kernels``), on TileMaps."""

from __future__ import annotations

from typing import Any, Literal, overload

import torch
import torch.nn.functional as F
from torch import Tensor

from ceco3d.sparse.kernels import triton_gemm
from ceco3d.sparse.kernels.triton_config import ConvolveConfig, GradientConfig, convolve_config, gradient_config
from ceco3d.sparse.kernels.triton_grouped import grouped_weight_gradient
from ceco3d.sparse.kernels.triton_launch import cdiv, device_of, interpreted
from ceco3d.sparse.kernels.triton_map import TileMap, TileMaps
from ceco3d.sparse.kernels.triton_tuned import tuned_config

ADDED = 1024  # values of a program of ``add_parts``


def forward(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    kernel_map: TileMaps,
    residual: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """See ``Kernels.forward``."""
    return convolve(features, weight, bias, kernel_map.forward, residual=residual, relu=relu)


def backward(
    grad_out: Tensor, features: Tensor, weight: Tensor, kernel_map: TileMaps, needs_features: bool, needs_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """See ``Kernels.backward``; the weight gradient is float32."""
    grad_features = grad_weight = None
    if needs_features:
        grad_features = input_gradient(grad_out, weight, kernel_map.backward, kernel_map.mirrored)
    if needs_weight:
        grad_weight = weight_gradient(features, grad_out, kernel_map.forward)
    return grad_features, grad_weight


def convolve(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    tiles: TileMap,
    config: ConvolveConfig | None = None,
    residual: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """(num_in, Cin), (K, Cin, Cout), (Cout,) -> (num_out, Cout) in the dtype of the features, as the residual."""
    cin, cout = weight.shape[1:]
    config = config or choose("convolve", tiles, cin, cout, features.dtype)
    return _convolve(features, weight, tiles, config, (cin, cout), (bias, residual, relu))


def input_gradient(
    grad_out: Tensor, weight: Tensor, tiles: TileMap, mirrored: bool, config: ConvolveConfig | None = None
) -> Tensor:
    """(num_out, Cout), (K, Cin, Cout) -> (num_in, Cin) in the dtype of ``grad_out``.

    ``tiles`` is the transposed map; its offset k has the weight K-1-k if ``mirrored``.
    """
    cin, cout = weight.shape[1:]
    config = config or choose("input_gradient", tiles, cout, cin, grad_out.dtype)
    return _convolve(grad_out, weight, tiles, config, (cout, cin), transposed=True, mirrored=mirrored)


def _convolve(
    features: Tensor,
    weight: Tensor,
    tiles: TileMap,
    config: ConvolveConfig,
    channels: tuple[int, int],
    finish: tuple[Tensor | None, Tensor | None, bool] = (None, None, False),
    transposed: bool = False,
    mirrored: bool = False,
) -> Tensor:
    """``finish``: bias, residual, ReLU."""
    features, weight = _align_rows(features), weight.to(features.dtype).contiguous()
    (cin, cout), (bias, residual, relu) = channels, finish
    out = features.new_empty(tiles.num_out, cout)
    if out.numel() == 0:
        return out
    split_k = config.SPLIT_K
    parts = out if split_k == 1 else out.new_empty(split_k, tiles.num_out, cout, dtype=torch.float32)
    residual = None if residual is None else residual.contiguous()
    grid = (len(tiles.counts) * cdiv(cout, config.BLOCK_N), split_k)
    with device_of(features):
        triton_gemm.convolve[grid](
            *(features, weight, bias, residual, parts) if split_k == 1 else (features, weight, None, None, parts),
            *(tiles.neighbors, tiles.rows, tiles.offsets, tiles.counts, tiles.num_out),
            VOLUME=tiles.volume,
            CIN=cin,
            WIDTH=features.shape[1],
            COUT=cout,
            BLOCK_M=tiles.tile,
            BLOCK_N=config.BLOCK_N,
            BLOCK_K=config.BLOCK_K,
            CHUNKS=config.CHUNKS,
            SPLIT_K=split_k,
            STAGES=config.num_stages,
            TRANSPOSED=transposed,
            MIRRORED=mirrored,
            RELU=relu and split_k == 1,
            OPERANDS=_operands(features.dtype),
            num_warps=config.num_warps,
        )
        if split_k > 1:
            triton_gemm.add_parts[(cdiv(out.numel(), ADDED),)](
                *(parts, bias, residual, out, tiles.num_out, cout, split_k), RELU=relu, BLOCK=ADDED
            )
    return out


def weight_gradient(features: Tensor, grad_out: Tensor, tiles: TileMap, config: GradientConfig | None = None) -> Tensor:
    """(num_in, Cin), (num_out, Cout) -> (K, Cin, Cout) float32, because scaled float16 gradients exceed 65504."""
    volume, cin, cout = tiles.volume, features.shape[1], grad_out.shape[1]
    if tiles.num_out == 0:
        return features.new_zeros(volume, cin, cout, dtype=torch.float32)
    config = config or choose("weight_gradient", tiles, cin, cout, features.dtype)
    features, grad_out = _align_rows(features), _align_rows(grad_out)
    out = features.new_empty(config.SPLIT_K, volume, cin, cout, dtype=torch.float32)
    panels = cdiv(cin, config.BLOCK_M) * cdiv(cout, config.BLOCK_N)
    sizes: dict[str, Any] = {
        "VOLUME": volume,
        "CIN": cin,
        "WIDTH": features.shape[1],
        "COUT": cout,
        "GRAD_WIDTH": grad_out.shape[1],
        "TILE": tiles.tile,
        "BLOCK_M": config.BLOCK_M,
        "BLOCK_N": config.BLOCK_N,
        "BLOCK_K": config.BLOCK_K,
        "SPLIT_K": config.SPLIT_K,
        "STAGES": config.num_stages,
        "OPERANDS": _operands(features.dtype),
        "num_warps": config.num_warps,
    }
    with device_of(features):
        if config.OFFSETS == 1:
            triton_gemm.weight_gradient[(panels, volume, config.SPLIT_K)](
                *(features, grad_out, out, tiles.neighbors, tiles.rows),
                *(tiles.blocks, tiles.block_counts, len(tiles.counts)),
                **sizes,
            )
        else:
            grouped_weight_gradient[(panels, cdiv(volume, config.OFFSETS), config.SPLIT_K)](
                *(features, grad_out, out, tiles.neighbors, tiles.rows, _slots(tiles), len(tiles.counts)),
                OFFSETS=config.OFFSETS,
                **sizes,
            )
    return out[0] if config.SPLIT_K == 1 else out.sum(0)


def _slots(tiles: TileMap) -> Tensor:
    """(tiles, K) int32: for each tile the block of each offset, or -1."""
    place = torch.arange(tiles.volume, dtype=torch.int32, device=tiles.rows.device).expand_as(tiles.offsets)
    place = place.masked_fill(place >= tiles.counts[:, None], -1)
    return torch.empty_like(tiles.offsets).scatter_(1, tiles.offsets.long(), place)


def _align_rows(rows: Tensor) -> Tensor:
    """(N, C) contiguous, padded with zero channels until rows begin at multiples of 16 bytes.

    The asynchronous copies to shared memory need that alignment; padding the stem's 3 or 9 channels costs little.
    """
    missing = -rows.shape[1] % (16 // rows.element_size())
    return F.pad(rows, (0, missing)) if missing else rows.contiguous()


@overload
def choose(
    kernel: Literal["convolve", "input_gradient"],
    tiles: TileMap,
    in_channels: int,
    out_channels: int,
    dtype: torch.dtype,
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
    return gradient_config(*shape) if kernel == "weight_gradient" else convolve_config(*shape)


def call_key(tiles: TileMap, in_channels: int, out_channels: int, dtype: torch.dtype) -> str:
    """What the best block sizes depend on: channels, offsets, precision, and the number of rows to a power of two."""
    precision = "tf32" if _operands(dtype) == "tf32" else str(dtype).removeprefix("torch.")
    return f"2^{tiles.num_out.bit_length()} rows {in_channels}x{out_channels}x{tiles.volume} {precision}"


def _operands(dtype: torch.dtype) -> str:
    """OPERANDS of the kernels: TF32 where torch's own float32 products may use it (``precision=tf32``)."""
    if dtype == torch.float32 and torch.get_float32_matmul_precision() != "highest":
        return "tf32"
    return "widened" if dtype == torch.bfloat16 and interpreted() else "exact"
