"""Numbers of a text file, as people and exporters write them."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ceco3d.utils.untrusted import one_line

BLOCK = 1 << 24  # bytes read at a time
SPACES = np.zeros(256, bool)
SPACES[list(b" \t\n\v\f\r")] = True
# C runtimes and NumPy write these for numbers and truth values.
SPELLINGS = (
    (re.compile(rb"1[.,]#(?:QNAN|SNAN|IND)\w*", re.IGNORECASE), b"nan"),
    (re.compile(rb"1[.,]#INF\w*", re.IGNORECASE), b"inf"),
    (re.compile(rb"\btrue\b", re.IGNORECASE), b"1"),
    (re.compile(rb"\bfalse\b", re.IGNORECASE), b"0"),
)


@dataclass(frozen=True)
class NumberText:
    """A text of numbers.

    numbers   (T,) float64
    per_line  (L,) how many each line holds, without blank lines
    plain     whether other programs can read it: lines end in LF or CRLF, and numbers are spelled as in C
    """

    numbers: np.ndarray
    per_line: np.ndarray
    plain: bool


def read_numbers(path: Path, start: int, comma: bytes = b",") -> NumberText:
    """The numbers from byte ``start`` on; ValueError names a word that is none.

    comma  what a comma stands for: b"." in decimals, b" " between numbers
    """
    numbers, lines = [np.empty(0)], [np.empty(0, np.int64)]
    rest, plain = b"", True
    with path.open("rb") as file:
        file.seek(start)
        while True:
            block = file.read(BLOCK)
            text = rest + block
            if block:
                end = text.rfind(b"\n") + 1 or text.rfind(b"\r") + 1
                rest, text = text[end:], text[:end]
            if text:
                values, counts, usual = parse_numbers(text, comma)
                plain &= usual
                numbers.append(values)
                lines.append(counts)
            if not block:
                return NumberText(np.concatenate(numbers), np.concatenate(lines), plain)


def parse_numbers(text: bytes, comma: bytes = b",") -> tuple[np.ndarray, np.ndarray, bool]:
    """Numbers (T,) float64 of whole lines, how many each line holds (L,), and whether other programs can read them."""
    plain = text.count(b"\r") == text.count(b"\r\n") and b"(" not in text
    if b"," in text and comma != b",":
        text, plain = text.replace(b",", comma), False
    codes = np.frombuffer(text, np.uint8)
    blank = SPACES[codes]
    words = np.flatnonzero(~blank & np.concatenate([[True], blank[:-1]]))
    breaks = np.flatnonzero((codes == ord("\n")) | (codes == ord("\r")))
    counts = np.bincount(np.searchsorted(breaks, words), minlength=1)
    values = _values(text) if len(words) else np.empty(0)  # NumPy reads a number in blanks alone
    if len(values) != len(words):
        plain = False
        for spelling, standard in SPELLINGS:
            text = spelling.sub(standard, text)
        values = _values(text)
    if len(values) != len(words):
        word = next((word for word in text.split() if not _is_number(word)), b"")
        raise ValueError(f"{one_line(word.decode('latin-1'), 40)!r} is not a number")
    return values, counts[counts > 0], plain


def _values(text: bytes) -> np.ndarray:
    """The numbers in front of the first word that is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns about such a word
        try:
            return np.fromstring(text.decode("latin-1"), np.float64, sep=" ")
        except ValueError:
            return np.empty(0)


def _is_number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return b"_" not in word
