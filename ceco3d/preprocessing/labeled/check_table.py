"""Print the check of labeled scans."""

from __future__ import annotations

from rich.table import Table

from ceco3d.preprocessing.labeled.check import Check
from ceco3d.utils.plain_console import PlainConsole

MOST = 40  # classes that are listed


def print_check(check: Check, title: str) -> None:
    """Print what was found in the scans, and the classes with their numbers of points and scans."""
    table = Table("", "found", "look at", title=title, title_justify="left")
    for row in check.rows():
        table.add_row(*row, style="yellow" if row[2] else None)
    classes = Table("id", "class", "group", title="classes", title_justify="left", caption=check.space.grouping or None)
    for column in ("train points", "scans", "val points", "scans"):
        classes.add_column(column, justify="right")
    rows = check.class_rows()
    for cells in rows[:MOST]:
        classes.add_row(*cells)
    if len(rows) > MOST:
        classes.add_row("...", f"and {len(rows) - MOST} more")
    console = PlainConsole()
    console.print(table)
    console.print(classes)
