"""Class files: the classes of a data set as a table (CSV) or as YAML, written by people.

CSV   a header with ``name`` and, as needed, ``id``, ``color``, ``group``, ``alias``; other columns do not matter
YAML  ``classes``: a list of mappings with the same keys, or of names, or a mapping from id to name; ``ignored``: a list
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ceco3d.data.labels.label_space import GROUPS, LARGEST, LONGEST, MAX_CLASSES, LabelSpace, as_raw, clean
from ceco3d.data.labels.palette import spread_colors
from ceco3d.utils.atomic import write_text
from ceco3d.utils.errors import UserError
from ceco3d.utils.text_files import read_text
from ceco3d.utils.untrusted import one_line, read_yaml

IGNORED = "ignored"  # a group: the id is no class
COLUMNS = ("id", "name", "color", "group", "alias")
PLURAL = {"aliases": "alias", "colour": "color", "colors": "color", "names": "name", "class": "name", "label": "name"}
FORMATS = (".csv", ".tsv", ".txt", ".yaml", ".yml")

Color = tuple[int, int, int]
Row = tuple[str, dict[str, Any]]  # where it is, and its values by column


def read_classes(path: Path) -> LabelSpace:
    """The label space of a class file. UserError names the file, the line and what is wrong.

    Without ids, the classes are numbered from 0 in the order of the file. ``spread_colors`` makes missing colors.
    """
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"{path}: a class file is a .csv or .yaml; unknown ending {path.suffix!r}")
    try:
        rows, ignored = _yaml_rows(path) if path.suffix.lower() in (".yaml", ".yml") else _csv_rows(path)
        return _label_space(path.stem, rows, ignored)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such class file; give a .csv with the columns id,name (docs/own-data.md)"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path}: {one_line(error, 300)}") from None


def write_classes(path: Path, space: LabelSpace, counts: Mapping[str, Sequence[int]] | None = None) -> None:
    """Write a label space as CSV, with more columns of ``counts`` per class; ``read_classes`` reads it."""
    counts = counts or {}
    file = io.StringIO(newline="")
    table = csv.writer(file, lineterminator="\n")
    table.writerow([*COLUMNS, *counts])
    group_of = {index: group for group, members in space.groups.items() for index in members}
    for k, (number, name) in enumerate(zip(space.ids, space.names, strict=True)):
        color = "#{:02x}{:02x}{:02x}".format(*space.colors[k].tolist())
        alias = "|".join(str(raw) for raw, index in space.aliases.items() if index == k)
        table.writerow([number, name, color, group_of.get(k, ""), alias, *(values[k] for values in counts.values())])
    for raw in space.ignored:
        table.writerow(
            [*((raw, IGNORED) if isinstance(raw, int) else ("", raw)), "", IGNORED, "", *("" for _ in counts)]
        )
    write_text(path, file.getvalue())


def _csv_rows(path: Path) -> tuple[list[Row], list[Any]]:
    text = read_text(path)
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    header = [_column(cell) for cell in next(lines, [])]
    if "name" not in header and "id" not in header:
        given = one_line(first, 60) if first.strip() else "nothing"
        raise ValueError(f"the first line must name the columns id and name; it has {given}")
    repeated = {name for name in header if name in COLUMNS and header.count(name) > 1}
    if repeated:
        raise ValueError(f"two columns {sorted(repeated)[0]!r} in the first line")
    rows = []
    for cells in lines:
        where = f"line {lines.line_num}"
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) > len(header):
            raise ValueError(f"{where} has {len(cells)} cells, not {len(header)}: quote cells with {separator!r}")
        rows.append((where, {name: cell.strip() for name, cell in zip(header, cells, strict=False) if cell.strip()}))
    return rows, []


def _yaml_rows(path: Path) -> tuple[list[Row], list[Any]]:
    content = read_yaml(path)
    ignored: list[Any] = []
    if isinstance(content, dict) and "classes" in content:
        unknown = [str(key) for key in content if key not in ("classes", IGNORED)]
        if unknown:
            raise ValueError(f"unknown key {unknown[0]!r}; the keys are classes and ignored")
        ignored = content.get(IGNORED, [])
        content = content["classes"]
    if isinstance(content, dict):
        content = [{"id": number, "name": name} for number, name in content.items()]
    if not isinstance(content, list):
        raise ValueError("classes must be a list, or a mapping from id to name")
    if not isinstance(ignored, list):
        raise ValueError("ignored must be a list")
    rows = []
    for number, entry in enumerate(content, 1):
        values = entry if isinstance(entry, dict) else {"name": entry}
        rows.append(
            (f"class {number}", {_column(str(key)): value for key, value in values.items() if value is not None})
        )
    return rows, ignored


def _column(text: str) -> str:
    name = text.strip().lower()
    return PLURAL.get(name, name)


def _label_space(name: str, rows: Sequence[Row], ignored: Sequence[Any]) -> LabelSpace:
    if len(rows) > MAX_CLASSES:
        raise ValueError(f"{len(rows)} classes; at most {MAX_CLASSES} are possible")
    numbered = any("id" in values for _, values in rows)
    taken: dict[int | str, str] = {}  # every raw id and name, and where it is
    classes: list[tuple[int, str, Color | None, str, list[int | str]]] = []
    without = [_take(taken, as_raw(raw), IGNORED) for raw in ignored]
    for where, values in rows:
        group = str(values.get("group", "")).strip().lower()
        if group == IGNORED:
            without += [_take(taken, raw, where) for raw in _ignored_names(values)]
            continue
        if group not in ("", *GROUPS):
            raise ValueError(f"{where}: group {one_line(group, 40)!r} is none of {', '.join(GROUPS)}, {IGNORED}")
        if numbered and "id" not in values:
            raise ValueError(f"{where}: no id")
        number = _number(where, values["id"]) if numbered else len(classes)
        title = _name(where, values, number)
        _take(taken, number, where)
        _take(taken, clean(title), where)
        aliases = [_take(taken, raw, where) for raw in _aliases(values) if raw not in (number, clean(title))]
        color = _color(where, values["color"]) if "color" in values else None
        classes.append((number, title, color, group, aliases))
    if not classes:
        raise ValueError("no classes in it")
    classes.sort(key=lambda entry: entry[0])
    groups = {g: tuple(k for k, entry in enumerate(classes) if entry[3] == g) for g in GROUPS}
    return LabelSpace(
        name=name,
        ids=tuple(entry[0] for entry in classes),
        names=tuple(entry[1] for entry in classes),
        colors=spread_colors([entry[2] for entry in classes]),
        groups={group: members for group, members in groups.items() if members},
        aliases={raw: k for k, entry in enumerate(classes) for raw in entry[4]},
        ignored=tuple(without),
    )


def _take(taken: dict[int | str, str], raw: int | str, where: str) -> int | str:
    if raw in taken:
        what = f"id {raw}" if isinstance(raw, int) else f"name {one_line(raw, 60)!r}"
        raise ValueError(f"{where}: {what} is already that of {taken[raw]}")
    taken[raw] = where
    return raw


def _number(where: str, value: Any) -> int:
    try:
        number = int(str(value).strip())
    except ValueError:
        raise ValueError(f"{where}: id {one_line(value, 40)!r} is not a whole number") from None
    if isinstance(value, bool) or not -LARGEST - 1 <= number <= LARGEST:
        raise ValueError(f"{where}: id {one_line(value, 40)} is out of range (32 bits)")
    return number


def _name(where: str, values: Mapping[str, Any], number: int) -> str:
    value = values.get("name", number)
    name = " ".join(str(value).split())
    if isinstance(value, bool) or not isinstance(value, str | int | float):  # YAML reads no, yes and dates as others
        raise ValueError(f"{where}: {one_line(value, 40)} is not a class name; quote it if it is one")
    if isinstance(as_raw(name), int) and as_raw(name) != number:
        raise ValueError(f"{where}: the name {name} is a number, but the id is {number}: give ids and names")
    if not name.isprintable() or not 0 < len(name) <= LONGEST:
        raise ValueError(f"{where}: {one_line(name, 40)!r} is not a class name")
    return name


def _aliases(values: Mapping[str, Any]) -> Iterator[int | str]:
    """The aliases of a class, each once: a list, or text with ``|`` or ``;`` between them."""
    given = values.get("alias", [])
    entries = given if isinstance(given, list) else re.split(r"[|;]", str(given))
    yield from dict.fromkeys(as_raw(entry) for entry in entries if str(entry).strip())


def _ignored_names(values: Mapping[str, Any]) -> Iterator[int | str]:
    """What a row of the group ``ignored`` names: its id, else its name, and its aliases."""
    if "id" in values or "name" in values:
        yield as_raw(values.get("id", values.get("name")))
    yield from _aliases(values)


def _color(where: str, value: Any) -> Color:
    """A color such as ``#1f77b4``, ``31 119 180`` or ``[31, 119, 180]``."""
    parts = value if isinstance(value, list) else re.split(r"[\s,;]+", str(value).strip("()[] "))
    if len(parts) == 1 and re.fullmatch(r"#[0-9a-fA-F]{6}", str(parts[0])):
        parts = [int(str(parts[0])[start : start + 2], 16) for start in (1, 3, 5)]
    try:
        red, green, blue = (int(str(part)) for part in parts)
        bytes((red, green, blue))
    except ValueError:
        raise ValueError(f"{where}: color {one_line(value, 40)!r} is not #rrggbb or three numbers 0 to 255") from None
    return red, green, blue
