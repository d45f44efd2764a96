"""Fields: float coordinates, and the coordinate maps that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ceco3d.minkowski.kernels import int_list
from ceco3d.minkowski.level_maps import LevelMaps
from ceco3d.minkowski.levels import Level, unique_rows
from ceco3d.minkowski.map_key import CoordinateMapKey, Name


class FieldMaps(LevelMaps):
    """A manager's fields."""

    def __init__(self, D: int) -> None:
        super().__init__(D)
        self._field_maps: dict[tuple[Name, Name], tuple[Tensor, Tensor]] = {}

    def insert_field(self, coordinates: Tensor, tensor_stride: Any, string_id: str = "") -> CoordinateMapKey:
        """Keep the (N, 1 + D) float coordinates of a field."""
        strides = int_list(tensor_stride, self.D)
        key = CoordinateMapKey(strides, string_id)
        while key.name in self._fields:
            key = self.get_unique_coordinate_map_key(strides, string_id)
        self._fields[key.name] = coordinates
        return key

    def is_field(self, key: CoordinateMapKey) -> bool:
        """Whether ``key`` names a field and no coordinate map."""
        return key.name in self._fields and key.name not in self._levels

    def field_items(self, key: CoordinateMapKey) -> Tensor:
        """(N,) int64: for each row of a field, the row of its batch item in the origin map."""
        return self.level(self.origin()).find(self.field_keys(key, [0] * self.D))

    def field_keys(self, field_map_key: CoordinateMapKey, strides: Sequence[int]) -> Tensor:
        """(N,) keys of the cells of the given stride that the rows of a field lie in."""
        field = self._fields[field_map_key.name].floor()
        return self.layout.round_down(self.keys_of(field.long()), strides)

    def field_to_sparse_insert_and_map(
        self, field_map_key: CoordinateMapKey, sparse_tensor_stride: Any, sparse_tensor_string_id: str = ""
    ) -> tuple[CoordinateMapKey, tuple[Tensor, Tensor]]:
        """Make the map of the cells of a field, rows in key order; see ``insert_and_map``."""
        strides = int_list(sparse_tensor_stride, self.D)
        keys, first, place = unique_rows(self.field_keys(field_map_key, strides))
        key = self.add(Level(keys), strides, sparse_tensor_string_id)
        self._field_maps[field_map_key.name, key.name] = first, place
        return key, (first, place)

    def exists_field_to_sparse(self, field_map_key: CoordinateMapKey, sparse_map_key: CoordinateMapKey) -> bool:
        """Whether the map between a field and a coordinate map was made."""
        return (field_map_key.name, sparse_map_key.name) in self._field_maps

    def field_to_sparse_keys(self, field_map_key: CoordinateMapKey | tuple[Any, str]) -> list[CoordinateMapKey]:
        """The keys of the coordinate maps that were made from a field."""
        name = (
            field_map_key.name
            if isinstance(field_map_key, CoordinateMapKey)
            else (tuple(field_map_key[0]), field_map_key[1])
        )
        return [CoordinateMapKey(*sparse) for field, sparse in self._field_maps if field == name]

    def get_field_to_sparse_map(
        self, field_map_key: CoordinateMapKey, sparse_map_key: CoordinateMapKey
    ) -> tuple[Tensor, Tensor]:
        """(rows that were kept, for each row of the field its row of features). Made where it has to be.

        ValueError when a row of the field lies in no cell of the map.
        """
        name = (field_map_key.name, sparse_map_key.name)
        if name not in self._field_maps:
            level = self.level(sparse_map_key)
            rows = level.find(self.field_keys(field_map_key, sparse_map_key.name[0]))
            if bool((rows < 0).any()):
                raise ValueError(f"{int((rows < 0).sum())} points of the field lie in no cell of {sparse_map_key}")
            rows = level.feature_rows(rows)
            first = torch.full((len(level),), len(rows), device=rows.device)
            first = first.scatter_reduce(0, rows, torch.arange(len(rows), device=rows.device), "amin")
            self._field_maps[name] = first, rows
        return self._field_maps[name]

    def field_to_sparse_map(
        self, field_map_key: CoordinateMapKey, sparse_map_key: CoordinateMapKey
    ) -> tuple[Tensor, Tensor]:
        """(for each row of the field its row of features, rows that were kept)."""
        first, rows = self.get_field_to_sparse_map(field_map_key, sparse_map_key)
        return rows, first
