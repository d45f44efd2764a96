#!/usr/bin/env python3
"""Gather what scripts/demo.sh made in one page: ``python scripts/demo_page.py outputs/demo`` writes its index.html."""

from __future__ import annotations

import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ceco3d.cli.endings import fail
from ceco3d.metrics.published import SCANNET200_TEST, published_note
from ceco3d.reports.page_style import asset
from ceco3d.utils.atomic import write_text
from ceco3d.utils.errors import UserError
from ceco3d.utils.page_policy import policy_tag
from ceco3d.utils.plain_text import html_text
from ceco3d.utils.untrusted import read_json

BARS = 24  # classes with a bar
GROUPS = ("miou", "head", "common", "tail")
STYLE = """
main { max-width: 1080px; margin: 0 auto; }
h2 { font-size: 16px; margin: 26px 0 6px; }
img { max-width: 100%; height: auto; border: 1px solid var(--line); border-radius: 6px; background: #fff; }
.bars { display: grid; grid-template-columns: max-content 1fr max-content; gap: 3px 10px; align-items: center; }
.bars i { display: block; height: 6px; border-radius: 3px; margin: 1px 0; }
.before { background: var(--c5); } .after { background: var(--c0); }
pre { background: var(--head); padding: 10px 12px; border-radius: 6px; overflow-x: auto; }
@media (max-width: 600px) {
  .picture { overflow-x: auto; } .picture img { max-width: none; width: 760px; }
  th, td { padding: 6px 5px; font-size: 13px; } tbody th { white-space: normal; }
}
"""
NEXT = """python -m ceco3d.predict input=my_scan.ply out=labeled    # your own scan, with the weights that come along
python -m ceco3d.train experiment=finetune dataset=folder dataset.raw=my_scans dataset.classes=my_classes.csv
python -m ceco3d.train dataset=scannet200 dataset.raw=/path/to/scannet    # the real benchmark
python -m ceco3d.serve                                    # label scans in the browser"""


def page(run: Path) -> str:
    """The page of the demo in ``run``; UserError if a part of it is missing."""
    before, after = (read_json(_found(run / name / "metrics.json")) for name in ("before", "after"))
    rooms, scan = (next(iter(sorted((run / name).glob("*.png"))), None) for name in ("pictures", "scan"))
    title = "ceco3d: what the demo did"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">{policy_tag([])}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{asset("page.css")}{STYLE}</style></head><body><main>
<h1>{title}</h1>
<p>It generated furnished rooms in ScanNet's own layout, took the weights that come with ceco3d, trained them further
with cross-entropy and the CeCo center loss, scored the validation rooms, and wrote a benchmark submission.</p>
<h2>A validation room: original, ground truth, before and after training</h2>
{_picture(run, rooms, "Look around in it")}
<h2>Scores</h2>
{_scores(before, after)}
<h2>IoU of the {BARS} classes with the best IoU</h2>
<p><b>Gray</b> before, <b>blue</b> after training; percent.</p>
{_bars(before["per_class"], after["per_class"])}
<h2>A scan that nobody annotated</h2>
<p>One of the test rooms, labeled from its mesh file as your own scan would be.</p>
{_picture(run, scan, "Look around in it")}
<h2>The files</h2>
<p><a href="report.html">report.html</a>: curves, classes, confusion, neural collapse ·
<a href="export-test/submission.zip">submission.zip</a> for the benchmark server ·
<a href="scan/">scan</a>: labels as PLY, text and table</p>
<h2>What to try next</h2>
<pre>{chr(10).join(map(html_text, NEXT.splitlines()))}</pre>
</main></body></html>
"""


def _found(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path} is missing: run scripts/demo.sh again")
    return path


def _picture(run: Path, path: Path | None, link: str) -> str:
    if path is None:
        return "<p>No picture was drawn.</p>"
    source = f"data:image/png;base64,{b64encode(path.read_bytes()).decode()}"
    viewer = path.with_suffix(".html").relative_to(run)
    image = f'<div class="picture"><img alt="{html_text(path.stem)}" src="{source}"></div>'
    return f'{image}<p><a href="{html_text(str(viewer))}">{link}</a></p>'


def _scores(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The means of both, and the published ones on other data below."""
    rows = [(name, [scores[group]["present"] for group in GROUPS]) for name, scores in
            (("the weights that come with ceco3d", before), ("after training", after))]  # fmt: skip
    published = [
        (row.method, [row.miou / 100, row.head / 100, row.common / 100, row.tail / 100]) for row in SCANNET200_TEST
    ]
    heads = "".join(f"<th>{name}</th>" for name in ("", "mIoU %", "head %", "common %", "tail %"))
    note = f"Real scans, another task: {published_note(SCANNET200_TEST)}"
    return (
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{_rows(rows)}</tbody>'
        f'<tbody class="note"><tr><th colspan="5">{html_text(note)}</th></tr></tbody>'
        f"<tbody>{_rows(published)}</tbody></table></div>"
    )


def _rows(rows: list[tuple[str, list[float | None]]]) -> str:
    def cell(value: float | None) -> str:
        return f"<td>{'-' if value is None else f'{100 * value:.1f}'}</td>"

    return "".join(f"<tr><th>{html_text(name)}</th>{''.join(map(cell, values))}</tr>" for name, values in rows)


def _bars(before: dict[str, float | None], after: dict[str, float | None]) -> str:
    """One line with two bars for each class, the best first."""
    names = sorted((name for name in after if after[name] is not None), key=lambda name: -(after[name] or 0.0))[:BARS]
    lines = []
    for name in names:
        old, new = 100 * (before.get(name) or 0.0), 100 * (after[name] or 0.0)
        bars = "".join(
            f'<i class="{kind}" style="width:{value:.1f}%"></i>' for kind, value in (("before", old), ("after", new))
        )
        lines.append(f"<span>{html_text(name)}</span><span>{bars}</span><span>{old:.0f} → {new:.0f}</span>")
    return f'<div class="bars">{"".join(lines)}</div>'


def main(arguments: list[str]) -> None:
    """Write the page and print where it is; exit code 2 with one line if a part is missing."""
    try:
        if len(arguments) != 1:
            raise UserError("usage: python scripts/demo_page.py RUN_DIR")
        run = Path(arguments[0])
        write_text(run / "index.html", page(run))
    except UserError as error:
        fail(error)
    print(f"look at it: {run / 'index.html'}")


if __name__ == "__main__":
    main(sys.argv[1:])
