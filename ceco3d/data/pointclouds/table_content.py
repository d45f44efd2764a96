"""What columns without names hold, judged by their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ceco3d.utils.errors import UserError

COORD = ("x", "y", "z")
COLOR = ("red", "green", "blue")
NORMAL = ("nx", "ny", "nz")

ROWS = 1 << 16  # looked at in one go
UNIT = 0.02  # by which the length of a normal may differ from 1, after rounding
MOST = 0.99  # share of points with a normal of unit length, among those that have one
SMALL = 64  # values up to which whole numbers may be classes; colors reach beyond it
MANY = 80  # different classes in one scan, at most
RELATED = 0.5  # correlation that channels of a color exceed
FEW_POINTS = 8  # so many points in the order of their numbers are no coincidence


@dataclass
class Reading:
    """What every column is: a role of COORD, COLOR and NORMAL, or another unique name; and warnings."""

    roles: list[str]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Columns:
    """The finite values of each column (C,).

    low, high  the smallest and the largest; inf and -inf without any
    whole      whether all are whole
    distinct   how many numbers out of 0..255 occur; 256 if larger ones do
    related    (C, C) correlations
    """

    low: np.ndarray
    high: np.ndarray
    whole: np.ndarray
    distinct: np.ndarray
    related: np.ndarray

    def bytes(self, i: int) -> bool:
        """Whole numbers 0..255."""
        return bool(self.whole[i] and self.low[i] >= 0 and self.high[i] <= 255)

    def constant(self, i: int) -> bool:
        """The same number everywhere."""
        return bool(self.low[i] == self.high[i])

    def within(self, start: int, low: float, high: float) -> bool:
        """Whether the three columns from ``start`` lie between ``low`` and ``high``."""
        part = slice(start, start + 3)
        return bool((self.low[part] >= low).all() and (self.high[part] <= high).all())


def read_content(table: np.ndarray, positions: Sequence[int], intensity_first: bool = False) -> Reading:
    """What the columns of ``table`` (N, 3 or more) hold.

    positions        of the columns in the file, from 1, for names and messages
    intensity_first  whether the format has x y z intensity red green blue
    The first three are coordinates, behind a column that numbers the points. Colors that could be read in two ways are
    not used, with a note. UserError if the first three look like colors.
    """
    columns = _columns(table)
    count = table.shape[1]
    first = 1 if count > 3 and _numbers_points(table) else 0
    roles = [f"column_{position}" for position in positions]
    if first:
        roles[0] = "number"
    roles[first : first + 3] = COORD
    rest = list(range(first + 3, count))
    _refuse_colors_first(columns, first)
    normals = [i for i in rest[:-2] if columns.within(i, -1 - UNIT, 1 + UNIT) and _are_normals(table[:, i : i + 3])]
    normal = normals[0] if len(normals) == 1 else None
    if normal is not None:
        roles[normal : normal + 3] = NORMAL
    taken = set() if normal is None else {normal, normal + 1, normal + 2}
    windows = [i for i in rest[:-2] if not taken & {i, i + 1, i + 2}]
    colors = _color_windows(columns, windows)
    if intensity_first and len(rest) == 4 and rest[1] in colors and not columns.constant(rest[3]):
        colors = [rest[1]]
    if len(colors) == 1:
        roles[colors[0] : colors[0] + 3] = COLOR
    _name_others(roles, columns, rest)
    free = [positions[i] for i in rest if roles[i] not in (*COLOR, *NORMAL)]
    unclear = len(colors) > 1 or (not colors and len(windows) > 0)
    return Reading(roles, [_unclear(free, colors)] if unclear else [])


def _columns(table: np.ndarray) -> Columns:
    low, high = np.full(table.shape[1], np.inf), np.full(table.shape[1], -np.inf)
    whole = np.ones(table.shape[1], bool)
    occurs = np.zeros((256, table.shape[1]), bool)
    for start in range(0, len(table), ROWS):
        part = np.asarray(table[start : start + ROWS], np.float64)
        finite = np.isfinite(part)
        low = np.minimum(low, np.where(finite, part, np.inf).min(0))
        high = np.maximum(high, np.where(finite, part, -np.inf).max(0))
        whole &= (~finite | (part == np.rint(part))).all(0)
        rows, places = np.nonzero(finite & (part >= 0) & (part <= 255))
        occurs[part[rows, places].astype(np.uint8), places] = True
    return Columns(low, high, whole, np.where(high > 255, 256, occurs.sum(0)), _correlations(table))


def _correlations(table: np.ndarray) -> np.ndarray:
    """(C, C) of a sample of the rows, 0 where a column is constant or not finite."""
    if len(table) < FEW_POINTS:
        return np.zeros((table.shape[1], table.shape[1]))
    sample = np.asarray(table[:: len(table) // ROWS + 1], np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        found = np.corrcoef(np.nan_to_num(sample), rowvar=False)
    related: np.ndarray = np.nan_to_num(found)
    return related


def _numbers_points(table: np.ndarray) -> bool:
    """Whether the first column counts the points, from 0 or 1."""
    column = table[:, 0]
    if len(table) < FEW_POINTS or column[0] not in (0, 1):
        return False
    return bool(np.array_equal(column, np.arange(len(column)) + column[0]))


def _refuse_colors_first(columns: Columns, first: int) -> None:
    """r g b x y z: three columns of bytes before three that can only be coordinates."""
    if len(columns.low) < first + 6:
        return
    is_rgb = all(columns.bytes(i) for i in range(first, first + 3)) and columns.high[first : first + 3].min() > SMALL
    after = range(first + 3, first + 6)
    if is_rgb and not any(columns.whole[i] for i in after) and not columns.within(first + 3, -1 - UNIT, 1 + UNIT):
        raise UserError(
            "the first columns look like colors and the next ones like coordinates: name all of them with columns=[...]"
        )


def _are_normals(triple: np.ndarray) -> bool:
    """Unit length in nearly every row that is not zero, and a negative or broken number: colors have neither."""
    unit = given = 0
    signed = False
    for start in range(0, len(triple), ROWS):
        part = np.asarray(triple[start : start + ROWS], np.float64)
        length = np.sqrt((part * part).sum(1))
        length = length[np.isfinite(length) & (length > 0)]
        given, unit = given + len(length), unit + int((np.abs(length - 1) <= UNIT).sum())
        signed |= bool((part < 0).any() or (part != np.rint(part)).any())
        if unit < MOST * given:
            break
    return given > 0 and unit >= MOST * given and signed


def _color_windows(columns: Columns, windows: Sequence[int]) -> list[int]:
    """The starts of the likeliest colors: more than one if several triples look alike.

    Bytes come before 16 bits, which come before shares of 1. Triples with an odd column (see ``_oddness``) count only
    without others.
    """
    for is_color in (_are_bytes, _are_words, _are_shares):
        found = [i for i in windows if is_color(columns, i)]
        if found:
            least = min(_oddness(columns, i) for i in found)
            return [i for i in found if _oddness(columns, i) == least]
    return []


def _are_bytes(columns: Columns, start: int) -> bool:
    """Whole numbers 0..255, beyond what classes reach; black is also a color."""
    brightest = columns.high[start : start + 3].max()
    classes = 0 < brightest <= SMALL or sum(_is_label(columns, i, start) for i in range(start, start + 3)) > 1
    return all(columns.bytes(i) for i in range(start, start + 3)) and not classes


def _are_words(columns: Columns, start: int) -> bool:
    """Whole numbers 0..65535, and each channel beyond 255."""
    part = slice(start, start + 3)
    return bool(columns.whole[part].all() and columns.within(start, 0, 65535) and columns.high[part].min() > 255)


def _are_shares(columns: Columns, start: int) -> bool:
    """Decimal numbers 0..1 that reach beyond 0.1."""
    part = slice(start, start + 3)
    return bool(columns.within(start, 0, 1) and not columns.whole[part].all() and columns.high[part].max() > 0.1)


def _oddness(columns: Columns, start: int) -> int:
    """How many of three columns look like alpha (constant) or like classes, beside the channels of a color."""
    return sum(columns.constant(i) or _is_label(columns, i, start) for i in range(start, start + 3))


def _is_label(columns: Columns, i: int, start: int) -> bool:
    """Whole numbers that are small, or few and last and not related to the others, beside colors from ``start``.

    A confidence may be behind them.
    """
    part = slice(start, start + 3)
    small = columns.high[i] <= min(SMALL, columns.high[part].max() / 3)
    few = columns.distinct[i] <= min(MANY, columns.distinct[part].max() / 3)
    others = [k for k in range(start, start + 3) if k != i]
    last = len(columns.low) - 1
    confident = columns.low[last] >= 0 and columns.high[last] <= 1 and not columns.whole[last]
    apart = i in (last, last - int(confident)) and np.abs(columns.related[i, others]).max() < RELATED
    return bool(columns.whole[i] and columns.high[i] >= 1 and (small or (few and apart)))


def _name_others(roles: list[str], columns: Columns, rest: Sequence[int]) -> None:
    """Names for the columns that are neither coordinates, colors nor normals; not used, but kept."""
    start = roles.index("red") if "red" in roles else None
    for i in rest:
        if not roles[i].startswith("column_"):
            continue
        name = ""
        if start is not None and i == start + 3 and columns.constant(i) and columns.high[i] in (1, 255, 65535):
            name = "alpha"
        elif start is not None and i == start - 1 == rest[0]:
            name = "intensity"
        elif columns.whole[i] and columns.low[i] >= -1 and columns.high[i] <= 65535:
            name = "label"
        if name and name not in roles:
            roles[i] = name


def _unclear(positions: Sequence[int], colors: Sequence[int]) -> str:
    """The note that some columns may be colors."""
    listed = ", ".join(map(str, positions))
    why = "several of them could be the colors" if colors else "they do not look like colors"
    return (
        f"columns {listed} are not used as colors ({why}): name them with columns=[x,y,z,...], such as red,green,blue,_"
    )
