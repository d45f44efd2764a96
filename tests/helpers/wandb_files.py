"""Read what Weights & Biases writes offline: a log in LevelDB's format of protocol buffers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HEADER, BLOCK = 7, 1 << 15  # bytes: of the file and of each piece; of a block
FULL, LAST = 1, 4  # kinds of pieces that end a record


@dataclass
class OfflineRun:
    """The content of one ``offline-run-*`` folder; values are as they were logged."""

    run_id: str = ""
    group: str = ""
    notes: str = ""
    name: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)  # the metric that each is plotted over
    exit_code: int | None = None


def read_offline_run(folder: Path, patience: float = 60) -> OfflineRun:
    """Read the only ``*.wandb`` file in ``folder``, once the process that writes it has ended the run."""
    end = time.monotonic() + patience
    while (found := _read(folder)).exit_code is None and time.monotonic() < end:
        time.sleep(0.1)
    return found


def _read(folder: Path) -> OfflineRun:
    from wandb.proto import wandb_internal_pb2

    (path,) = folder.glob("*.wandb")
    found = OfflineRun()
    for data in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            found.run_id, found.name, found.group, found.notes = run.run_id, run.display_name, run.run_group, run.notes
            found.tags = list(run.tags)
            found.config |= {item.key: json.loads(item.value_json) for item in run.config.update}
        elif kind == "history":
            items = record.history.item
            found.history.append({item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items})
        elif kind == "summary":
            items = record.summary.update
            found.summary |= {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}
        elif kind == "metric":
            found.metrics[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def _records(data: bytes) -> Iterator[bytes]:
    place, record = HEADER, b""
    while place + HEADER <= len(data):
        room = BLOCK - place % BLOCK
        if room < HEADER:
            place += room
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        record += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (FULL, LAST):
            yield record
            record = b""
