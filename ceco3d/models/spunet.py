"""Names and layouts of Pointcept's SpUNet-v1m1, the network of SpUNet34C in spconv's layers.

spconv's kernels are (Cout, K, K, K, Cin) with axes x, y, z; ours (K^3, Cin, Cout) with x fastest. Offsets agree: a
submanifold kernel is centered, and a strided one starts at its output voxel, also where an inverse convolution reads
its pairs backward. The memory of a 1^3 kernel is (Cin, Cout) in both, whatever the shape says (``conv1x1``).

Source: pointcept/models/sparse_unet/spconv_unet_v1m1_base.py at d74c646; spconv/pytorch/conv.py of spconv 2.3.8.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

STEM = "conv_input.0.weight"
_MODULE = re.compile(r"(conv|bn|convtr|bntr|block)(\d)(?:p\d+s\d)?\.(.+)")


def looks_like_spunet(names: Iterable[str]) -> bool:
    """Whether the names of a file are those of a SpUNet, under any prefix."""
    known = set(names)
    stems = [name.removesuffix(STEM) for name in known if name.endswith(STEM)]
    return any({f"{stem}down.0.0.weight", f"{stem}up.0.0.weight"} <= known for stem in stems)


def spunet_name(name: str) -> str:
    """The name in SpUNet of a weight of a MinkUNet; ``final`` has the same in both, but for its kernel."""
    found = _MODULE.fullmatch(name)
    if not found:
        return name.replace("final.kernel", "final.weight")
    kind, stage, rest = found[1], int(found[2]), found[3]
    if kind == "block":
        index, _, part = rest.partition(".")
        part = part.replace(".bn.", ".").replace("norm", "bn").replace("downsample", "proj")
        side = f"enc.{stage - 1}" if stage <= 4 else f"dec.{8 - stage}"
        return f"{side}.block{index}.{part.replace('kernel', 'weight')}"
    module = f"up.{7 - stage}" if kind.endswith("tr") else f"down.{stage - 1}" if stage else "conv_input"
    return f"{module}.0.weight" if rest == "kernel" else f"{module}.1.{rest.removeprefix('bn.')}"


def to_spunet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a MinkUNet under SpUNet's names, in spconv's layout."""
    return {spunet_name(name): _to_spconv(name, value) for name, value in state.items()}


def from_spunet(state: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, Tensor]:
    """The weights that MinkUNets call ``names``, as far as ``state`` has them."""
    pairs = [(name, spunet_name(name)) for name in names]
    return {name: _from_spconv(name, state[theirs]) for name, theirs in pairs if theirs in state}


def kernel_to_spconv(kernel: Tensor) -> Tensor:
    """(K^3, Cin, Cout), or (Cin, Cout) for K = 1 -> (Cout, K, K, K, Cin)."""
    if kernel.ndim == 2:
        return kernel.reshape(kernel.shape[1], 1, 1, 1, kernel.shape[0])
    size = round(len(kernel) ** (1 / 3))
    return kernel.reshape(size, size, size, *kernel.shape[1:]).permute(4, 2, 1, 0, 3).contiguous()


def kernel_from_spconv(weight: Tensor) -> Tensor:
    """(Cout, K, K, K, Cin) -> (K^3, Cin, Cout), or (Cin, Cout) for K = 1."""
    outputs, size, inputs = weight.shape[0], weight.shape[1], weight.shape[-1]
    if size == 1:
        return weight.reshape(inputs, outputs)
    return weight.permute(3, 2, 1, 4, 0).reshape(size**3, inputs, outputs)


def _to_spconv(name: str, value: Tensor) -> Tensor:
    if name.endswith(".kernel"):
        return kernel_to_spconv(value)
    return value.flatten() if name == "final.bias" else value


def _from_spconv(name: str, value: Tensor) -> Tensor:
    if name.endswith(".kernel"):
        return kernel_from_spconv(value)
    return value[None] if name == "final.bias" else value
