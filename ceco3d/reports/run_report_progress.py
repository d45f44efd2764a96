"""How far a run has come, and the banner for one that is not finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ceco3d.runs.checked import entry
from ceco3d.runs.metrics_csv import Row
from ceco3d.utils.plain_text import html_text
from ceco3d.utils.untrusted import one_line, read_json


@dataclass(frozen=True)
class Progress:
    """Where the log of a run ends.

    epoch, step  of the last logged row; 0 before the first
    epochs       that the run is to have; None if unknown
    scored       whether the run has final scores
    ended        why the command ended early; "" if unknown
    touched      when a file of the run was last written, as text
    """

    epoch: int
    step: int
    epochs: int | None
    scored: bool
    ended: str
    touched: str

    @property
    def finished(self) -> bool:
        """Whether the final scores are those of the last epoch."""
        return self.scored and (not self.epoch or self.epochs is None or self.epoch >= self.epochs)

    @property
    def where(self) -> str:
        """For example "epoch 2 of 3"."""
        total = "" if self.epochs is None else f" of {self.epochs}"
        return f"epoch {self.epoch}{total}" if self.epoch else f"epoch 0{total}, before the first logged step"


def read_progress(folder: Path, config: Mapping[str, Any], rows: Sequence[Row], ended: str) -> Progress:
    """Read the progress of the run in ``folder`` from its configuration, its log and the files it has."""
    trainer = config.get("trainer")
    epochs = trainer.get("epochs") if isinstance(trainer, Mapping) else None
    files = [folder / name for name in ("metrics.csv", "config.yaml", "checkpoints/last.pt", "metrics.json")]
    times = [path.stat().st_mtime for path in files if path.is_file()]
    return Progress(
        epoch=max((int(row["epoch"]) for row in rows if "epoch" in row), default=0),
        step=max((int(row["step"]) for row in rows), default=0),
        epochs=epochs if isinstance(epochs, int) and epochs > 0 else None,
        scored=(folder / "metrics.json").is_file(),
        ended=ended,
        touched=_moment(max(times, default=0)),
    )


def _moment(seconds: float) -> str:
    """Format the time of a file, which may be any number."""
    try:
        return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M %Z}"
    except (ValueError, OverflowError, OSError):
        return "a time that cannot be"


def banner(progress: Progress, folder: Path) -> str:
    """Return what the page of an unfinished run says first; "" for a finished one."""
    if progress.finished:
        return ""
    at = f"{progress.where}, step {progress.step:,}" if progress.step else progress.where
    if progress.ended:
        head, text = f"Interrupted at {at}", f"Why: {progress.ended}."
    elif holder := _holder(folder):
        head = f"In progress at {at}, or killed"
        text = f"{holder}. Its last file is from {progress.touched}."
    else:
        head = f"Not finished: interrupted at {at}, or still running"
        text = f"The run does not say why it ended; its last file is from {progress.touched}."
    if progress.scored:
        text += " The final scores below are those of an earlier end of this run, before it went on."
    else:
        text += " It has no final scores yet; below is what it left so far."
    return f'<div class="banner" role="status"><b>{html_text(head)}</b><p>{html_text(text)}</p>{_advice(folder)}</div>'


def _advice(folder: Path) -> str:
    if not any((folder / "checkpoints" / name).is_file() for name in ("last.pt", "previous.pt")):
        return "<p>It has no checkpoint to continue from.</p>"
    command = f"python -m ceco3d.train run_dir={folder} resume=auto"
    return f"<p>To continue: <code>{html_text(command)}</code> and the keys of its command below.</p>"


def _holder(folder: Path) -> str:
    """Return who holds the folder, by its lock file; "" without one."""
    path = folder / "run.lock"
    try:
        content = read_json(path)
        process, host = (entry(content, "process", key) for key in ("pid", "host"))
        return f"Process {one_line(process)} on {one_line(host)} holds the folder (run.lock)"
    except ValueError:
        return "A process holds the folder (run.lock)"
    except OSError:
        return ""
