"""Write the report of a run or an evaluation as one self-contained HTML file."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
import torch

from ceco3d.data.scenes.labels import GROUPS, LabelSpace
from ceco3d.inference.predictor import View
from ceco3d.metrics.published import SCANNET200_TEST
from ceco3d.metrics.tables import CONVENTION_NOTES, percent, scores_rows
from ceco3d.reports.leaderboard_html import STYLE
from ceco3d.reports.run_report_figures import COLLAPSE, draw_collapse, draw_confusion, draw_curves
from ceco3d.runs.folder import Scores, damaged_file, read_config, read_curves, read_scores, require_file
from ceco3d.utils.atomic import write_text
from ceco3d.utils.untrusted import read_json, read_npz, read_yaml
from ceco3d.visualization.labeled_scenes import segment_scene
from ceco3d.visualization.picture import scene_picture

PUBLISHED = "Published results on the ScanNet200 test set; the rows above are on other data."
LOWER = "<p>Measured on the class centers of the validation split. Lower is better; 0 is a perfect simplex.</p>"
PAGE_STYLE = """
body { max-width: 1180px; margin: 24px auto; padding: 0 24px; } h2 { font-size: 16px; margin: 28px 0 8px; }
pre { background: var(--head); padding: 10px 12px; border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere; }
img { display: block; max-width: 100%; border-radius: 6px; background: #fff; margin-bottom: 12px; }
.scroll { width: fit-content; max-width: 100%; max-height: none; margin-bottom: 10px; } thead th { position: static; }
.classes { columns: 3 340px; column-gap: 24px; font-variant-numeric: tabular-nums; font-size: 12px; }
.class { display: grid; grid-template-columns: 8.5em 5.5em 1fr 3em; gap: 8px; break-inside: avoid; }
.class > :first-child { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.number { text-align: right; } .bar { align-self: center; height: 8px; background: var(--head); }
.bar i { display: block; height: 100%; background: #0072B2; }
.bar .common { background: #E69F00; } .bar .tail { background: #D55E00; }
"""


def write_run_report(run: Path, device: torch.device) -> Path:
    """Write ``report.html`` of the finished run in the folder ``run`` and return its path.

    ``device`` predicts the best and the worst validation scene if the data and a checkpoint of the run still exist.
    Raises UserError if a file of the run is missing or damaged.
    """
    config = read_config(run)
    title = f"{config.name} on {config.data}" + (f", training seed {config.seed}" if config.seed else "")
    return write_page(run, config.space, title, _scene_images(run, config.space, device))


def write_page(folder: Path, space: LabelSpace, title: str, scenes: Mapping[str, bytes] | None = None) -> Path:
    """Write ``report.html`` into ``folder``, with a section for each result it holds, and return its path.

    scenes  PNG by caption
    Raises UserError if ``metrics.json`` is missing or a file is damaged.
    """
    scores = read_scores(require_file(folder, "metrics.json"), folder, ("miou", *GROUPS, "per_class"))
    iou = np.array([scores["per_class"].get(name) for name in space.names], np.float64)
    curves = read_curves(folder)
    counts = _array(folder, "confusion.npz", "counts", (len(space), len(space) + 1))
    train = _array(folder, "collapse.npz", "train_counts", (len(space),))
    sections = {
        "Command and environment": _environment(folder),
        "Scores": _scores(scores, space),
        "Training": _image(draw_curves(curves)) if curves else "",
        "Neural collapse": LOWER + _image(draw_collapse(curves)) if curves.keys() & COLLAPSE.keys() else "",
        "Best and worst validation scenes": "".join(
            f"<p>{escape(k)}</p>{_image(v)}" for k, v in (scenes or {}).items()
        ),
        "Confusion of the classes with the lowest IoU": "" if counts is None else _confusion(counts, iou, space),
        "Classes": _classes(iou, space, counts, train),
    }
    body = "".join(f"<section><h2>{name}</h2>{content}</section>\n" for name, content in sections.items() if content)
    path = folder / "report.html"
    write_text(
        path,
        f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(title)}</title><style>{STYLE}{PAGE_STYLE}</style></head><body>
<h1>{escape(title)}</h1>
{body}</body></html>
""",
    )
    return path


def _environment(folder: Path) -> str:
    if not (folder / "environment.json").exists():
        return ""
    try:
        content = dict(read_json(folder / "environment.json"))
        command = content.pop("command")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged_file(folder / "environment.json", folder, error) from error
    facts = " · ".join(f"{key} {value}" for key, value in content.items())
    return f"<pre>{escape(str(command))}</pre><p>{escape(facts)}</p>"


def _scores(scores: Scores, space: LabelSpace) -> str:
    notes = [(f"this run, {name}: {CONVENTION_NOTES[name]}", *values) for name, *values in scores_rows(scores)]
    head = "".join(f"<th>{name}</th>" for name in ("IoU in percent, mesh vertices", "mIoU", *GROUPS))
    body = f"<tbody>{_rows(notes)}</tbody>"
    if space.groups:
        rows = [(r.method, *(f"{value:.1f}" for value in (r.miou, r.head, r.common, r.tail))) for r in SCANNET200_TEST]
        note = f'<tr><th colspan="5">{PUBLISHED}</th></tr>'
        body += f'<tbody class="note">{note}</tbody><tbody>{_rows(rows)}</tbody>'
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>{body}</table></div>'


def _rows(rows: Sequence[Sequence[str]]) -> str:
    cells = ("".join(f"<td>{value}</td>" for value in values) for _, *values in rows)
    return "".join(f"<tr><th>{escape(name)}</th>{line}</tr>" for (name, *_), line in zip(rows, cells, strict=True))


def _confusion(counts: np.ndarray, iou: np.ndarray, space: LabelSpace) -> str:
    if not counts.any():
        return ""
    return "<p>Share of the points of each class by predicted class, in percent.</p>" + _image(
        draw_confusion(counts, iou, space.names)
    )


def _classes(iou: np.ndarray, space: LabelSpace, counts: np.ndarray | None, train: np.ndarray | None) -> str:
    """Return a bar for the IoU of every class, sorted by training points or else by ground-truth points."""
    what = "training points" if train is not None else "ground-truth points"
    points = train if train is not None else np.zeros(len(space), int) if counts is None else counts.sum(1)
    group_of = {k: group for group, members in space.groups.items() for k in members}
    bars = []
    for k in np.argsort(-points, kind="stable"):
        value = None if np.isnan(iou[k]) else float(iou[k])
        name, width = escape(space.names[k]), 100 * (value or 0)
        bar = f'<span class="bar"><i class="{group_of.get(k, "all")}" style="width:{width:.1f}%"></i></span>'
        number = f'<span class="number">{int(points[k]):,}</span>'
        bars.append(
            f'<div class="class"><span title="{name}">{name}</span>{number}{bar}'
            f'<span class="number">{percent(value)}</span></div>'
        )
    colors = " Blue is head, orange common, red tail." if space.groups else ""
    return (
        f"<p>Sorted by {what} (the first number); the bar and the last number show the IoU in percent "
        f'(-: neither in the ground truth nor predicted).{colors}</p><div class="classes">{"".join(bars)}</div>'
    )


def _scene_images(run: Path, space: LabelSpace, device: torch.device) -> dict[str, bytes]:
    """Return pictures of the best and the worst scene in ``scenes.json`` by caption; {} without the file."""
    path = run / "scenes.json"
    if not path.exists() or not any((run / "checkpoints" / name).exists() for name in ("best.pt", "last.pt")):
        return {}
    try:
        scored = {str(name): float(value) for name, value in read_json(path).items() if value is not None}
        root = Path(str(read_yaml(run / "config.yaml")["dataset"]["root"])) / "val"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged_file(path, run, error) from error
    found = sorted((name for name in scored if (root / name / "coord.npy").is_file()), key=lambda name: scored[name])
    ends = {"Best": found[-1:], "Worst": found[:1]} if len(found) > 1 else {"Only": found}
    return {
        f"{which}: {name}, mIoU {100 * scored[name]:.1f}": scene_picture(
            segment_scene(root / name, space, [run], None, device, [View()], torch.float32)
        )
        for which, names in ends.items()
        for name in names
    }


def _array(folder: Path, name: str, key: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the array ``key`` of an ``.npz`` file; None if there is no such file."""
    path = folder / name
    if not path.exists():
        return None
    try:
        array = read_npz(path, (key,))[key]
        if array.shape != shape or array.dtype.kind not in "iuf":
            raise ValueError(f"{key} is not an array of {shape} numbers")
    except (OSError, ValueError) as error:
        raise damaged_file(path, folder, error) from error
    return array


def _image(png: bytes) -> str:
    return f'<img alt="" src="data:image/png;base64,{b64encode(png).decode()}">'
