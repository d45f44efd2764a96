"""Make coordinate maps from coordinates and from each other, and keep them by name."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from ceco3d.minkowski.kernels import Shape, int_list
from ceco3d.minkowski.levels import Level, Pair, invert, unique_rows
from ceco3d.minkowski.map_key import CoordinateMapKey, Name
from ceco3d.sparse.maps import KeyLayout


class LevelMaps:
    """The coordinate maps of a manager for ``D`` axes, and the coordinates of its fields."""

    def __init__(self, D: int) -> None:
        if D < 1:
            raise ValueError(f"Invalid rank D > 0, D = {D}.")
        self.D = D
        self.layout = KeyLayout.of(D)
        self._levels: dict[Name, Level] = {}
        self._fields: dict[Name, Tensor] = {}
        self._maps: dict[tuple[object, ...], Any] = {}
        self._numbers = count(1)

    def level(self, key: CoordinateMapKey) -> Level:
        """The map that ``key`` names. ValueError when there is none."""
        if key.name not in self._levels:
            known = ", ".join(str(CoordinateMapKey(*name)) for name in self._levels) or "none"
            raise ValueError(f"{key} is not a map of this coordinate manager; its maps: {known}")
        return self._levels[key.name]

    def add(self, level: Level, tensor_stride: Sequence[int], string_id: str = "") -> CoordinateMapKey:
        """Keep ``level`` under that name, or under a new string where the name is taken."""
        key = CoordinateMapKey(tensor_stride, string_id)
        while key.name in self._levels:
            key = self.get_unique_coordinate_map_key(tensor_stride, string_id)
        self._levels[key.name] = level
        return key

    def keys_of(self, coordinates: Tensor) -> Tensor:
        """(N, 1 + D) integer coordinates -> keys, in a layout that grows where it has to. ValueError if too far."""
        if coordinates.ndim != 2 or coordinates.shape[1] != self.D + 1:
            raise ValueError(f"coordinates must have shape (N, {self.D + 1}), got {tuple(coordinates.shape)}")
        if len(coordinates):
            smallest, largest = torch.stack(torch.aminmax(coordinates, dim=0)).tolist()
            if not self.layout.fits(smallest, largest):
                self._widen(smallest, largest)
        return self.layout.pack(coordinates)

    def _widen(self, smallest: list[int], largest: list[int]) -> None:
        """Change the layout of all keys so that rows between ``smallest`` and ``largest`` have some too."""
        old, rows = self.layout, {name: self.layout.unpack(level.keys) for name, level in self._levels.items()}
        for places in filter(len, rows.values()):
            low, high = torch.stack(torch.aminmax(places, dim=0)).tolist()
            smallest, largest = list(map(min, smallest, low)), list(map(max, largest, high))
        self.layout = old.holding(smallest, largest)
        for name, level in self._levels.items():  # kernel maps hold numbers of rows, which stay the same
            level.keys = self.layout.pack(rows[name])
        self._maps = {name: made for name, made in self._maps.items() if not isinstance(made, Pair)}

    def insert_and_map(
        self, coordinates: Tensor, tensor_stride: Any = 1, string_id: str = ""
    ) -> tuple[CoordinateMapKey, tuple[Tensor, Tensor]]:
        """Make a map of (N, 1 + D) integer coordinates, rows in the order of their first occurrence.

        Returns its key, the (M,) int64 rows that were kept, and for each of the N rows its row in the map.
        """
        strides = int_list(tensor_stride, self.D)
        keys, first, place = unique_rows(self.keys_of(coordinates))
        kept, order = first.sort()  # rows of features: those of the map, in the order of their first occurrence
        position = order  # the key of each row of features
        level = Level(keys, invert(position), self._aligned(keys, strides))
        inverse = place if level.order is None else level.order[place]
        return self.add(level, strides, string_id), (kept, inverse)

    def _aligned(self, keys: Tensor, strides: Sequence[int]) -> bool:
        if all(stride == 1 for stride in strides):
            return True
        return bool((self.layout.round_down(keys, strides) == keys).all())

    def stride(self, coordinate_map_key: CoordinateMapKey, stride: Any, string_id: str = "") -> CoordinateMapKey:
        """The map that is ``stride`` times coarser, made once."""
        strides = int_list(stride, self.D)
        fine, name = coordinate_map_key.name
        coarse = [a * b for a, b in zip(fine, strides, strict=True)]
        key = CoordinateMapKey(coarse, string_id or name)
        if key.name not in self._levels:
            keys = self.layout.round_down(self.level(coordinate_map_key).keys, coarse)
            self._levels[key.name] = Level(torch.unique(keys))
        return key

    def expand(
        self, key: CoordinateMapKey, shape: Shape, strides: Sequence[int], out_strides: Sequence[int], anew: bool
    ) -> CoordinateMapKey:
        """The map at ``out_strides`` of everything that ``shape``, on ``strides``, reaches from the map ``key``.

        An existing map of that stride is taken instead, unless ``anew``. Coordinates that are not multiples of
        ``out_strides`` are left out.
        """
        out = CoordinateMapKey(out_strides)
        if out.name in self._levels and not anew:
            return out
        steps = self.steps(shape, strides, self.level(key).keys.device)
        keys = torch.unique(torch.cat([self.level(key).keys + step for step in steps]))
        if tuple(out_strides) != tuple(strides):
            keys = keys[self.layout.round_down(keys, out_strides) == keys]
        keys = self.keys_of(self.layout.unpack(keys))  # as near to the ends of their fields as others
        return self.add(Level(keys, None, self._aligned(keys, out_strides)), out_strides)

    def steps(self, shape: Shape, strides: Sequence[int], device: torch.device) -> Tensor:
        """(K,) int64 to add to a key. ValueError for offsets that could leave the range of a key."""
        offsets = shape.steps(strides)
        if bool((offsets.abs().amax(0) > torch.tensor(self.layout.margins)).any()):
            raise ValueError(f"a kernel that reaches {int(offsets.abs().max())} voxels is too large")
        return self.layout.steps(offsets).to(device)

    def origin(self) -> CoordinateMapKey:
        """The map with one row for each batch item, at tensor stride 0."""
        key = CoordinateMapKey([0] * self.D)
        if key.name not in self._levels:
            items = [pad(field[:, :1].floor().long(), (0, self.D)) for field in self._fields.values()]
            keys = [self.keys_of(torch.cat(items))] if items else []  # first: this may change the layout of all keys
            keys += [level.keys for level in self._levels.values()]
            if not keys:
                raise ValueError("No coordinate map found")
            self._levels[key.name] = Level(torch.unique(self.layout.round_down(torch.cat(keys), [0] * self.D)))
        return key

    origin_field = origin

    def prune(self, key: CoordinateMapKey, keep: Tensor) -> tuple[CoordinateMapKey, Tensor]:
        """The map of the rows with ``keep`` (N,) bool, in the order of features, and the kept rows in key order."""
        level = self.level(key)
        kept = level.keyed(keep).nonzero()[:, 0]
        order = None
        if level.order is not None:
            order = invert(level.order[kept].argsort())
        return self.add(Level(level.keys[kept], order, level.aligned), key.name[0], "pruned"), kept

    def union_map(self, in_keys: Sequence[CoordinateMapKey], out_key: CoordinateMapKey) -> list[Tensor]:
        """Make the union of some maps under ``out_key``; (2, N) int64 for each: its rows, and those of the union."""
        levels = [self.level(key) for key in in_keys]
        strides = list(map(min, zip(*(key.name[0] for key in in_keys), strict=True)))
        keys = torch.unique(torch.cat([level.keys for level in levels]))
        union = Level(keys, None, self._aligned(keys, strides))
        made = self.add(union, strides, "merge")
        out_key.set_key(*made.name)
        return [
            torch.stack(
                [level.feature_rows(torch.arange(len(level), device=union.keys.device)), union.find(level.keys)]
            )
            for level in levels
        ]

    def get_unique_coordinate_map_key(self, tensor_stride: Any, string_id: str = "") -> CoordinateMapKey:
        """A key that names no map yet."""
        number = f"{next(self._numbers)}"
        return CoordinateMapKey(int_list(tensor_stride, self.D), f"{string_id}-{number}" if string_id else number)

    def _get_coordinate_map_key(self, key_or_tensor_strides: Any) -> CoordinateMapKey:
        if isinstance(key_or_tensor_strides, CoordinateMapKey):
            return key_or_tensor_strides
        keys = self.get_coordinate_map_keys(key_or_tensor_strides)
        if not keys:
            raise AssertionError(f"no coordinate map at tensor stride {key_or_tensor_strides}")
        return keys[0]

    def get_coordinate_map_keys(self, tensor_stride: Any) -> list[CoordinateMapKey]:
        """The keys of all maps at a tensor stride."""
        strides = tuple(int_list(tensor_stride, self.D))
        return [CoordinateMapKey(*name) for name in self._levels if name[0] == strides]
