"""A label space: the classes that a network predicts, their raw ids, names, colors and frequency groups.

A class is written in one of three ways, which are never mixed:
raw name        text in the labels of a data set, such as ``aggregation.json``
raw id          number in the labels of a data set and in results, such as 1..1191 in ScanNet200
training index  0..K-1 in ascending order of raw ids, -1 = ignore; used by networks, losses and processed scenes
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

IGNORE = -1
GROUPS = ("head", "common", "tail")
MAX_CLASSES = 32_000  # training indices are int16
LONGEST = 200  # characters of a name
LARGEST = 2**31 - 1  # raw id; the smallest is -2^31

# Classes that belong to the building, as opposed to objects in it.
STRUCTURE = (
    *(
        "wall",
        "floor",
        "ceiling",
        "door",
        "doorframe",
        "window",
        "windowsill",
        "ledge",
        "column",
        "pillar",
        "structure",
    ),
    *("stairs", "stair rail", "rail", "closet", "closet door", "closet wall", "divider", "shower", "shower door"),
    *("shower wall", "shower floor", "bathroom stall", "bathroom stall door"),
)


@dataclass(frozen=True, eq=False, repr=False)
class LabelSpace:
    """K classes, by training index.

    name      for titles and messages
    ids       K raw ids, strictly ascending
    names     K class names, all different
    colors    (K, 3) uint8
    groups    training indices of "head", "common" and "tail"; empty if there are no groups
    grouping  how the groups were made, for tables; "" if they are given with the classes
    aliases   other raw ids and raw names of a class, with its training index
    ignored   raw ids and raw names of points without a class; -1 always is one unless it is a class
    array     name of the labels in processed scenes
    """

    name: str
    ids: tuple[int, ...]
    names: tuple[str, ...]
    colors: np.ndarray
    groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    grouping: str = ""
    aliases: Mapping[int | str, int] = field(default_factory=dict)
    ignored: tuple[int | str, ...] = ()
    array: str = "segment"

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"LabelSpace({self.name!r}, {len(self)} classes)"

    @property
    def structure(self) -> tuple[int, ...]:
        """Training indices of the classes in STRUCTURE."""
        return tuple(index for index, name in enumerate(self.names) if name in STRUCTURE)

    @property
    def unlabeled(self) -> int:
        """The raw id of points without a class in results: 0, or -1 or less if that is the id of a class."""
        taken = {*self.ids, *(raw for raw in self.aliases if isinstance(raw, int))}
        return next(number for number in range(0, -len(taken) - 1, -1) if number not in taken)

    @property
    def ignored_ids(self) -> tuple[int, ...]:
        """The ignored raw ids that are numbers."""
        return tuple(raw for raw in self.ignored if isinstance(raw, int))

    def same_classes(self, other: LabelSpace) -> bool:
        """Whether both have the same raw ids and names, whatever their colors and groups."""
        return (self.ids, self.names) == (other.ids, other.names)

    def index_of(self, raw_ids: np.ndarray) -> np.ndarray:
        """The training index (int16) of each raw id; -1 for ids outside the label space."""
        raw_ids = np.asarray(raw_ids, np.int64)
        known, index = self._by_id
        row = np.searchsorted(known, raw_ids).clip(max=len(known) - 1)
        return np.where(known[row] == raw_ids, index[row], IGNORE).astype(np.int16)

    def index_of_names(self, names: np.ndarray) -> np.ndarray:
        """The training index (int16) of each raw name; a number in text counts as a raw id. -1 for unknown ones."""
        found, rows = np.unique(np.asarray(names, str), return_inverse=True)
        index = [self._by_name.get(clean(name), self._index_of_number(name)) for name in found.tolist()]
        return np.array(index, np.int16)[rows.reshape(np.shape(names))]

    def is_ignored(self, raw: int | str) -> bool:
        """Whether points with this raw id or raw name have no class by definition; a number in text is a raw id."""
        plain = as_raw(raw)
        return plain in self.ignored or plain in (IGNORE, "")

    def to_plain(self) -> dict[str, Any]:
        """Plain values for checkpoints and JSON, which ``from_plain`` reads."""
        return {
            "name": self.name,
            "array": self.array,
            "ids": list(self.ids),
            "names": list(self.names),
            "colors": self.colors.tolist(),
            "groups": {group: list(members) for group, members in self.groups.items()},
            "grouping": self.grouping,
            "aliases": [[raw, index] for raw, index in self.aliases.items()],
            "ignored": list(self.ignored),
        }

    @cached_property
    def _by_id(self) -> tuple[np.ndarray, np.ndarray]:
        """All raw ids in ascending order, and the training index of each."""
        pairs = [*zip(self.ids, range(len(self)), strict=True)]
        pairs += [(raw, index) for raw, index in self.aliases.items() if isinstance(raw, int)]
        ids, index = zip(*sorted(pairs), strict=True)
        return np.array(ids, np.int64), np.array(index, np.int16)

    @cached_property
    def _by_name(self) -> dict[str, int]:
        aliases = {clean(raw): index for raw, index in self.aliases.items() if isinstance(raw, str)}
        return aliases | {clean(name): index for index, name in enumerate(self.names)}

    def _index_of_number(self, text: str) -> int:
        raw = as_raw(text)
        return int(self.index_of(np.array(raw))) if isinstance(raw, int) else IGNORE


def clean(name: str) -> str:
    """A class name without the differences that mean nothing: case, blanks around it and between words."""
    return " ".join(name.split()).casefold()


def as_raw(value: object) -> int | str:
    """A raw id or raw name as ``LabelSpace`` has it: text that is a whole number of 32 bits is an id."""
    text = str(value).strip()
    if re.fullmatch(r"[+-]?[0-9]{1,10}", text) and -LARGEST - 1 <= int(text) <= LARGEST:
        return int(text)
    return clean(text)


def from_plain(content: Any) -> LabelSpace:
    """The label space that ``to_plain`` wrote. ValueError if a value is not as it wrote it; the source is untrusted."""
    try:
        space = LabelSpace(
            name=_text(content["name"]),
            ids=tuple(_whole(raw) for raw in content["ids"]),
            names=tuple(_text(name) for name in content["names"]),
            colors=np.array([[_whole(part, 0, 255) for part in color] for color in content["colors"]], np.uint8),
            groups={group: tuple(_whole(k) for k in content["groups"].get(group, ())) for group in content["groups"]},
            grouping=_text(content["grouping"]),
            aliases={_raw(raw): _whole(index) for raw, index in content["aliases"]},
            ignored=tuple(_raw(raw) for raw in content["ignored"]),
            array=_text(content["array"]),
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"classes are not readable ({error})") from None
    check(space)
    return space


def check(space: LabelSpace) -> None:
    """ValueError unless the parts of a label space fit together."""
    count = len(space.ids)
    if not 0 < count <= MAX_CLASSES:
        raise ValueError(f"{count} classes; there must be 1 to {MAX_CLASSES}")
    if len(space.names) != count or space.colors.shape != (count, 3):
        raise ValueError("ids, names and colors differ in number")
    if list(space.ids) != sorted(set(space.ids)) or len({clean(name) for name in space.names}) != count:
        raise ValueError("ids or names repeat")
    numbers = [*space.ids, *(raw for raw in [*space.aliases, *space.ignored] if isinstance(raw, int))]
    if len(set(numbers)) != len(numbers):
        raise ValueError("an id is given twice")
    if not space.array.isidentifier():
        raise ValueError(f"{space.array!r} is not the name of an array")
    members = [index for group in space.groups.values() for index in group]
    if set(space.groups) - set(GROUPS) or not all(0 <= k < count for k in [*members, *space.aliases.values()]):
        raise ValueError("groups or aliases of classes that do not exist")


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST or not value.isprintable():
        raise TypeError("a name is not one line of text")
    return value


def _whole(value: Any, smallest: int = -LARGEST - 1, largest: int = LARGEST) -> int:
    if type(value) is not int or not smallest <= value <= largest:
        raise TypeError(f"{value!r:.40} is not a whole number in range")
    return value


def _raw(value: Any) -> int | str:
    return _text(value) if isinstance(value, str) else _whole(value)


def find_group(space: LabelSpace) -> list[str]:
    """The group of each class, "" for none."""
    group_of = {index: group for group, members in space.groups.items() for index in members}
    return [group_of.get(index, "") for index in range(len(space))]


def frequency_groups(points: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Thirds of the K classes by frequency: head, common, tail; {} for fewer than three classes.

    Equally frequent classes keep the order of their training indices.
    """
    if len(points) < len(GROUPS):
        return {}
    order = np.argsort(-np.asarray(points, np.int64), kind="stable")
    parts = np.array_split(order, len(GROUPS))
    return {group: tuple(sorted(part.tolist())) for group, part in zip(GROUPS, parts, strict=True)}
