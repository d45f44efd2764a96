"""Rank the finished runs of one dataset in a leaderboard laid out like the ScanNet200 benchmark page."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ceco3d.data.labels import GROUPS
from ceco3d.metrics.published import PublishedRow, published_results
from ceco3d.metrics.scores import CONVENTIONS
from ceco3d.metrics.tables import PERCENT_HEADINGS, markdown_table
from ceco3d.runs.folder import read_config, read_evaluation, read_scores
from ceco3d.runs.naming import check_labels, distinct_names
from ceco3d.utils.errors import UserError
from ceco3d.utils.plain_text import visible

OVERVIEW = ("miou", *GROUPS)
HEADINGS = dict(zip(OVERVIEW, PERCENT_HEADINGS, strict=True))
LEADING = "zero_filled"  # the convention of Pointcept's numbers and of the papers that use it
UNEQUAL_NOTE = "The runs were evaluated in different ways (last column): differences between them are not only theirs."
PUBLISHED_NOTE = "Published results on the ScanNet200 test set; the rows above are on other scenes"


@dataclass(frozen=True)
class Row:
    """One row of a leaderboard.

    values      IoU in percent by column (``Leaderboard.columns``); absent where undefined or not published
    ranks       rank in each column among the rows on the same data, 1 = best; ties share the better rank
    how         split, test-time augmentation and voxel size of the evaluation that the values are from
    convention  of the means, see ``metrics.scores``
    """

    name: str
    values: dict[str, float]
    ranks: dict[str, int]
    how: str
    convention: str


@dataclass(frozen=True)
class Leaderboard:
    """The runs on one dataset by descending average, and published results on other data.

    title    dataset and convention
    other    the convention of the second mean over all classes, the column ``miou_<other>``
    classes  names in alphabetical order, as on the benchmark page
    """

    title: str
    other: str
    classes: tuple[str, ...]
    rows: tuple[Row, ...]
    published: tuple[Row, ...]
    grouping: str = ""

    @property
    def headings(self) -> dict[str, str]:
        """What the columns before those of the classes are called."""
        return HEADINGS | {f"miou_{self.other}": f"{HEADINGS['miou']} ({self.other})"}

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.headings, *self.classes)

    @property
    def note(self) -> str:
        """How the groups were made, and a warning if the runs were evaluated in different ways; "" for neither."""
        unequal = UNEQUAL_NOTE if len({row.how for row in self.rows}) > 1 else ""
        return f"{self.grouping} {unequal}".strip()


def read_leaderboard(
    folders: Sequence[Path], convention: str = LEADING, labels: Sequence[str] | None = None
) -> Leaderboard:
    """Read the finished runs in ``folders``, displayed as ``labels`` or by default as their names.

    convention  of the means; the mean over all classes is also given under `present`, or beside that under LEADING

    The scores of a run are those of its ``evaluate-val/metrics.json`` (test-time augmentation) if there is one, else
    those at the end of training; each row says which. Raises UserError if a run is unfinished or the datasets differ.
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
    paths = [_scores_path(folder) for folder in folders]
    other = LEADING if convention == "present" else "present"
    values = [_values(path, folder, convention, other) for path, folder in zip(paths, folders, strict=True)]
    how = [_how(path, folder) for path, folder in zip(paths, folders, strict=True)]
    rows = _ranked([(*row, convention) for row in zip(map(visible, labels), values, how, strict=True)])
    published = _ranked([_published(row) for row in published_results(space)])
    title = f"{data.pop()}, validation, mean over classes: {convention}"
    return Leaderboard(title, other, classes, rows, published, space.grouping)


def _scores_path(folder: Path) -> Path:
    path = folder / "evaluate-val" / "metrics.json"
    if not path.is_file():
        path = folder / "metrics.json"
    if not path.is_file():
        raise UserError(f"{folder} is not finished (no metrics.json): run its command again with resume=auto")
    return path


