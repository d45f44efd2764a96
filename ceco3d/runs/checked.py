"""Checks of values from the files of a run: what is wrong becomes a UserError with the file, the key and the value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line, read_npz, reading

HUGE = 1e30  # scores and measures beyond this are damage
ROUNDING = 1e-6  # by which a mean of shares may exceed 1
MOST_POINTS = 2.0**53  # of all classes together


def require_file(folder: Path, name: str) -> Path:
    """Return the path of the file ``name`` of the run in ``folder``; UserError if it is missing."""
    path = folder / name
    if not path.is_file():
        raise UserError(f"{path} is missing: {how_to_finish(folder)}")
    return path


def how_to_finish(folder: Path) -> str:
    """Return the advice that ends errors about missing or damaged files."""
    return f"finish the run with `python -m ceco3d.train run_dir={folder} resume=auto` and its other keys"


@contextmanager
def reading_file(path: Path, folder: Path, cure: str = "") -> Iterator[None]:
    """Whatever goes wrong in the body means that ``path`` of the run in ``folder`` is damaged: UserError says so.

    ``cure`` is what to do; finishing the training unless given.
    """
    try:
        with reading():
            yield
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged: {cure or how_to_finish(folder)} ({one_line(error)})") from error


def entry(content: Any, *keys: str) -> Any:
    """The value in nested mappings at ``keys``; ValueError names the place if there is none."""
    for depth, key in enumerate(keys, start=1):
        if not isinstance(content, Mapping) or key not in content:
            raise ValueError(f"it has no {'.'.join(keys[:depth])}")
        content = content[key]
    return content


def table(content: Any, *keys: str) -> Mapping[str, Any]:
    """The mapping at ``keys``, or all of ``content``; ValueError if it is anything else."""
    found = entry(content, *keys)
    if not isinstance(found, Mapping):
        raise ValueError(f"{'.'.join(keys) or 'it'} is not a table of values by name")
    return found


def number(value: Any, key: str) -> float:
    """``value`` as a number of at most HUGE; ValueError names ``key``."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not -HUGE < value < HUGE:
        raise ValueError(f"{key}={value!s:.40} is not a number that can be")
    return float(value)


def share(value: Any, key: str) -> float:
    """``value`` as a number within 0..1; ValueError names ``key``."""
    found = number(value, key)
    if not 0 <= found <= 1 + ROUNDING:
        raise ValueError(f"{key}={value!s:.40} is not within 0..1")
    return found


def read_counts(path: Path, folder: Path, key: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """Numbers of points (int64, ``shape``): the array ``key`` of an ``.npz`` file; None if there is no such file."""
    if not path.exists():
        return None
    with reading_file(path, folder):
        array = read_npz(path, (key,))[key]
        if array.shape != shape:
            raise ValueError(f"{key} has the shape {array.shape} and not {shape}")
        return counts(array, key)


def counts(array: np.ndarray, key: str) -> np.ndarray:
    """``array`` as int64 numbers of points; ValueError unless all are whole and not negative."""
    values = finite(array, key)
    if (values < 0).any() or (values != np.floor(values)).any() or values.sum() > MOST_POINTS:
        raise ValueError(f"{key} has values that are no numbers of points")
    return array.astype(np.int64)


def finite(array: np.ndarray, key: str, most: float = HUGE) -> np.ndarray:
    """``array`` as float64; ValueError unless all its values are numbers of at most ``most``."""
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{key} holds something other than numbers")
    values: np.ndarray = array.astype(np.float64)
    if not (np.abs(values) < most).all():  # false for NaN
        raise ValueError(f"{key} has values that are infinite, not a number or beyond {most:g}")
    return values
