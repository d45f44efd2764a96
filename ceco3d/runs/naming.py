"""Display names of runs in tables and figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ceco3d.runs.folder import read_config
from ceco3d.utils.errors import UserError
from ceco3d.utils.plain_text import visible


def check_labels(labels: Sequence[str] | None, folders: Sequence[Path]) -> None:
    """Raise UserError unless ``labels`` is None or has one label per run."""
    if labels is not None and len(labels) != len(folders):
        raise UserError(f"labels={list(labels)}: {len(labels)} labels for {len(folders)} runs; give one per run")


def distinct_names(names: Sequence[str], folders: Sequence[Path], form: str) -> list[str]:
    """Return ``names``, adding the folder's name to repeated ones as in ``form`` ("{name} {folder}")."""
    count = Counter(names)
    return [
        form.format(name=name, folder=folder.resolve().name) if count[name] > 1 else name
        for name, folder in zip(names, folders, strict=True)
    ]


def run_labels(folders: Sequence[Path], labels: Sequence[str] | None = None) -> list[str]:
    """Return ``labels``, or by default the names of the runs in ``folders`` (plus the folder where names repeat).

    A file of weights among them has its own name. Raises UserError if a folder is missing or the number of labels is
    wrong.
    """
    for folder in folders:
        if not folder.exists():
            raise UserError(f"{folder}: no such run folder; pass run folders of `python -m ceco3d.train`")
    check_labels(labels, folders)
    if labels is None:
        names = [folder.stem if folder.is_file() else read_config(folder).name for folder in folders]
        return distinct_names(names, folders, "{name} {folder}")
    return [visible(label) for label in labels]
