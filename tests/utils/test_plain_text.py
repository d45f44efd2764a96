"""Text from files and names is shown as it is: it is no markup, and moves no cursor."""

import logging

import pytest
from rich.table import Table

from ceco3d.cli.endings import fail
from ceco3d.metrics.tables import markdown_table
from ceco3d.utils.plain_console import PlainConsole
from ceco3d.utils.plain_text import LINES, html_text, visible
from ceco3d.utils.progress import track

NAMES = {
    "a[bold red]b.xyz": "a[bold red]b.xyz",
    "[/nope] :smile: 12": "[/nope] :smile: 12",
    "a\x1b[31mb": r"a\x1b[31mb",
    "\u202egnp.ylp": r"\u202egnp.ylp",
    "a\udcffb": r"a\udcffb",
    "a\u2028\x07b": r"a\u2028\x07b",
    "wall\u00a0A, Ä 木 $x_{": "wall A, Ä 木 $x_{",
}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_text_is_shown_as_an_escape(name):
    assert visible(name) == NAMES[name]
    assert html_text(f"<{name}>") == f"&lt;{NAMES[name]}&gt;"


def test_lines_are_kept_on_request():
    assert visible("a\n\tb\x1b", LINES) == "a\n\tb\\x1b"
    assert visible("a\nb") == r"a\nb"


@pytest.mark.parametrize("name", NAMES)
def test_tables_logs_and_errors_show_names_as_they_are(name, capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger("ceco3d"), "propagate", False)  # pytest-xdist cannot send lone surrogates
    table = Table(name, title=f"title {name}", caption=f"caption {name}", title_justify="left")
    table.add_row(f"cell {name}")
    PlainConsole().print(table)
    logging.getLogger("ceco3d.test").warning("log %s", name)
    with pytest.raises(SystemExit):
        fail(ValueError(f"end {name}") if "\u2028" not in name else ValueError("end"))
    shown = capsys.readouterr()
    for place in ("title", "caption", "cell"):
        assert f"{place} {NAMES[name]}" in " ".join(shown.out.split()).replace("│ ", "")
    assert f"warning: log {NAMES[name]}\n" in shown.err
    assert (shown.out + shown.err).replace("\n", "").isprintable()


def test_progress_on_a_terminal_shows_names_as_they_are(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert list(track(range(3), 3, "labeling a[/b].xyz\x1b[31m")) == [0, 1, 2]


def test_cells_of_markdown_cannot_end():
    assert markdown_table(("a", "b"), [("x|y", "\x1b")])[2] == r"| x\|y | \x1b |"
