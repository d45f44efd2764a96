"""Progress with time left: a bar on a terminal, plain lines otherwise."""

import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TypeVar

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress import track as rich_track
from rich.table import Column

from ceco3d.utils.plain_console import PlainConsole
from ceco3d.utils.plain_text import visible
from ceco3d.utils.transcript import note

WIDTH = 80  # columns of lines that go to no terminal
BAR_WIDTH, TIME_WIDTH = 12, 11  # columns on a terminal; the time with the blanks between the three parts

T = TypeVar("T")


def track(items: Iterable[T], total: int, what: str, every_seconds: float = 10.0) -> Iterator[T]:
    """Yield ``items`` and show on stderr how many of ``total`` are done, and the time left."""
    if sys.stderr.isatty():
        yield from rich_track(
            items, description=escape(visible(what)), total=total, console=PlainConsole(stderr=True), transient=True
        )
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= every_seconds and done < total:
            eta = (now - start) / done * (total - done)
            print(f"{what}: {done}/{total}, {eta:.0f} s left", file=sys.stderr, flush=True)
            last = now


class StepDisplay:
    """Shows the steps of a training run: a bar beside the newest line on a terminal, else one line after another.

    Lines about steps fit the width of the terminal, 80 columns elsewhere: what does not fit is left out.
    """

    def __init__(self, done: int, total: int) -> None:
        columns = (
            BarColumn(BAR_WIDTH),
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
        )
        self._bar = Progress(*columns, console=PlainConsole(), disable=not sys.stdout.isatty())
        self._task = self._bar.add_task("training", total=total, completed=done)
        self._first, self._start = done, time.monotonic()

    def __enter__(self) -> "StepDisplay":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def step(self) -> None:
        """Advance by one step."""
        self._bar.advance(self._task)

    def line(self, text: str) -> None:
        """Show ``text`` for good."""
        if self._bar.disable:
            print(text, flush=True)
        else:
            self._bar.console.print(text, soft_wrap=True)

    def passing(self, parts: Sequence[str]) -> None:
        """Show ``parts``, the most important first; beside a bar, they give way to the next ones."""
        if self._bar.disable:
            print(
                fit([*parts[:-1], *self._left(), *parts[-1:]], shutil.get_terminal_size((WIDTH, 0)).columns), flush=True
            )
        else:
            self._bar.update(self._task, description=fit(parts, self._bar.console.width - BAR_WIDTH - TIME_WIDTH))
            note(" ".join(parts))

    def _left(self) -> Iterator[str]:
        task = self._bar.tasks[0]
        done = int(task.completed) - self._first
        if done and task.total:
            seconds = (time.monotonic() - self._start) / done * (task.total - task.completed)
            yield f"{timedelta(seconds=round(seconds))} left"


def fit(parts: Sequence[str], width: int) -> str:
    """Join ``parts`` by blanks, without those for which ``width`` has no room; the first is always there."""
    text = parts[0]
    for part in parts[1:]:
        if len(text) + 1 + len(part) <= width:
            text += f" {part}"
    return text
