"""Write the report of a run or an evaluation as one self-contained HTML file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ceco3d.data.labels import GROUPS, LabelSpace
from ceco3d.metrics.tables import percent
from ceco3d.reports import run_report_kept as kept
from ceco3d.reports.page_style import asset
from ceco3d.reports.run_report_calibration import calibration_section
from ceco3d.reports.run_report_charts import collapse_charts, training_charts
from ceco3d.reports.run_report_facts import duration, evaluations, how_scored, log_notes, model_facts
from ceco3d.reports.run_report_pictures import UNSCORED, scene_pictures
from ceco3d.reports.run_report_progress import banner, read_progress
from ceco3d.reports.run_report_tables import classes_section, confusion_section, scores_table, tiles
from ceco3d.reports.run_report_terms import collapse_terms, column_terms, score_terms
from ceco3d.runs.checked import read_counts
from ceco3d.runs.folder import Scores, read_calibration, read_config, read_environment, read_log, read_scores
from ceco3d.runs.metrics_csv import Row, curves
from ceco3d.utils.atomic import write_text
from ceco3d.utils.errors import UserError
from ceco3d.utils.page_policy import policy_tag
from ceco3d.utils.plain_text import LINES, html_text
from ceco3d.utils.untrusted import read_yaml

TITLES = {
    "scores": "Scores",
    "training": "Training",
    "pictures": "Best and worst validation scenes",
    "classes": "Classes",
    "confusion": "Confusion of the classes with the lowest IoU",
    "calibration": "Calibration of the confidence",
    "collapse": "Neural collapse",
    "command": "Command and environment",
}
LOWER = "<p>Measured on the class centers of the validation split. Lower is better; 0 is a perfect simplex.</p>"
UNEXPLAINED = ("step", "epoch", "seconds")  # columns that need no words
ABSENT = "the files that it is made of are not in the folder any more"


@dataclass
class Page:
    """What a report is made of.

    folder   where it is written and where the results are
    title    heading
    space    classes; None if unknown
    config   ``config.yaml`` of a run; {} for an evaluation
    facts    how the scores were measured, by what it is called
    notice   HTML above everything, for unfinished runs
    ended    why the run ended early
    pictures HTML, and the reason why there are none
    """

    folder: Path
    title: str
    space: LabelSpace | None
    config: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    notice: str = ""
    ended: str = ""
    pictures: tuple[str, str] = ("", "")


def write_run_report(run: Path, device: torch.device | None, ended: str = "") -> Path:
    """Write ``report.html`` of the run in the folder ``run``, finished or not, and return its path.

    A section that can no longer be made is kept from the page that is there, with a note.

    device  predicts the best and the worst validation scene; None: no new pictures
    ended   why the run is ending early
    Raises UserError if the folder holds no run, or a file of the run is damaged.
    """
    if not any((run / name).is_file() for name in ("config.yaml", "metrics.csv", "metrics.json")):
        raise UserError(f"{run}: no run in it (no config.yaml, metrics.csv or metrics.json); pass the folder of a run")
    rows, config, space, title = read_log(run), {}, None, run.absolute().name
    if (run / "config.yaml").is_file():
        identity = read_config(run)
        config, space = read_yaml(run / "config.yaml"), identity.space
        title = f"{identity.name} on {identity.data}" + (f", training seed {identity.seed}" if identity.seed else "")
    earlier = kept.read_page(run / "report.html")
    progress = read_progress(run, config, rows, ended or _known_end(earlier, rows))
    pictures = ("", "its config.yaml is missing")
    if space is not None:
        folder = read_environment(run).get("folder", "")
        pictures = scene_pictures(run, config, folder, space, device)
    page = Page(run, title, space, config, how_scored(run, config), banner(progress, run), progress.ended, pictures)
    return write_page(page, rows, earlier)


def write_evaluation_report(folder: Path, space: LabelSpace, title: str) -> Path:
    """Write ``report.html`` of the evaluation in ``folder`` and return its path. UserError if a file is damaged."""
    return write_page(Page(folder, title, space, facts=how_scored(folder, {})), [], kept.EarlierPage())


def write_page(page: Page, rows: list[Row], earlier: kept.EarlierPage) -> Path:
    """Write ``report.html`` of ``page``, with a section for each result in its folder, and return its path.

    rows     of ``metrics.csv``
    earlier  the page that is replaced
    Raises UserError if a file is damaged.
    """
    contents = _contents(page, rows)
    same = earlier.meta.get("run") == kept.identity(page.config, page.title)
    reasons = {"pictures": page.pictures[1]}
    for name, content in earlier.sections.items():
        if same and name in TITLES and name != "command" and kept.worth(content) and not contents[name]:
            contents[name] = kept.keep(content, earlier.meta.get("written", ""), reasons.get(name) or ABSENT)
    if not contents["pictures"] and page.pictures[1]:
        contents["pictures"] = f"{kept.NOTHING}No pictures: {html_text(page.pictures[1])}.</p>"
    shown = {name: content for name, content in contents.items() if content}
    body = "".join(
        f'<section id="{name}"><h2>{_heading(name, content)}</h2>{content}</section>\n'
        for name, content in shown.items()
    )
    path = page.folder / "report.html"
    write_text(path, _document(page, rows, body, shown))
    return path


def _heading(name: str, content: str) -> str:
    """Return the title of a section; scenes of a run without scores are neither the best nor the worst."""
    return "Validation scenes" if f"<figcaption>{UNSCORED}:" in content else TITLES[name]


def _document(page: Page, rows: list[Row], body: str, shown: Mapping[str, str]) -> str:
    now = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"
    end = json.dumps({"step": _last_step(rows), "why": page.ended}) if page.ended else ""
    meta = kept.meta_tags({"run": kept.identity(page.config, page.title), "written": now, "ended": end})
    links = "".join(
        f'<a href="#{name}">{_heading(name, content).split(" of ")[0]}</a>' for name, content in shown.items()
    )
    script = asset("run_report.js")
    facts = " · ".join([*model_facts(page.config, page.facts), f"report of {now}"])
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">{policy_tag([script])}
<meta name="viewport" content="width=device-width, initial-scale=1">
{meta}<title>{html_text(page.title)}</title>
<style>{asset("page.css")}{asset("run_report.css")}</style></head><body>
<h1>{html_text(page.title)}</h1><p>{html_text(facts)}</p>
{page.notice}<nav aria-label="sections">{links}</nav>
{body}<script>{script}</script></body></html>
"""


