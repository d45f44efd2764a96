"""A scene in memory."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Scene:
    """One scan. Every tensor has N rows in the same order and lives on the same device.

    coord    (N, 3) float32, metres, z up
    color    (N, 3) float32, 0..255
    normal   (N, 3) float32, unit length or zero
    segment  (N,) int64, training index of the data set's label space, -1 = ignore
    instance (N,) int64, -1 = none
    """

    name: str
    coord: Tensor
    color: Tensor
    normal: Tensor
    segment: Tensor
    instance: Tensor

    def __len__(self) -> int:
        return len(self.coord)

    def replace(self, **changes: Tensor | str) -> Scene:
        """A copy with some fields exchanged; the others are shared, not copied."""
        return replace(self, **changes)

    def tensors(self) -> dict[str, Tensor]:
        """The per-point tensors by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "name"}

    def select(self, index: Tensor) -> Scene:
        """The points at ``index``: (M,) int64 positions or an (N,) bool mask."""
        if index.dtype == torch.bool:
            index = index.nonzero().squeeze(1)
        return self.replace(**{name: tensor.index_select(0, index) for name, tensor in self.tensors().items()})

    def to(self, device: torch.device | str) -> Scene:
        """The scene on ``device``."""
        return self.replace(**{name: tensor.to(device, non_blocking=True) for name, tensor in self.tensors().items()})


def concatenate(scenes: list[Scene], name: str | None = None) -> Scene:
    """All points of ``scenes`` as one scene, in order."""
    names = scenes[0].tensors()
    merged = {field: torch.cat([getattr(scene, field) for scene in scenes]) for field in names}
    return Scene(name=name or "+".join(scene.name for scene in scenes), **merged)
