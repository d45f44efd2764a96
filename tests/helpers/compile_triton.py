"""Compile the Triton kernels of a network for any GPU, present or not; print their resources as JSON lines.

python -m tests.helpers.compile_triton CAPABILITY [PRECISION ...]     e.g. 90 bf16: compute capability 9.0
Run without TRITON_INTERPRET.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import triton
import triton.backends.nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from ceco3d.sparse.kernels import (
    triton_cross_entropy_kernels,
    triton_gemm,
    triton_map_kernels,
    triton_normalize_kernels,
)
from ceco3d.sparse.kernels.triton_config import convolve_config, gradient_config
from ceco3d.sparse.kernels.triton_convolve import ADDED
from ceco3d.sparse.kernels.triton_grouped import grouped_weight_gradient
from ceco3d.sparse.kernels.triton_map import LISTED, SEGMENT, columns_of, fill_warps, search_rows, tile_rows
from ceco3d.sparse.kernels.triton_normalize import BLOCK_CHANNELS, BLOCK_VALUES

FINEST = (960_000, 96, 96, 27)
# (output rows, Cin, Cout, K): shapes of MinkUNet34C in a batch of 8 scenes of 120k voxels, then unusual ones.
SHAPES = (
    *((960_000, 9, 32, 125), FINEST, (960_000, 128, 96, 27), (960_000, 96, 96, 8)),
    *((300_000, 32, 32, 27), (300_000, 128, 96, 27), (80_000, 64, 64, 27), (20_000, 192, 128, 27)),
    *((20_000, 128, 128, 27), (5_000, 256, 256, 27), (5_000, 256, 256, 8), (960_000, 512, 512, 27), (100, 1, 1, 27)),
)
TYPES = {"fp32": "fp32", "tf32": "fp32", "fp16": "fp16", "bf16": "bf16"}
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
INDEX = dict.fromkeys(("neighbors", "rows", "offsets", "counts", "blocks", "block_counts", "slots"), "*i32")
MULTIPLES = ("channels", "grad_stride")  # arguments that are multiples of 16 in most layers
PTXAS = sorted((Path(triton.backends.nvidia.__file__).parent / "bin").glob("ptxas*"))[-1]  # the newest


def compile_kernel(
    kernel: triton.JITFunction, types: dict[str, str], constants: dict[str, Any], warps: int, capability: int
) -> dict[str, Any]:
    """Shared memory in bytes, registers per thread, spilled bytes, matrix instruction, and ``_copies_ahead``."""
    names = kernel.arg_names
    signature = {name: "constexpr" if name in constants else types[name] for name in names}
    aligned = {
        (i,): [["tt.divisibility", 16]]
        for i, name in enumerate(names)
        if signature[name].startswith("*") or name in MULTIPLES
    }
    source = ASTSource(kernel, signature, constants, aligned)
    found = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps})
    with tempfile.TemporaryDirectory() as folder:
        ptx = Path(folder) / "kernel.ptx"
        ptx.write_text(found.asm["ptx"])
        target = re.search(r"^\.target (\w+)", found.asm["ptx"], re.MULTILINE).group(1)
        command = [PTXAS, "-v", f"-arch={target}", ptx, "-o", "/dev/null"]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    code = found.asm["ttgir"]
    return {
        "shared": found.metadata.shared,
        "registers": int(re.search(r"Used (\d+) registers", report).group(1)),
        "spilled": int(re.search(r"(\d+) bytes spill stores", report).group(1)),
        "product": next((name for name in ("tc_gen5_mma", "warp_group_dot") if f"{name} " in code), "dot"),
        "ahead": _copies_ahead(code),
    }


def _copies_ahead(code: str) -> int:
    """Groups of copies in flight while the loop waits for its next rows; 0 without prefetching."""
    loop = code[code.index("scf.for") :] if "scf.for" in code else ""
    waits = [int(number) for number in re.findall(r"async_wait.*?num = (\d+)", loop.partition("scf.yield")[0])]
    return min(waits, default=0)


def compile_network(capability: int, precision: str) -> Iterator[dict[str, Any]]:
    """Resources of the GEMM kernels for every shape, and of some variants that no default chooses."""
    for shape in SHAPES:
        yield compile_convolution("convolve", shape, capability, precision)
        yield compile_convolution("input_gradient", shape, capability, precision)
        yield compile_gradient(shape, capability, precision)
    yield compile_convolution("inference", FINEST, capability, precision)
    yield compile_convolution("convolve", FINEST, capability, precision, CHUNKS=3, num_stages=5)
    yield compile_gradient(SHAPES[0], capability, precision, OFFSETS=8)
    values = "*" + TYPES[precision]
    types = {"parts": "*fp32", "bias": "*fp32", "residual": values, "out": values}
    types |= dict.fromkeys(("num_out", "cout", "split_k"), "i32")
    constants = {"RELU": True, "BLOCK": ADDED}
    yield {"kernel": "add_parts"} | compile_kernel(triton_gemm.add_parts, types, constants, 4, capability)


def compile_convolution(
    kernel: str, shape: tuple[int, int, int, int], capability: int, precision: str, **changes: int
) -> dict[str, Any]:
    """Resources of ``convolve``: as it is, with bias, residual and ReLU ("inference"), or as the "input_gradient"."""
    num_out, cin, cout, volume = shape
    dtype, values, tile = DTYPES[TYPES[precision]], "*" + TYPES[precision], tile_rows(num_out)
    config = asdict(convolve_config(num_out, cin, cout, volume, tile, dtype)) | changes
    types = INDEX | dict.fromkeys(("features", "weight", "residual"), values) | {"bias": "*fp32", "num_out": "i32"}
    types["out"] = values if config["SPLIT_K"] == 1 else "*fp32"
    finishes = kernel == "inference" and config["SPLIT_K"] == 1
    constants = _channels(volume, cin, cout, precision) | _constants(config)
    constants |= {"BLOCK_M": tile, "RELU": finishes} | dict.fromkeys(
        ("TRANSPOSED", "MIRRORED"), kernel == "input_gradient"
    )
    del constants["GRAD_WIDTH"]
    if not finishes:
        constants |= {"bias": None, "residual": None}
    found = compile_kernel(triton_gemm.convolve, types, constants, config["num_warps"], capability)
    return {"kernel": kernel, "shape": shape, "precision": precision} | config | found


def compile_gradient(
    shape: tuple[int, int, int, int], capability: int, precision: str, **changes: int
) -> dict[str, Any]:
    """Resources of ``weight_gradient``, or of ``grouped_weight_gradient``."""
    num_out, cin, cout, volume = shape
    dtype, values, tile = DTYPES[TYPES[precision]], "*" + TYPES[precision], tile_rows(num_out)
    config = asdict(gradient_config(num_out, cin, cout, volume, tile, dtype)) | changes
    types = INDEX | {"features": values, "grad_out": values, "grad_weight": "*fp32", "tiles": "i32"}
    constants = _channels(volume, cin, cout, precision) | _constants(config) | {"TILE": tile}
    kernel = triton_gemm.weight_gradient
    if config["OFFSETS"] > 1:
        kernel = grouped_weight_gradient
    else:
        del constants["OFFSETS"]
    found = compile_kernel(kernel, types, constants, config["num_warps"], capability)
    return {"kernel": "weight_gradient", "shape": shape, "precision": precision} | config | found


def _channels(volume: int, cin: int, cout: int, precision: str) -> dict[str, Any]:
    """The arguments of both kernels that follow from a convolution; rows are padded to 16 bytes."""
    multiple = 16 // DTYPES[TYPES[precision]].itemsize
    widths = {"WIDTH": cin + -cin % multiple, "GRAD_WIDTH": cout + -cout % multiple}
    operands = "tf32" if precision == "tf32" else "exact"
    return {"VOLUME": volume, "CIN": cin, "COUT": cout, "OPERANDS": operands} | widths


def _constants(config: dict[str, int]) -> dict[str, int]:
    """The block sizes as arguments of a kernel."""
    names = {"num_stages": "STAGES"}
    return {names.get(name, name): value for name, value in config.items() if name != "num_warps"}


def compile_maps(capability: int) -> Iterator[dict[str, Any]]:
    """Resources of the kernels that build maps, for each kernel size."""
    types = dict.fromkeys(("num_in", "num_out", "stride", "sign", "tiles"), "i32")
    types |= dict.fromkeys(("in_keys", "out_keys", "steps"), "*i64")
    types |= dict.fromkeys(("bits", "columns", "neighbors", "rows", "offsets", "counts"), "*i32")
    types |= dict.fromkeys(("blocks", "block_counts"), "*i32")
    for side in (2, 3, 5):
        width = columns_of(side)
        constants = {"SIDE": side, "COLUMNS": width, "BLOCK": search_rows(width), "SEGMENT": SEGMENT}
        constants["SIGNATURE"] = min(side, 3) ** 3
        search = types | {"order": "*i16" if side == 2 else "*i32"}
        found = compile_kernel(triton_map_kernels.search_columns, search, constants, 4, capability)
        yield {"kernel": "search_columns", "side": side} | found
        for tile in (64, 128):
            constants = {"SIDE": side, "COLUMNS": width, "TILE": tile}
            fill = types | {"order": "*i64"}
            found = compile_kernel(triton_map_kernels.fill_tiles, fill, constants, fill_warps(width, tile), capability)
            yield {"kernel": "fill_tiles", "side": side, "tile": tile} | found
    found = compile_kernel(triton_map_kernels.list_blocks, types, {"BLOCK": LISTED}, 4, capability)
    yield {"kernel": "list_blocks"} | found


def compile_norms(capability: int, precision: str) -> Iterator[dict[str, Any]]:
    """Resources of the batch norms' kernels, in every way that a network launches them."""
    values = "*" + TYPES[precision]
    rows = dict.fromkeys(("x", "residual", "out", "grad", "passed", "grad_x"), values)
    sums = ("sums", "moments", "weight", "bias", "running_mean", "running_var", "grad_weight", "grad_bias")
    numbers = dict.fromkeys(("rows", "channels", "steps", "grad_stride"), "i32") | {"momentum": "fp32", "eps": "fp32"}
    types = rows | dict.fromkeys(sums, "*fp32") | numbers | {"batches": "*i64"}
    ways: list[tuple[str, dict[str, Any]]] = [("statistics", {})]
    for training in (True, False):
        for residual, relu in ((False, False), (False, True), (True, True)):
            absent = ([] if residual else ["residual"]) + ([] if training else ["sums"])
            way = {"TRAINING": training, "RESIDUAL": residual, "RELU": relu}
            ways.append(("normalize", way | dict.fromkeys(absent)))
        ways += [("gradient", {"TRAINING": training, "MASK": mask}) for mask in ("", "input")]
    ways += [("gradient_sums", {"MASK": mask, "out": None, "passed": None}) for mask in ("", "input")]
    ways.append(("gradient_sums", {"MASK": "output"}))
    sizes = {"BLOCK_ROWS": BLOCK_VALUES // BLOCK_CHANNELS, "BLOCK_CHANNELS": BLOCK_CHANNELS}
    for name, way in ways:
        found = compile_kernel(getattr(triton_normalize_kernels, name), types, way | sizes, 4, capability)
        yield {"kernel": name, "precision": precision} | way | found


def compile_losses(capability: int, precision: str) -> Iterator[dict[str, Any]]:
    """Resources of the cross-entropy's kernels for 20 and 200 classes."""
    values = dict.fromkeys(("logits", "grad_logits"), "*" + TYPES[precision])
    sums = dict.fromkeys(("weight", "offset", "out", "normalizers", "grad"), "*fp32")
    types = values | sums | {"labels": "*i64", "smoothing": "fp32", "rows": "i32", "grad_stride": "i32"}
    for classes in (20, 200):
        block = 1 << (classes - 1).bit_length()
        sizes = {"CLASSES": classes, "SMOOTH": True, "BLOCK_ROWS": 4096 // block, "BLOCK_CLASSES": block}
        for name in ("losses", "gradient"):
            kernel = getattr(triton_cross_entropy_kernels, name)
            found = compile_kernel(kernel, types, sizes, 4, capability)
            yield {"kernel": f"cross-entropy {name}", "precision": precision} | sizes | found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    capability, *precisions = sys.argv[1:]
    for result in compile_maps(int(capability)):
        print(json.dumps(result))
    for precision in precisions:
        for result in (*compile_norms(int(capability), precision), *compile_losses(int(capability), precision)):
            print(json.dumps(result), flush=True)
        for result in compile_network(int(capability), precision):
            print(json.dumps(result), flush=True)
