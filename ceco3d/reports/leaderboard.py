"""Rank the finished runs of one dataset in a leaderboard laid out like the ScanNet200 benchmark page."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ceco3d.data.scenes.labels import GROUPS
from ceco3d.metrics.published import SCANNET200_TEST, PublishedRow
from ceco3d.metrics.scores import CONVENTIONS
from ceco3d.metrics.tables import markdown_table
from ceco3d.runs.folder import read_config, read_scores
from ceco3d.runs.naming import check_labels, distinct_names
from ceco3d.utils.errors import UserError

OVERVIEW = ("avg", *GROUPS)
PUBLISHED_NOTE = "Published results on the ScanNet200 test set; the rows above are on other scenes"


@dataclass(frozen=True)
class Row:
    """One row of a leaderboard.

    values  IoU in percent by column (OVERVIEW, then class names); absent where undefined or not published
    ranks   rank in each column among the rows on the same data, 1 = best; ties share the better rank
    """

    name: str
    values: dict[str, float]
    ranks: dict[str, int]


@dataclass(frozen=True)
class Leaderboard:
    """The runs on one dataset by descending average, and published results on other data.

    title    dataset and convention
    classes  names in alphabetical order, as on the benchmark page
    """

    title: str
    classes: tuple[str, ...]
    rows: tuple[Row, ...]
    published: tuple[Row, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (*OVERVIEW, *self.classes)


def read_leaderboard(
    folders: Sequence[Path], convention: str = "present", labels: Sequence[str] | None = None
) -> Leaderboard:
    """Read the finished runs in ``folders``, displayed as ``labels`` or by default as their names.

    The scores of a run are those of its ``evaluate-val/metrics.json`` (test-time augmentation) if there is one, else
    those at the end of training. Raises UserError if a run is unfinished or the datasets differ.
    """
    if convention not in CONVENTIONS:
        raise UserError(f"convention={convention}: choose one of {', '.join(CONVENTIONS)}")
    check_labels(labels, folders)
    configs = [read_config(folder) for folder in folders]
    data = {cfg.data for cfg in configs}
    if len(data) != 1:
        raise UserError(
            f"runs: different datasets ({', '.join(sorted(data))}); a leaderboard ranks runs on one dataset"
        )
    space = configs[0].space
    if labels is None:
        labels = distinct_names([cfg.name for cfg in configs], folders, "{name} ({folder})")
    classes = tuple(sorted(space.names))
    values = [_values(folder, convention) for folder in folders]
    rows = _ranked(list(zip(map(str, labels), values, strict=True)), (*OVERVIEW, *classes))
    published = _ranked([_published(row) for row in SCANNET200_TEST], (*OVERVIEW, *classes))
    title = f"{data.pop()}, validation, mean over classes: {convention}"
    return Leaderboard(title, classes, rows, published if space.groups else ())


def _values(folder: Path, convention: str) -> dict[str, float]:
    path = folder / "evaluate-val" / "metrics.json"
    if not path.is_file():
        path = folder / "metrics.json"
    if not path.is_file():
        raise UserError(f"{folder} is not finished (no metrics.json): run its command again with resume=auto")
    scores = read_scores(path, folder, ("miou", *GROUPS), CONVENTIONS) | read_scores(path, folder, ("per_class",))
    means = {"avg": scores["miou"][convention]} | {group: scores[group][convention] for group in GROUPS}
    values = means | scores["per_class"]
    return {name: 100 * value for name, value in values.items() if value is not None}


def _published(row: PublishedRow) -> tuple[str, dict[str, float]]:
    overview = {"avg": row.miou, "head": row.head, "common": row.common, "tail": row.tail}
    return row.method, overview | {name: 100 * iou for name, iou in row.classes.items()}


def _ranked(entries: list[tuple[str, dict[str, float]]], columns: Sequence[str]) -> tuple[Row, ...]:
    """Return rows with their ranks, best average first."""
    known = {column: [values[column] for _, values in entries if column in values] for column in columns}
    rows = [
        Row(name, values, {c: 1 + sum(v > values[c] for v in known[c]) for c in columns if c in values})
        for name, values in entries
    ]
    return tuple(sorted(rows, key=lambda row: -row.values.get("avg", -1.0)))


def leaderboard_markdown(board: Leaderboard) -> str:
    """Return the overview with ranks in parentheses, then a second table with one line per class."""
    rows = [(row.name, *(_cell(row, column) for column in OVERVIEW)) for row in board.rows]
    lines = [f"# {board.title}", "", "IoU in percent; rank among the runs in parentheses.", ""]
    lines += markdown_table(("", *OVERVIEW), rows)
    if board.published:
        lines += ["", f"## {PUBLISHED_NOTE}", ""]
        lines += markdown_table(("", *OVERVIEW), [(r.name, *(_cell(r, c) for c in OVERVIEW)) for r in board.published])
    shown = [*board.rows, *board.published]
    names = [row.name for row in board.rows] + [f"{row.name}, published" for row in board.published]
    classes = [(name, *(_cell(row, name) for row in shown)) for name in board.classes]
    lines += ["", "## Classes", "", *markdown_table(("class", *names), classes)]
    return "\n".join(lines) + "\n"


def _cell(row: Row, column: str) -> str:
    return f"{row.values[column]:.1f} ({row.ranks[column]})" if column in row.values else "-"


def leaderboard_csv(board: Leaderboard) -> str:
    """Return one line per row: name, data ("run" or "published, ScanNet200 test"), then every column in percent."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("name", "data", *board.columns))
    for data, rows in (("run", board.rows), ("published, ScanNet200 test", board.published)):
        for row in rows:
            cells = (f"{row.values[column]:.4f}" if column in row.values else "" for column in board.columns)
            writer.writerow((row.name, data, *cells))
    return out.getvalue()
