"""The names of coordinate maps."""

from __future__ import annotations

from collections.abc import Sequence

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
