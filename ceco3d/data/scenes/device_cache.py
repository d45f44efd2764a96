"""Whole scenes kept on the device that computes, read from disk once."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ceco3d.data.scenes.blocks import OVERLAP, Piece
from ceco3d.data.scenes.scene import Scene
from ceco3d.utils.untrusted import read_npy

NARROW = {"color": torch.uint8, "segment": torch.int16, "instance": torch.int16}  # as on disk
POINT_BYTES = {"coord": 12, "color": 3, "normal": 12, "segment": 2, "instance": 2, "intensity": 4, "height": 4}
SHARE = 0.25  # of the memory of the device, at most


@dataclass(frozen=True)
class DeviceCache:
    """Scenes on ``device``, as narrow as on disk: 31 bytes per point. They come back as they were read, bit for bit.

    Only the process that computes can use it, so it needs a data loader without processes of its own.
    """

    device: torch.device
    _kept: dict[Hashable, Scene] = field(default_factory=dict)

    def __call__(self, key: Hashable, read: Callable[[], Scene]) -> Scene:
        """The scene called ``key``; ``read`` is called if it is not there yet. The caller may write to its tensors."""
        if key not in self._kept:
            scene = read()
            narrow = {name: _narrowed(values, NARROW.get(name)) for name, values in scene.tensors().items()}
            self._kept[key] = scene.replace(**narrow).to(self.device)
        scene = self._kept[key]
        dtypes = {name: torch.float32 if name == "color" else torch.int64 for name in NARROW}
        return scene.replace(
            **{name: values.to(dtypes.get(name, values.dtype), copy=True) for name, values in scene.tensors().items()}
        )


def _narrowed(values: Tensor, dtype: torch.dtype | None) -> Tensor:
    """``values`` as ``dtype`` if that loses nothing."""
    if dtype is None:
        return values
    narrow = values.to(dtype)
    return narrow if torch.equal(narrow.to(values.dtype), values) else values


def cached_bytes(pieces: Iterable[Piece], features: Iterable[str]) -> int:
    """About how many bytes a DeviceCache of ``pieces`` takes; scenes that cannot be read count nothing."""
    optional = {"intensity", "height"} - set(features)
    width = sum(size for name, size in POINT_BYTES.items() if name not in optional)
    return sum(map(_points, pieces)) * width


def _points(piece: Piece) -> int:
    if piece.blocks is not None:
        return int(piece.blocks.counts[piece.number] * (1 + 2 * OVERLAP) ** 2)
    try:
        return len(read_npy(piece.folder / "coord.npy"))
    except (OSError, ValueError, TypeError, EOFError):
        return 0


def device_bytes(device: torch.device) -> int:
    """Bytes of memory of ``device``."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
