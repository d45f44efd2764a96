"""Format scores as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from ceco3d.data.labels import GROUPS, LabelSpace
from ceco3d.metrics.published import published_note, published_results
from ceco3d.metrics.scores import CONVENTIONS
from ceco3d.utils.plain_console import PlainConsole
from ceco3d.utils.plain_text import visible

PERCENT_HEADINGS = tuple(f"{name} %" for name in ("mIoU", *GROUPS))  # of tables for people; files hold fractions
FEW = 40  # classes of a label space that fit into a terminal
CONVENTION_NOTES = {
    "present": "mean over classes with ground truth",
    "union": "mean over classes with ground truth or predictions",
    "zero_filled": "mean over all classes, absent = 0",
}


def scores_rows(scores: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return one row per convention: its name and mIoU, head, common, tail in percent ("-" where undefined)."""
    keys = ("miou", *GROUPS)
    return [(name, *(percent(scores[key][name]) for key in keys)) for name in CONVENTIONS]


def scores_markdown(scores: dict[str, Any], space: LabelSpace, title: str) -> str:
    """Return ``scores.md``: the run under three conventions, published results, and every class."""
    header = ("", *PERCENT_HEADINGS)
    own = [(f"{title}, {name}", *values) for name, *values in scores_rows(scores)]
    notes = [f"- `{name}`: {CONVENTION_NOTES[name]}" for name in CONVENTIONS]
    lines = ["# Scores", "", "IoU in percent on the mesh vertices.", "", *markdown_table(header, own), "", *notes]
    if space.grouping:
        lines += ["", space.grouping]
    published = published_results(space)
    if published:
        data = "The data are others than above, unless the rows above are also on its test scenes."
        lines += ["", "## Published", "", f"{published_note(published)} {data}", ""]
        rows = [(r.method, *(f"{value:.1f}" for value in (r.miou, r.head, r.common, r.tail))) for r in published]
        lines += markdown_table(header, rows)
    group_of = {index: group for group, members in space.groups.items() for index in members}
    classes = [
        (name, str(space.ids[i]), group_of.get(i, "-"), percent(scores["per_class"][name]))
        for i, name in enumerate(space.names)
    ]
    lines += ["", "## Classes", "", "`-`: neither in the ground truth nor predicted.", ""]
    return "\n".join(lines + markdown_table(("class", "id", "group", "IoU %"), classes)) + "\n"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table; all columns but the first are right-aligned. Bars in cells are escaped."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return ["| " + " | ".join(visible(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]


def percent(value: float | None) -> str:
    """Format 0.123 as "12.3" and None as "-"."""
    return "-" if value is None else f"{100 * value:.1f}"


def print_scores(scores: dict[str, Any], title: str, space: LabelSpace, classes: bool = False) -> None:
    """Print the means, how the groups were made, and the IoU of the classes if there are FEW.

    classes  print that of every class that occurs, however many there are
    """
    note = space.grouping
    table = Table("mean over classes", *PERCENT_HEADINGS, title=title, title_justify="left", caption=note or None)
    for row in scores_rows(scores):
        table.add_row(*row)
    PlainConsole().print(table)
    if classes or len(space) <= FEW:
        PlainConsole().print(_classes_table(scores, space))


def _classes_table(scores: Mapping[str, Any], space: LabelSpace) -> Table:
    table = Table("class", "id", "group", "IoU %")
    group_of = {index: group for group, members in space.groups.items() for index in members}
    for index, (name, number) in enumerate(zip(space.names, space.ids, strict=True)):
        value = scores["per_class"][name]
        if value is not None or len(space) <= FEW:
            table.add_row(name, str(number), group_of.get(index, "-"), percent(value))
    return table
