"""The coordinate manager under MinkowskiEngine's name.

A map is known by its tensor stride and a string. All tensors that one input leads to share a manager, which makes each
map and each kernel map once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ceco3d.minkowski.fields import FieldMaps
from ceco3d.minkowski.kernel_maps import KernelMaps
from ceco3d.minkowski.kernels import int_list
from ceco3d.minkowski.map_key import CoordinateMapKey
from ceco3d.minkowski.modes import (
    CoordinateMapType,
    GPUMemoryAllocatorType,
    MinkowskiAlgorithm,
    set_gpu_allocator,
    set_memory_manager_backend,
)

__all__ = [
    "CoordinateManager",
    "CoordinateMapKey",
    "CoordsManager",
    "set_gpu_allocator",
    "set_memory_manager_backend",
]


class CoordinateManager(KernelMaps, FieldMaps):
    """The coordinate maps of one input and everything that was made from them.

    D  the number of axes; the other arguments are accepted and change nothing
    """

    def __init__(
        self,
        D: int = 0,
        num_threads: int = -1,
        coordinate_map_type: CoordinateMapType | None = None,
        allocator_type: GPUMemoryAllocatorType | None = None,
        minkowski_algorithm: MinkowskiAlgorithm | None = None,
    ) -> None:
        super().__init__(D)
        self.minkowski_algorithm = minkowski_algorithm or MinkowskiAlgorithm.DEFAULT

    def size(self, coordinate_map_key: CoordinateMapKey) -> int:
        """The number of rows of a map or a field."""
        field = self._fields.get(coordinate_map_key.name)
        return (
            len(self.level(coordinate_map_key))
            if field is None or coordinate_map_key.name in self._levels
            else len(field)
        )

    def get_coordinates(self, coords_key_or_tensor_strides: Any) -> Tensor:
        """(N, 1 + D) int32, in the order of features."""
        return self.level(self._get_coordinate_map_key(coords_key_or_tensor_strides)).coordinates(self.layout)

    def get_coordinate_field(self, coords_key_or_tensor_strides: Any) -> Tensor:
        """(N, 1 + D) float coordinates of a field."""
        key = coords_key_or_tensor_strides
        if not isinstance(key, CoordinateMapKey):
            key = CoordinateMapKey(int_list(key, self.D))
        return self._fields[key.name]

    def number_of_unique_batch_indices(self) -> int:
        """The number of batch items."""
        return len(self.level(self.origin()))

    def get_batch_indices(self) -> list[int]:
        """The batch items."""
        return [int(item) for item in self.layout.batches(self.level(self.origin()).keys)]

    def batch_rows(self, key: CoordinateMapKey) -> Tensor:
        """(N,) int64: for each row in key order, the row of its batch item in the origin map. ValueError if absent."""
        name = ("origin", key.name)
        if name not in self._maps:
            origin = self.level(self.origin())
            rows = origin.find(self.layout.round_down(self.level(key).keys, [0] * self.D))
            if bool((rows < 0).any()):
                raise ValueError("a batch item was added after the origin map was made")
            self._maps[name] = rows
        found: Tensor = self._maps[name]
        return found

    def origin_map(self, key: CoordinateMapKey) -> tuple[Tensor, list[Tensor]]:
        """(the batch items; for each number from 0 on, its rows of features, ascending, empty for absent items)."""
        level = self.level(key)
        items = self.layout.batches(level.keys)
        return self._by_item(level.featured(items))

    def origin_field_map(self, key: CoordinateMapKey) -> tuple[Tensor, list[Tensor]]:
        """``origin_map`` of a field."""
        return self._by_item(self._fields[key.name][:, 0].floor().long())

    def _by_item(self, items: Tensor) -> tuple[Tensor, list[Tensor]]:
        present = torch.tensor(self.get_batch_indices(), device=items.device)
        counts = torch.bincount(items, minlength=int(present[-1]) + 1 if len(present) else 0)
        return present, list(torch.split(items.argsort(stable=True), counts.tolist()))

    def __repr__(self) -> str:
        maps = "".join(f"\t{CoordinateMapKey(*name)}\t{len(level)} rows\n" for name, level in self._levels.items())
        return f"CoordinateManager(\n{maps}\talgorithm={self.minkowski_algorithm.name}\n)"


class CoordsManager:
    """The name of versions before 0.5. DeprecationWarning, as in MinkowskiEngine."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise DeprecationWarning("`CoordsManager` has been deprecated. Use `CoordinateManager` instead.")
