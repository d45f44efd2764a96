"""The known names nearest to a misspelled one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def suggestion(key: str, known: Iterable[str]) -> str:
    """ "; did you mean ...?" with the known keys closest to ``key``, or nothing."""
    known = [name for name in dict.fromkeys(known) if name != key]
    close = difflib.get_close_matches(key, known, n=2, cutoff=0.75) or _same_end(key, known)
    beside = [name for name in close if name.rpartition(".")[0] == key.rpartition(".")[0]]
    close = beside or close
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _same_end(key: str, known: Sequence[str]) -> list[str]:
    """Keys whose last part is that of ``key``, or close to it."""
    last = key.rpartition(".")[2]
    ends: dict[str, list[str]] = {}
    for name in known:
        ends.setdefault(name.rpartition(".")[2], []).append(name)
    close = [last] if last in ends else difflib.get_close_matches(last, ends, n=2, cutoff=0.75)
    if not close and len(last) > 3:
        close = [end for end in ends if end.startswith(last)]
    return [name for end in close for name in ends[end]][:2]


def among(names: Sequence[str]) -> str:
    """Names to choose from, as prose."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
