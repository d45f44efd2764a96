"""What tables and pictures call runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ceco3d.errors import UserError


def check_labels(labels: Sequence[str] | None, folders: Sequence[Path]) -> None:
    """UserError unless there are as many ``labels`` as runs, or none at all."""
    if labels is not None and len(labels) != len(folders):
        raise UserError(f"labels={list(labels)}: {len(labels)} labels for {len(folders)} runs; give one each")


def distinct(names: Sequence[str], folders: Sequence[Path], form: str) -> list[str]:
    """``names``; those that repeat, with the names of their folders, as in ``form`` ("{name} {folder}")."""
    repeated = Counter(names)
    return [
        form.format(name=name, folder=folder.resolve().name) if repeated[name] > 1 else name
        for name, folder in zip(names, folders, strict=True)
    ]
