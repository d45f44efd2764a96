"""Labels added to a copy of a text table."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ceco3d.data.pointclouds.earlier_result import RESULT, original_names
from ceco3d.data.pointclouds.text_cells import COMMENT, COUNT, DELIMITERS, is_comment
from ceco3d.data.pointclouds.text_dialect import BOMS, Dialect, find_dialect, open_table, readable
from ceco3d.data.pointclouds.text_header import names_in
from ceco3d.data.pointclouds.text_rows import is_skipped

ADDED = tuple(RESULT.names or ())
POINTS = 1 << 16  # converted at a time


def write_text(file: BinaryIO, path: Path, result: np.ndarray, columns: Sequence[str]) -> None:
    """Write a copy of the table at ``path`` with label and confidence at the end of each row.

    result   (N,) RESULT
    columns  names of the columns if the file does not name them: a comment before the first row names them in the copy
    Everything else stays as it is, except that columns of the file named label or confidence get the prefix
    "original_".
    """
    dialect = find_dialect(path, named=bool(columns))
    assert dialect is not None  # the table has points
    values = _texts(result, "," if dialect.comma else ".")
    with path.open("rb") as source:
        start = source.read(4)
    mark = next((mark for mark, name in BOMS if name == "utf-8" and start.startswith(mark)), b"")
    file.write(mark)
    with open_table(path, newline="") as lines:
        text = io.TextIOWrapper(file, lines.encoding, errors=lines.errors, newline="")
        separator = ""
        for number, line in enumerate(lines):
            body = line.rstrip("\r\n")
            end = line[len(body) :]
            if number < dialect.skip:
                text.write(_header_line(body, dialect) + end)
                continue
            if number == dialect.skip:
                separator = dialect.delimiter or _blank(body)
                if not dialect.names:
                    text.write(_comment(columns, separator) + (end or "\n"))
            if is_skipped(readable(line), dialect):
                text.write(_header_line(body, dialect) + end)
            else:
                text.write(_row(body, separator, next(values), dialect.trailing) + end)
        text.flush()
        text.detach()


def _texts(result: np.ndarray, point: str) -> Iterator[tuple[str, str]]:
    """Label and confidence of each point as text."""
    for start in range(0, len(result), POINTS):
        for label, confidence in result[start : start + POINTS].tolist():
            yield str(label), f"{confidence:.6g}".replace(".", point)


def _blank(row: str) -> str:
    """What separates the cells of a row that are separated by blanks."""
    return "\t" if "\t" in row.strip() else " "


def _row(body: str, separator: str, values: tuple[str, str], trailing: bool) -> str:
    comment = COMMENT.search(body) if "#" in body or "//" in body else None
    behind = "" if comment is None else body[comment.start() :]
    cells = (body if comment is None else body[: comment.start()]).rstrip(" " if separator != " " else None)
    last = separator if trailing and cells.endswith(separator) else ""
    return cells.removesuffix(last) + separator + separator.join(values) + last + behind


def _header_line(body: str, dialect: Dialect) -> str:
    """A line that is no row: with two more names if it names the columns."""
    names = list(dialect.names)
    if names and _names_of(body, dialect.delimiter, len(names)) == names:
        return _extended_names(body, dialect.delimiter, names)
    stripped = body.strip()
    if names or not stripped or is_comment(body) or COUNT.fullmatch(stripped):
        return body
    return f"# {body}"  # text, or numbers of the columns, in front of a table whose names are given otherwise


def _names_of(body: str, delimiter: str | None, count: int) -> list[str]:
    return names_in(readable(body).strip(), delimiter, count)


def _extended_names(body: str, delimiter: str | None, names: Sequence[str]) -> str:
    changed = original_names(names, ADDED)
    expected = [*(changed.get(name, name) for name in names), *ADDED]
    for old, new in changed.items():
        body = re.sub(rf"(?<![\w]){old}(?![\w])", new, body)
    quote = '"' if body.rstrip().endswith('"') else ""
    for mark in dict.fromkeys([delimiter, *DELIMITERS]):
        separator = mark or _blank(body)
        cells = body.rstrip()
        last = separator if mark is not None and cells.endswith(separator) else ""
        longer = cells.removesuffix(last) + "".join(f"{separator}{quote}{name}{quote}" for name in ADDED) + last
        if _names_of(longer, delimiter, len(expected)) == expected:
            return longer
    return _joined(expected, delimiter or " ")


def _comment(columns: Sequence[str], separator: str) -> str:
    """A comment with the names of all columns of the copy."""
    changed = original_names(columns, ADDED)
    return "# " + _joined([*(changed.get(name, name) for name in columns), *ADDED], separator)


def _joined(names: Sequence[str], separator: str) -> str:
    return separator.join(re.sub(rf"[\s{re.escape(separator)}]+", "_", name.strip()) or "_" for name in names)
