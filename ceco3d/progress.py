"""Progress with ETA: a rich bar on a terminal, plain lines otherwise."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def track(items: Iterable[T], total: int, what: str, every_seconds: float = 10.0) -> Iterator[T]:
    """Yield ``items`` while showing how many of ``total`` are done and the time left."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as rich_track

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
