"""A scene in memory."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Scene:
    """One scan. All tensors have N rows in the same order and are on the same device.

    Scenes are read with contiguous columns, strides (1, N), so that operations on all x run along memory. Other strides
    work too, but slower.

    coord      (N, 3) float32, meters, z up
    color      (N, 3) float32, 0..255
    normal     (N, 3) float32, unit length or zero
    segment    (N,) int64, training index in the label space of the data set, -1 = ignore
    instance   (N,) int64, -1 = none
    intensity  (N,) float32, 0..1, or None if the network does not need it
    height     (N,) float32, meters above the ground, or None if the network does not need it
    """

    name: str
    coord: Tensor
    color: Tensor
    normal: Tensor
    segment: Tensor
    instance: Tensor
    intensity: Tensor | None = None
    height: Tensor | None = None

    def __len__(self) -> int:
        return len(self.coord)

    def replace(self, **changes: Any) -> Scene:
        """A copy with some fields replaced; the others are shared, not copied."""
        return replace(self, **changes)

    def tensors(self) -> dict[str, Tensor]:
        """The per-point tensors by name, without those it does not have."""
        return {f.name: value for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)}

    def select(self, index: Tensor) -> Scene:
        """The points at ``index``: (M,) int64 positions or an (N,) bool mask."""
        if index.dtype == torch.bool:
            index = index.nonzero().squeeze(1)
        return self.replace(**{name: take_rows(tensor, index) for name, tensor in self.tensors().items()})

    def pin_memory(self) -> Scene:
        """The scene in page-locked memory, so that copies to a GPU overlap with other work; on a GPU as it is."""
        if self.coord.device.type != "cpu":
            return self
        return self.replace(**{name: tensor.pin_memory() for name, tensor in self.tensors().items()})

    def to(self, device: torch.device | str) -> Scene:
        """The scene on ``device``."""
        return self.replace(**{name: move(tensor, device) for name, tensor in self.tensors().items()})


def move(tensor: Tensor, device: torch.device | str) -> Tensor:
    """``tensor`` on ``device``. Copies to a GPU are asynchronous, copies from it are complete on return."""
    return tensor.to(device, non_blocking=torch.device(device).type == "cuda")


def columns(values: Tensor) -> Tensor:
    """The columns of ``values`` (N, C) as contiguous rows (C, N); no copy if they are contiguous already."""
    return values.t() if values.stride(0) == 1 else torch.stack(values.unbind(1))


def take_rows(values: Tensor, index: Tensor) -> Tensor:
    """The rows of ``values``, (N,) or (N, C), at ``index`` (M,) int64. The result has contiguous columns."""
    if values.dim() == 1:
        return values.index_select(0, index)
    return columns(values).index_select(1, index).t()


def concatenate(scenes: list[Scene], name: str | None = None) -> Scene:
    """All points of ``scenes``, in order, as one scene; its name joins theirs with "+" unless ``name`` is given."""
    names = scenes[0].tensors()
    merged = {field: torch.cat([getattr(scene, field).t() for scene in scenes], dim=-1).t() for field in names}
    return Scene(name=name or "+".join(scene.name for scene in scenes), **merged)
