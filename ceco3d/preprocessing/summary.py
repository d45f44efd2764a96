"""The result of preprocessing, and how it reads."""

from __future__ import annotations

from dataclasses import dataclass

from ceco3d.preprocessing.label_report import names_of
from ceco3d.preprocessing.scannet import ABSENT

MAX_LINES = 20  # failures listed in the summary


@dataclass(frozen=True)
class Summary:
    """Result of a run: scenes preprocessed now, scenes that were there, and failures as (scene name, reason).

    notes  what else a user should know, one line each: object names without a class, scenes without labels
    """

    done: int
    skipped: int
    failed: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()


def summary_lines(summary: Summary) -> list[str]:
    """The summary as text: the counts, then one line for each of the first MAX_LINES failed scenes.

    Scenes that are listed but not in the raw root share a line.
    """
    lines = [f"{summary.done} scenes preprocessed, {summary.skipped} already there, {len(summary.failed)} failed"]
    absent = [scene for scene, reason in summary.failed if reason.endswith(ABSENT)]
    failed = summary.failed
    if len(absent) > 1:
        lines.append(
            f"  {len(absent)} scenes are listed but missing in the raw folder: {names_of(absent)}: "
            "download them from ScanNet or remove them from the split list"
        )
        failed = tuple(failure for failure in failed if failure[0] not in set(absent))
    lines += [f"  {scene}: {reason}" for scene, reason in failed[:MAX_LINES]]
    if len(failed) > MAX_LINES:
        lines.append(f"  and {len(failed) - MAX_LINES} more")
    return lines
