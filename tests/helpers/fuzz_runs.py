"""Readers of run folders for fuzzing: reports, leaderboards, studies and figures, and what must hold of each page."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ceco3d.data.labels import GROUPS, label_space
from ceco3d.metrics.scores import CONVENTIONS
from ceco3d.reports.leaderboard import leaderboard_csv, leaderboard_markdown, read_leaderboard
from ceco3d.reports.leaderboard_html import leaderboard_html
from ceco3d.reports.neural_collapse_geometry import centered_centers, choose_classes, project
from ceco3d.reports.neural_collapse_runs import ARRAYS, CURVES, read_runs
from ceco3d.reports.run_report import write_run_report
from ceco3d.reports.study import read_study, study_markdown

SPACE = label_space("scannet20")
SCENE = "scene0000_00"
LONGEST = 200_000  # characters of a page of a small run; each byte of its files may add a few
PER_BYTE = 30
CONFIG = """name: ce
seed: 3
voxel_size: 0.05
run_dir: outputs/run
model: {{name: MinkUNet14A}}
loss: {{name: ceco, center_weight: 0.1}}
trainer: {{epochs: 2}}
dataset:
  name: rooms200
  label_space: scannet20
  seed: 0
  imbalance: 100
  root: {root}
"""
LOG = ("step", "epoch", "seconds", "phase", "loss", "ce", "lr", "grad_norm", "skipped", "val_miou", "val_nc1", *CURVES)
ROWS = (
    (1, 1, 2.5, "train", 2.5, 2.25, 0.01, 1.5, 0, "", "", "", ""),
    (2, 1, 4.5, "train", "nan", 1.5, 0.01, 1e3, 1, "", "", "", ""),
    (2, 1, 5.5, "val", "", "", "", "", "", 0.25, 0.5, 0.5, 0.25),
    (4, 2, 9, "train", 1e-5, 0, 0.005, 2, 1, "", "", "", ""),
    (4, 2, 9.5, "val", "", "", "", "", "", 0.5, 0.25, 0.25, 0.125),
)


@dataclass(frozen=True)
class RunReader:
    """What fuzz_readers.Reader is made of."""

    name: str
    file: Path
    kind: str
    read: Callable[[Path], object]
    seeds: Sequence[bytes]
    names: Sequence[str]


def run_readers(folder: Path) -> list[RunReader]:
    """One reader for each file that a command reads from a run folder; they write below ``folder``."""
    (folder / "data/val" / SCENE).mkdir(parents=True)
    (folder / "data/val" / SCENE / "coord.npy").write_bytes(b"")
    files = run_files(folder / "data")
    own = ("scenes.json", "environment.json", "evaluation.json", "confusion.npz", "classes.json", "run.lock")
    commands: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
        "table": (read_table, ("config.yaml", "metrics.json")),
        "study": (
            read_study_of,
            ("config.yaml", "metrics.json", "neural_collapse.json", "metrics.csv", "confusion.npz"),
        ),
        "pictures": (read_pictures, ("config.yaml", "metrics.json", "metrics.csv", "collapse.npz")),
        "report": (read_report, ("config.yaml", "metrics.json", "metrics.csv", "collapse.npz", *own, "report.html")),
    }
    strange = strange_arrays()
    readers = []
    for what, (read, used) in commands.items():
        for name in used:
            run = folder / what / name / "run0"
            (run / "checkpoints").mkdir(parents=True)
            (run / "checkpoints/best.pt").write_bytes(b"")
            for other, (_, content) in files.items():
                if other not in ("classes.json", "report.html") or other == name:
                    (run / other).write_bytes(content)
            kind, content = files[name]
            seeds = [content, *(other[name] for other in strange if name in other)]
            readers.append(RunReader(f"{what}: {name}", run / name, kind, read, seeds, (name, "run0", "baseline=")))
    return readers


def run_files(data: Path) -> dict[str, tuple[str, bytes]]:
    """The files of a run by name: format and content."""
    count, rng = len(SPACE), np.random.default_rng(0)
    means = {key: dict.fromkeys(CONVENTIONS, 0.25) for key in ("miou", *GROUPS)}
    per_class = {name: i / 20 or None for i, name in enumerate(SPACE.names)}
    collapse = dict.fromkeys(("nc1", "self_duality", "nearest_center"), 0.5)
    collapse |= {"centers": {"centred": {"equiangularity": 0.1, "separation": 0.2}}}
    arrays = {name: rng.normal(size=(count, 8)) for name in ARRAYS[:2]}
    arrays |= {name: np.arange(1, count + 1) for name in ARRAYS[2:4]}
    arrays |= {"features": rng.normal(size=(9, 8)).astype(np.float32), "feature_labels": np.arange(9)}
    rooms = {"classes": np.arange(4), "scenes": rng.integers(0, 900, (3, 3, 4))}
    log = "\n".join(",".join(map(str, row)) for row in (LOG, *ROWS)) + "\n"
    command = "python -m ceco3d.train tta=flips name='<one>'"
    lock = {"process": {"pid": 7, "host": "node1"}, "token": "a", "since": "2026-01-01"}
    meta = '<meta name="ceco3d-written" content="2026-01-01"><meta name="ceco3d-ended" content="{&quot;step&quot;:4}">'
    page = f'<!doctype html>{meta}<section id="scores"><h2>Scores</h2><p title="a">b</p></section><script>1</script>'
    return {
        "config.yaml": ("yaml", CONFIG.format(root=data).encode()),
        "metrics.json": ("json", _json(means | {"per_class": per_class, "accuracy": 0.5, "parts": {"a": {}}})),
        "neural_collapse.json": ("json", _json({"all": collapse})),
        "metrics.csv": ("csv", log.encode()),
        "collapse.npz": ("zip", _npz(**arrays)),
        "scenes.json": ("json", _json({SCENE: 0.5, "scene0001_00": None, "scene0002_00": 0.25})),
        "environment.json": ("json", _json({"command": command, "folder": str(data), "device": "cpu", "gpus": [1]})),
        "evaluation.json": ("json", _json({"split": "val", "views": [{}, {}], "voxel_size": 0.05})),
        "confusion.npz": ("zip", _npz(counts=rng.integers(0, 900, (count, count + 1)), **rooms)),
        "classes.json": ("json", _json(SPACE.to_plain() | {"name": "mine"})),
        "run.lock": ("json", _json(lock)),
        "report.html": ("html", page.encode()),
    }


def strange_arrays() -> list[dict[str, bytes]]:
    """Archives of the right shapes with NaN, infinity, fractions and numbers at the ends of their types."""
    count, values = len(SPACE), (np.nan, np.inf, -np.inf, 1e308, 1e-308, 0.5, -1.0, 1e20, 2.0**63)
    found = []
    for value in values:
        one = np.full((count, count + 1), 3.0)
        one[3, 2] = value
        arrays = {name: one[:, :8].copy() for name in ARRAYS[:2]} | {name: one[:, 2].copy() for name in ARRAYS[2:4]}
        arrays |= {"features": one[:9, :8].copy(), "feature_labels": one[:9, 2].copy()}
        rooms = {"classes": one[2:6, 2], "scenes": one[:3, :3, None].copy()}
        found.append({"confusion.npz": _npz(counts=one, **rooms), "collapse.npz": _npz(**arrays)})
    wide = np.full((count, count + 1), np.iinfo(np.uint64).max, np.uint64)
    return [*found, {"confusion.npz": _npz(counts=wide, classes=wide[:1, 0], scenes=wide[:2, :3, None])}]


def _json(content: object) -> bytes:
    return json.dumps(content).encode()


def _npz(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def read_table(path: Path) -> None:
    """Make the leaderboard of the run of the file ``path``."""
    board = read_leaderboard([path.parent])
    check_text(leaderboard_markdown(board))
    leaderboard_csv(board).encode()
    check_page(leaderboard_html(board), path.parent)


def read_study_of(path: Path) -> None:
    """Make the tables of a study of one run."""
    check_text(study_markdown(read_study(path.parent.parent), "ce"))


def read_pictures(path: Path) -> None:
    """Compute what the figures of neural collapse show."""
    (run,) = read_runs([path.parent])
    assert np.isfinite(centered_centers(run, np.flatnonzero(run.counts > 0))).all()
    sticks = project(run, choose_classes([run]))
    assert all(np.isfinite(part).all() for part in (sticks.centers, sticks.classifiers, sticks.features))


def read_report(path: Path) -> None:
    """Write the report of a run."""
    if path.name != "report.html":
        (path.parent / "report.html").unlink(missing_ok=True)
    page = write_run_report(path.parent, torch.device("cpu"))
    check_page(page.read_text(encoding="utf-8"), path.parent)


def check_text(text: str) -> None:
    """Text is what a terminal can show."""
    text.encode()
    assert text.replace("\n", "").isprintable()


def check_page(page: str, run: Path) -> None:
    """A page is text, has one script, and all its charts have numbers; it is as long as its files allow."""
    assert len(page) < LONGEST + PER_BYTE * sum(path.stat().st_size for path in run.iterdir() if path.is_file())
    assert page.replace("\n", "").replace("\t", "").isprintable()
    assert page.count("<script") == 1
    assert re.search(r' d="[^"]*(?:nan|inf)', page) is None
    for data in re.findall(r'data-chart="([^"]*)"', page):
        json.loads(html.unescape(data), parse_constant=_no_number)


def _no_number(text: str) -> None:
    raise AssertionError(f"{text} in the data of a chart")