def _values(path: Path, folder: Path, convention: str, other: str) -> dict[str, float]:
    scores = read_scores(path, folder, OVERVIEW, CONVENTIONS) | read_scores(path, folder, ("per_class",))
    values = {key: scores[key][convention] for key in OVERVIEW} | {f"miou_{other}": scores["miou"][other]}
    values |= scores["per_class"]
    return {name: 100 * value for name, value in values.items() if value is not None}


def _how(path: Path, folder: Path) -> str:
    """The evaluation that wrote the scores at ``path``, as in "evaluate, val, 4 views, 2 cm"."""
    command = "end of training" if path.parent == folder else "evaluate"
    about = read_evaluation(path.parent)
    if about is None:  # an older version wrote it
        return f"{command}, val, " + ("1 view" if path.parent == folder else "views unknown")
    views = "1 view" if about.views == 1 else f"{about.views} views"
    if about.fragments != 1:
        views += ", fragments" if about.fragments is None else f", {about.fragments} fragments at most"
    size = "" if about.voxel_size is None else f", {100 * about.voxel_size:g} cm"
    return f"{command}, {about.split}, {views}{size}"


def _published(row: PublishedRow) -> tuple[str, dict[str, float], str, str]:
    overview = {"miou": row.miou, "head": row.head, "common": row.common, "tail": row.tail}
    values = overview | {name: 100 * iou for name, iou in row.classes.items()}
    remark = f"; {row.remark}" if row.remark else ""
    return row.method, values, f"published, ScanNet200 test, {row.convention}{remark}", row.convention


def _ranked(entries: list[tuple[str, dict[str, float], str, str]]) -> tuple[Row, ...]:
    """Return rows (name, values, how, convention) with their ranks, best average first."""
    rows = []
    for name, values, how, convention in entries:
        ranks = {
            key: 1 + sum(other.get(key, value) > value for _, other, _, _ in entries) for key, value in values.items()
        }
        rows.append(Row(name, values, ranks, how, convention))
    return tuple(sorted(rows, key=lambda row: -row.values.get("miou", -1.0)))


def leaderboard_markdown(board: Leaderboard) -> str:
    """Return the overview with ranks in parentheses, then a second table with one line per class."""
    heading = ("", *board.headings.values(), "evaluation")
    rows = [(row.name, *(_cell(row, column) for column in board.headings), row.how) for row in board.rows]
    lines = [f"# {board.title}", "", "IoU in percent; rank among the runs in parentheses.", ""]
    lines += [board.note, ""] if board.note else []
    lines += markdown_table(heading, rows)
    if board.published:
        lines += ["", f"## {PUBLISHED_NOTE}", ""]
        lines += markdown_table(
            heading, [(r.name, *(_cell(r, c) for c in board.headings), r.how) for r in board.published]
        )
    shown = [*board.rows, *board.published]
    names = [row.name for row in board.rows] + [f"{row.name}, published" for row in board.published]
    classes = [(name, *(_cell(row, name) for row in shown)) for name in board.classes]
    lines += ["", "## Classes", "", *markdown_table(("class (IoU %)", *names), classes)]
    return "\n".join(lines) + "\n"


def _cell(row: Row, column: str) -> str:
    return f"{row.values[column]:.1f} ({row.ranks[column]})" if column in row.values else "-"


def leaderboard_csv(board: Leaderboard) -> str:
    """Return one line per row: name, data ("run" or "published"), evaluation, convention, then every column.

    The columns and their scale, 0..1, are those of ``metrics.json``.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("name", "data", "evaluation", "convention", *board.columns))
    for data, rows in (("run", board.rows), ("published", board.published)):
        for row in rows:
            cells = (f"{row.values[column] / 100:.6f}" if column in row.values else "" for column in board.columns)
            writer.writerow((row.name, data, row.how, row.convention, *cells))
    return out.getvalue()
