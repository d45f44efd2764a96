"""Headers of PLY files, also those that exporters write against the rules."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

import numpy as np

from ceco3d.data.pointclouds.column_names import unused_name
from ceco3d.utils.untrusted import NotSupportedError, one_line

HEADER_BYTES = 1 << 20  # far more than any real PLY header
BOM = b"\xef\xbb\xbf"
# On a line of its own: a comment may contain the word.
HEADER_END = re.compile(rb"[\r\n]end_header[ \t]*(\r\n|\n\r|\n|\r)")
ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
STANDARD = {  # NumPy type -> name in a header that every reader knows
    **{"i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort"},
    **{"i4": "int", "u4": "uint", "f4": "float", "f8": "double"},
}
TYPES = {  # name in a header -> NumPy type
    **{name: kind for kind, name in STANDARD.items()},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"int64": "i8", "uint64": "u8", "float16": "f2", "half": "f2", "float32": "f4", "float64": "f8"},
    **{f"{sign}int{8 * size}_t": f"{sign or 'i'}{size}" for sign in ("", "u") for size in (1, 2, 4, 8)},
    **{"bool": "u1", "boolean": "u1", "byte": "u1", "ubyte": "u1"},
}
KEYWORDS = ("comment", "obj_info", "format", "element", "property", "end_header")


@dataclass(frozen=True)
class Element:
    """An element of the header. ``properties``: name -> NumPy type, or "list COUNT_TYPE TYPE" for lists."""

    name: str
    count: int
    properties: dict[str, str]

    @property
    def lists(self) -> list[str]:
        """Names of its list properties."""
        return [name for name, kind in self.properties.items() if kind.startswith("list ")]

    @property
    def nonstandard(self) -> bool:
        """Whether it has types that PLY lacks, such as integers of eight bytes."""
        return any(word not in STANDARD for kind in self.properties.values() for word in types_of(kind))

    def dtype(self, order: str, entries: dict[str, int] | None = None) -> np.dtype:
        """A row of a binary file, with ``entries[name]`` entries in each list; ValueError if a list has no number.

        The length of list ``name``, as the file has it, is the field "name length".
        """
        fields: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
        for name, kind in self.properties.items():
            *count, item = (order + word for word in types_of(kind))
            if not count:
                fields.append((name, item))
            elif entries is None or name not in entries:
                raise ValueError(f"element {self.name} has list properties")
            else:
                fields += [(f"{name} length", count[0]), (name, item, (entries[name],))]
        return np.dtype(fields)


@dataclass(frozen=True)
class Header:
    """A parsed header.

    format    a key of ORDERS
    starts    where the data may start: more than one byte offset if the line ends do not tell
    lines     without the first and the last, in the words of the standard
    elements  in file order
    odd_lines those without a keyword, which are taken for comments
    notes     what is unusual in it, one line each
    """

    format: str
    starts: tuple[int, ...]
    lines: tuple[str, ...]
    elements: tuple[Element, ...]
    odd_lines: tuple[str, ...]
    notes: tuple[str, ...]


def types_of(kind: str) -> list[str]:
    """The NumPy types of a property: one, or two of a list."""
    return kind.removeprefix("list ").split()


def parse_header(beginning: bytes) -> Header:
    """The header in the first bytes of a file; ValueError if there is none, or if it is damaged."""
    text = beginning.removeprefix(BOM)
    skipped = len(beginning) - len(text)
    end = HEADER_END.search(text)
    if not re.match(rb"ply\s", text, re.IGNORECASE) or not end:
        raise ValueError("no PLY header")
    given = [line.strip().decode("latin-1") for line in text[: end.start()].splitlines()[1:]]
    parser = _Parser()
    for line in given:
        if line:
            parser.add(line)
    if parser.format not in ORDERS:
        raise ValueError(f"unknown format {one_line(parser.format)!r}")
    starts = [skipped + end.end()]
    if len(end.group(1)) == 2:  # the second character may be the first byte of the data
        single = starts[0] - 1
        first_line = re.match(rb"(?i:ply)[ \t]*([\r\n]+)", text)
        consistent = first_line is not None and first_line.group(1)[:2] == end.group(1)
        starts = [starts[0], single] if consistent or end.group(1) == b"\r\n" else [single, starts[0]]
    elements = tuple(Element(*fields) for fields in parser.elements)
    return Header(
        parser.format, tuple(starts), tuple(parser.lines), elements, tuple(parser.odd_lines), tuple(parser.notes)
    )


class _Parser:
    """Collects the lines of a header."""

    def __init__(self) -> None:
        self.format = ""
        self.lines: list[str] = []
        self.elements: list[tuple[str, int, dict[str, str]]] = []
        self.odd_lines: list[str] = []
        self.notes: list[str] = []

    def add(self, line: str) -> None:
        """Parse a line; ValueError if it is damaged."""
        match line.split():
            case ["comment" | "obj_info", *_]:
                pass
            case ["format", name, *_]:
                self.format = name
            case ["element", name, count] if name not in (element[0] for element in self.elements):
                self.elements.append((name, int(count), {}))
            case ["property", "list", count_type, item_type, *names] if self.elements and names:
                line = self._property(["list", self._type(count_type, names), self._type(item_type, names)], names)
            case ["property", kind, *names] if self.elements and names and kind != "list":
                line = self._property([self._type(kind, names)], names)
            case [word, *_] if not difflib.get_close_matches(word.lower(), KEYWORDS):
                self.odd_lines.append(line)
                self.notes.append(f"header line {one_line(line, 60)!r} has no keyword: taken for a comment")
                line = f"comment {line}"
            case _:
                raise ValueError(f"unknown header line {one_line(line)!r}")
        self.lines.append(line)

    def _type(self, word: str, names: list[str]) -> str:
        if word not in TYPES:
            kind, name = one_line(word, 40), one_line(" ".join(names), 40)
            raise NotSupportedError(
                f"the type {kind!r} of its property {name!r} has no fixed size; save the file with float or int instead"
            )
        return TYPES[word]

    def _property(self, kinds: list[str], names: list[str]) -> str:
        """Add a property to the last element; its line in standard words."""
        element, _, properties = self.elements[-1]
        given = "_".join(names)
        name = unused_name(given, properties)
        if name != given:
            self.notes.append(
                f"element {one_line(element, 40)} has two properties {one_line(given, 40)}: "
                f"one is called {one_line(name, 40)}"
            )
        properties[name] = " ".join(kinds)
        return " ".join(["property", *(STANDARD.get(kind, kind) for kind in kinds), name])
