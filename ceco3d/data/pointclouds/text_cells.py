"""Cells of text tables: how a line is split, and which words are numbers."""

from __future__ import annotations

import csv
import re

DELIMITERS = (";", "\t", ",", "|", None)  # in the order in which they are tried; None: any blanks
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
COMMA_NUMBER = re.compile(r"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?|[+-]?[0-9]+,")  # with a decimal comma
THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:[.,' \xa0][0-9]{3})+(?:[.,][0-9]+)?")  # 1,234 or 1.234.567,8
SEPARATED = re.compile(
    r"[0-9](?:[.' \xa0][0-9]{3}){1,2},[0-9]|[0-9],[0-9]{3}\.[0-9]"
)  # the same, with decimals, anywhere
LONGEST = 400  # characters of a number: parsing takes quadratic time
COUNT = re.compile(r"[0-9]{1,15}")
# How Windows prints what is not a number: -nan(ind), 1.#QNAN, -1.#IND0, 1.#INF00; 1.#J is a rounded 1.#INF.
WINDOWS = re.compile(r"([+-]?)(?:nan\([a-z]*\)|[0-9][.,]#(q[a-z]*|snan|ind|r|inf|j)[0-9]*)", re.IGNORECASE)
MISSING = {"", "nan", "+nan", "-nan", "null", "none", "na", "n/a", "<na>", "nil"}
INFINITE = {"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"}
MARKS = ",;|()[]{}"  # around numbers
COMMENTS = ("#", "//", "%")  # beginnings of lines
COMMENT = re.compile(r"(?:^|\s)(?:#|//).*")


def quoted(text: str, length: int = 40) -> str:
    """``text`` for an error or a note."""
    return f"'{text if len(text) <= length else text[:length] + '...'}'"


def is_comment(line: str) -> bool:
    """Whether all of ``line`` is a comment."""
    return line.lstrip().startswith(COMMENTS)


def split_line(line: str, delimiter: str | None) -> list[str]:
    """The cells of ``line`` without blanks, quotes and comments around them; quoted cells may hold the delimiter."""
    if "#" in line or "//" in line:
        line = COMMENT.sub("", line)
    if '"' in line:
        text = " ".join(line.split()) if delimiter is None else line.strip(" \r\n")
        row = next(csv.reader([text], delimiter=delimiter or " ", skipinitialspace=True), [])
        return [cell.strip() for cell in row]
    if delimiter is None:
        return re.findall(r"[^ \t\r\n\f\v]+", line)
    return [cell.strip() for cell in line.strip(" \r\n").split(delimiter)]


def to_number(cell: str, comma: bool = False) -> float | None:
    """The number in ``cell``, NaN if it says that there is none; None for other text.

    comma  whether it may have a decimal comma
    """
    if len(cell) > LONGEST:
        return None
    if NUMBER.fullmatch(cell):
        return float(cell)
    if comma and COMMA_NUMBER.fullmatch(cell):
        return float(cell.replace(",", "."))
    word = cell.lower()
    if word in MISSING:
        return float("nan")
    if word in INFINITE:
        return float(word)
    windows = WINDOWS.fullmatch(cell)
    if windows is None:
        return None
    infinite = (windows[2] or "").lower() in ("inf", "j")
    return float(windows[1] + ("inf" if infinite else "nan"))


def is_row(cells: list[str], delimiter: str | None) -> bool:
    """Whether ``cells`` are the row of a point: three numbers or more, or nothing but numbers and empty cells."""
    if any(" " in cell and all(map(NUMBER.fullmatch, cell.split())) for cell in cells):
        return False  # several numbers in one cell: separated by blanks
    if any(NUMBER.fullmatch(cell.strip(MARKS)) and not NUMBER.fullmatch(cell) for cell in cells):
        return False  # a number with a mark of another delimiter, as in "1 2 3, 255 255 255"
    numbers = [to_number(cell, comma=delimiter != ",") is not None for cell in cells]
    given = sum(number and cell != "" for number, cell in zip(numbers, cells, strict=True))
    return given >= 3 or (len(cells) >= 3 and all(numbers))


def find_delimiters(line: str) -> list[str | None]:
    """The delimiter with which ``line`` is the row of a point; none if it is no such row."""
    fitting = (mark for mark in DELIMITERS if mark is None or mark in line)
    return next(([mark] for mark in fitting if is_row(split_line(line, mark), mark)), [])