def _contents(page: Page, rows: list[Row]) -> dict[str, str]:
    """Return the content of every section by its id, "" where the data are missing."""
    folder, space, found = page.folder, page.space, curves(rows)
    tables = evaluations(folder, bool(page.config or rows))
    per_class = read_scores(folder / "metrics.json", folder, ("per_class",))["per_class"] if tables else {}
    counts = train = None
    if space is not None:
        counts = read_counts(folder / "confusion.npz", folder, "counts", (len(space), len(space) + 1))
        train = read_counts(folder / "collapse.npz", folder, "train_counts", (len(space),))
    iou = np.array([per_class.get(name) for name in space.names] if space is not None else [], np.float64)
    charts, collapse = training_charts(found), collapse_charts(found)
    columns = [name for name in found if not name.startswith("val_") and name not in UNEXPLAINED]
    scored = space is not None and bool(tables)
    return {
        "scores": _scores(tables, page, rows) if tables else "",
        "training": log_notes(rows) + charts + column_terms(columns, page.config) if charts else "",
        "pictures": page.pictures[0],
        "classes": classes_section(iou, space, counts, train) if scored and space is not None else "",
        "confusion": confusion_section(counts, iou, space)
        if scored and space is not None and counts is not None
        else "",
        "calibration": calibration_section(read_calibration(folder)) if tables else "",
        "collapse": LOWER + collapse + collapse_terms() if collapse else "",
        "command": _command(folder, page.config),
    }


def _scores(tables: Mapping[str, Scores], page: Page, rows: list[Row]) -> str:
    first = next(iter(tables.values()))
    shown = ("miou", *(group for group in GROUPS if page.space is None or page.space.groups))
    values = {
        "mIoU" if key == "miou" else key: (f"{percent(first[key]['present'])} %", "classes present") for key in shown
    }
    found = curves(rows)
    if "val_accuracy" in found:
        values["accuracy"] = (f"{100 * found['val_accuracy'][-1, 1]:.1f} %", "of the labeled points")
    if "seconds" in found:
        values["time"] = (duration(float(found["seconds"][:, 1].max())), "training and validation")
    best = found.get("val_miou")
    if best is not None:
        step, miou = best[int(best[:, 1].argmax())]
        values["best mIoU in training"] = (f"{100 * miou:.1f} %", f"at step {int(step):,}")
    how = "; ".join(f"{name} {text.split(':')[0]}" for name, text in page.facts.items())
    return (
        f"<p>{html_text(how)}</p>"
        + tiles(values)
        + scores_table(tables, page.space)
        + score_terms(page.space, page.facts)
    )


def _command(folder: Path, config: Mapping[str, Any]) -> str:
    content = read_environment(folder)
    command = content.pop("command", "")
    parts = [f"<pre>{html_text(command)}</pre>"] if command else []
    parts += [f"<p>{html_text(' · '.join(f'{key} {value}' for key, value in content.items()))}</p>"] if content else []
    if config:
        text = (folder / "config.yaml").read_text(encoding="utf-8", errors="replace")
        parts.append(f"<details><summary>config.yaml: every key</summary><pre>{html_text(text, LINES)}</pre></details>")
    return "".join(parts)


def _known_end(earlier: kept.EarlierPage, rows: list[Row]) -> str:
    """Return why the run ended, if the page that is replaced says so and no row was logged since."""
    try:
        end = json.loads(earlier.meta.get("ended", "") or "{}")
        return str(end["why"]) if end and end["step"] == _last_step(rows) else ""
    except (ValueError, KeyError, TypeError):
        return ""


def _last_step(rows: list[Row]) -> int:
    return max((int(row["step"]) for row in rows), default=0)
