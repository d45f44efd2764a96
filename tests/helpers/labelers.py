"""Processes that stand in for the one that labels: they load no network."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection

from ceco3d.serving.labeler import Setup, Task

WEIGHTS = "a stand-in"


def stand_in(pipe: Connection, setup: Setup) -> None:
    """Copies a scan as its result; names say what else: slow, dies, wrong. The checkpoint "missing" does not load."""
    if setup.checkpoint == "missing":
        pipe.send((True, "missing: no such file"))
        return
    pipe.send((False, WEIGHTS))
    while True:
        try:
            task: Task = pipe.recv()
        except EOFError:
            return
        pipe.send(act(task))


def act(task: Task) -> str | None:
    if task.name.startswith("slow"):
        time.sleep(60)
    if task.name.startswith("dies"):
        os.kill(os.getpid(), signal.SIGKILL)
    if task.name.startswith("wrong"):
        return f"{task.name}: damaged"
    task.results.mkdir()
    (task.results / "scan.ply").write_bytes(task.upload.read_bytes())
    (task.results / "scan.html").write_text(f"<p>{task.unit} {task.up}</p>")
    return None
