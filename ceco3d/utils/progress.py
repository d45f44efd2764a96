"""Progress with time left: a bar on a terminal, plain lines otherwise."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress import track as rich_track

T = TypeVar("T")


def track(items: Iterable[T], total: int, what: str, every_seconds: float = 10.0) -> Iterator[T]:
    """Yield ``items`` and show on stderr how many of ``total`` are done, and the time left."""
    if sys.stderr.isatty():
        yield from rich_track(items, description=what, total=total, console=Console(stderr=True), transient=True)
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
    """Shows the steps of a training run: a bar beside the newest line on a terminal, else one line after another."""

    def __init__(self, done: int, total: int) -> None:
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        self._bar = Progress(*columns, disable=not sys.stdout.isatty())
        self._task = self._bar.add_task("training", total=total, completed=done)

    def __enter__(self) -> "StepDisplay":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def step(self) -> None:
        """Advance by one step."""
        self._bar.advance(self._task)

    def line(self, text: str, passing: bool = False) -> None:
        """Show ``text``. Beside a bar, a ``passing`` line is replaced by the next one."""
        if self._bar.disable:
            print(text, flush=True)
        elif passing:
            self._bar.update(self._task, description=text)
        else:
            self._bar.console.print(text)
