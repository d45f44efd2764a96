"""Coordinate maps and their manager, under MinkowskiEngine's names.

A map is known by its tensor stride and a string. All tensors that one input leads to share a manager, which makes each
map and each kernel map once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from math import prod
from typing import Any

import torch
from torch import Tensor

from ceco3d.minkowski.kernels import Shape, int_list
from ceco3d.minkowski.levels import Level, Pair, invert, unique_rows
from ceco3d.minkowski.modes import CoordinateMapType, GPUMemoryAllocatorType, MinkowskiAlgorithm, RegionType
from ceco3d.sparse.engine import load_engine
from ceco3d.sparse.kernels import native
from ceco3d.sparse.kernels.gather_gemm import prepare
from ceco3d.sparse.kernels.protocol import Kernels
from ceco3d.sparse.maps import KernelMap, KeyLayout, build_offset_map

Name = tuple[tuple[int, ...], str]


class CoordinateMapKey:
    """The name of a coordinate map: ``CoordinateMapKey([2, 2, 2], "")``, or ``CoordinateMapKey(4)`` to be set later."""

    def __init__(self, size_or_stride: int | Sequence[int], string_id: str | Name = "") -> None:
        self._name: Name | None = None
        if isinstance(size_or_stride, int):
            self._size = size_or_stride
            if not isinstance(string_id, str):
                self.set_key(*string_id)
        else:
            self._size = len(size_or_stride) + 1
            self.set_key(size_or_stride, str(string_id))

    def is_key_set(self) -> bool:
        """Whether this names a map."""
        return self._name is not None

    def set_key(self, tensor_stride: Sequence[int], string_id: str = "") -> None:
        """Name a map. ValueError for a stride of another dimension."""
        if len(tensor_stride) != self._size - 1:
            raise ValueError(f"a tensor stride of {self._size - 1} axes is needed, got {list(tensor_stride)}")
        self._name = (tuple(int(stride) for stride in tensor_stride), string_id)

    def get_key(self) -> tuple[list[int], str]:
        """(tensor stride, string). RuntimeError when not set."""
        strides, string_id = self.name
        return list(strides), string_id

    @property
    def name(self) -> Name:
        """(tensor stride, string), hashable. RuntimeError when not set."""
        if self._name is None:
            raise RuntimeError("Key not set")
        return self._name

    def get_tensor_stride(self) -> list[int]:
        """The tensor stride of each axis."""
        return [] if self._name is None else list(self._name[0])

    def get_coordinate_size(self) -> int:
        """1 + the number of axes."""
        return self._size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CoordinateMapKey) and self._name is not None and self._name == other._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        if self._name is None:
            return "coordinate map key:unset"
        strides, string_id = self._name
        return f"coordinate map key:[{', '.join(map(str, strides))}]" + (f":{string_id}" if string_id else "")


class CoordinateManager:
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
        if D < 1:
            raise ValueError(f"Invalid rank D > 0, D = {D}.")
        self.D = D
        self.minkowski_algorithm = minkowski_algorithm or MinkowskiAlgorithm.DEFAULT
        self.layout = KeyLayout.of(D)
        self._levels: dict[Name, Level] = {}
        self._fields: dict[Name, Tensor] = {}
        self._field_maps: dict[tuple[Name, Name], tuple[Tensor, Tensor]] = {}
        self._maps: dict[tuple[object, ...], Any] = {}
        self._numbers = count(1)

    # Maps

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
        """(N, 1 + D) integer coordinates -> keys; the layout of all keys grows where it has to. ValueError if too far."""
        if coordinates.ndim != 2 or coordinates.shape[1] != self.D + 1:
            raise ValueError(f"coordinates must have shape (N, {self.D + 1}), got {tuple(coordinates.shape)}")
        if len(coordinates):
            smallest, largest = torch.stack(torch.aminmax(coordinates, dim=0)).tolist()
            self._grow(self.layout.holding(smallest, largest))
        return self.layout.pack(coordinates)

    def _grow(self, layout: KeyLayout) -> None:
        if layout is self.layout:
            return
        old, self.layout = self.layout, layout
        for level in self._levels.values():  # in place: the kernel maps hold rows, which stay the same
            level.keys = layout.pack(old.unpack(level.keys))
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
        steps = self.layout.steps(shape.steps(strides)).to(self.level(key).keys.device)
        keys = torch.unique(torch.cat([self.level(key).keys + step for step in steps]))
        keys = keys[self.layout.round_down(keys, out_strides) == keys]
        self._check_margin(keys)
        return self.add(Level(keys), out_strides)

    def _check_margin(self, keys: Tensor) -> None:
        if len(keys):
            rows = self.layout.unpack(keys)
            self.keys_of(rows)

    def origin(self) -> CoordinateMapKey:
        """The map with one row for each batch item, at tensor stride 0."""
        key = CoordinateMapKey([0] * self.D)
        if key.name not in self._levels:
            keys = [level.keys for level in self._levels.values()]
            keys += [self.layout.pack(field.floor().int()) for field in self._fields.values()]
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
        union = Level(torch.unique(torch.cat([level.keys for level in levels])), None, all(x.aligned for x in levels))
        made = self.add(union, strides, "" if out_key.is_key_set() is False else out_key.name[1])
        out_key.set_key(*made.name)
        return [
            torch.stack(
                [level.feature_rows(torch.arange(len(level), device=union.keys.device)), union.find(level.keys)]
            )
            for level in levels
        ]

    # What a map is asked for

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

    def get_unique_coordinate_map_key(self, tensor_stride: Any, string_id: str = "") -> CoordinateMapKey:
        """A key that names no map yet."""
        number = f"{next(self._numbers)}"
        return CoordinateMapKey(int_list(tensor_stride, self.D), f"{string_id}-{number}" if string_id else number)

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

    # Kernel maps

    def find_map(
        self,
        fine: CoordinateMapKey,
        coarse: CoordinateMapKey,
        shape: Shape,
        device: torch.device,
        dtype: torch.dtype,
    ) -> tuple[Any, Kernels[Any]]:
        """The map from rows of ``fine`` to rows of ``coarse``, in key order, and the kernels that use it."""
        ins, outs = self.level(fine), self.level(coarse)
        strides = fine.name[0]
        size = shape.cubic()
        if self.D == 3 and size is not None and len(set(strides)) == 1 and ins.aligned and outs.aligned and strides[0]:
            name: tuple[object, ...] = ("pair", fine.name, coarse.name)
            if name not in self._maps:
                self._maps[name] = Pair(ins.keys, outs.keys)
            layer = load_engine("auto").Convolution
            found: tuple[Any, Kernels[Any]] = layer.find_map(  # type: ignore[attr-defined]
                self._maps[name], strides[0], coarse.name[0][0], size, device, dtype
            )
            return found
        return self.offset_map(fine, coarse, shape), native

    def offset_map(self, fine: CoordinateMapKey, coarse: CoordinateMapKey, shape: Shape) -> KernelMap:
        """The KernelMap between two maps at the offsets of ``shape`` on the tensor stride of ``fine``."""
        name = ("offsets", fine.name, coarse.name, shape)
        if name not in self._maps:
            ins, outs = self.level(fine), self.level(coarse)
            strides = fine.name[0]
            steps = self.layout.steps(shape.steps(strides)).to(ins.keys.device)
            step = strides[-1] if ins.aligned and outs.aligned else 1
            made = build_offset_map(ins.keys, outs.keys, steps, max(step, 1))
            prepare(made)
            self._maps[name] = made
        found: KernelMap = self._maps[name]
        return found

    def cell_map(self, fine: CoordinateMapKey, coarse: CoordinateMapKey) -> KernelMap:
        """The map that leads each row of ``fine`` to the row of ``coarse`` whose cell it lies in, with one offset.

        Unlike in other maps, output rows repeat and are not ascending.
        """
        name = ("cells", fine.name, coarse.name)
        if name not in self._maps:
            ins, outs = self.level(fine), self.level(coarse)
            rows = outs.find(self.layout.round_down(ins.keys, coarse.name[0])).int()
            found = (rows >= 0).nonzero()[:, 0]
            self._maps[name] = KernelMap(found.int(), rows[found], (0, len(found)), len(ins), len(outs))
        made: KernelMap = self._maps[name]
        return made

    def kernel_map(
        self,
        in_key: Any,
        out_key: Any,
        stride: Any = 1,
        kernel_size: Any = 3,
        dilation: Any = 1,
        region_type: RegionType = RegionType.HYPER_CUBE,
        region_offset: Tensor | None = None,
        is_transpose: bool = False,
        is_pool: bool = False,
    ) -> dict[int, Tensor]:
        """For each offset with pairs: (2, P) int32 rows of features, of the input and of the output."""
        in_key, out_key = self._get_coordinate_map_key(in_key), self._get_coordinate_map_key(out_key)
        sizes, steps = int_list(kernel_size, self.D), int_list(stride, self.D)
        if prod(sizes) == 1 and region_type != RegionType.CUSTOM:
            region_type = RegionType.HYPER_CUBE
        offsets = (
            ()
            if region_type != RegionType.CUSTOM or region_offset is None
            else tuple(map(tuple, region_offset.tolist()))
        )
        shape = Shape(tuple(sizes), tuple(int_list(dilation, self.D)), region_type, offsets)
        fine, coarse = (out_key, in_key) if is_transpose else (in_key, out_key)
        made = self.cell_map(fine, coarse) if is_pool and sizes == steps else self.offset_map(fine, coarse, shape)
        rows = torch.stack(
            [self.level(fine).feature_rows(made.in_rows), self.level(coarse).feature_rows(made.out_rows)]
        )
        rows = (rows.flip(0) if is_transpose else rows).int()
        pairs = zip(made.starts[:-1], made.starts[1:], strict=True)
        return {k: rows[:, start:end] for k, (start, end) in enumerate(pairs) if end > start}

    get_kernel_map = kernel_map

    def stride_map(self, in_key: CoordinateMapKey, stride_key: CoordinateMapKey) -> tuple[Tensor, Tensor]:
        """(2 of (P,) int64) rows of features: those of a map, and those whose cells they lie in."""
        made = self.cell_map(in_key, stride_key)
        ins, outs = self.level(in_key).feature_rows(made.in_rows), self.level(stride_key).feature_rows(made.out_rows)
        order = ins.argsort()
        return ins[order], outs[order]

    # Fields

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

    def __repr__(self) -> str:
        maps = "".join(f"\t{CoordinateMapKey(*name)}\t{len(level)} rows\n" for name, level in self._levels.items())
        return f"CoordinateManager(\n{maps}\talgorithm={self.minkowski_algorithm.name}\n)"


class CoordsManager:
    """The name of versions before 0.5. DeprecationWarning, as in MinkowskiEngine."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise DeprecationWarning("`CoordsManager` has been deprecated. Use `CoordinateManager` instead.")
