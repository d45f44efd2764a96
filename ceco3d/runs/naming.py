"""What tables and pictures call runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ceco3d.runs.folder import read_config
from ceco3d.utils.errors import UserError


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


def run_labels(folders: Sequence[Path], labels: Sequence[str] | None = None) -> list[str]:
    """``labels``, or else the names of the runs in ``folders`` (and their folders, where names repeat).

    UserError when a folder is missing, or there are not as many labels.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such run folder; pass run folders of `python -m ceco3d.train`")
    check_labels(labels, folders)
    if labels is None:
        return distinct([read_config(folder).name for folder in folders], folders, "{name} {folder}")
    return [str(label) for label in labels]
