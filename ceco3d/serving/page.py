"""The page for the browser: one answer, nothing loaded from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template

from ceco3d.data.pointclouds.files import READERS
from ceco3d.serving.jobs import Limits
from ceco3d.utils.page_policy import policy
from ceco3d.utils.plain_text import html_text

HERE = Path(__file__).parent
STYLE = HERE.parent / "reports" / "page.css"  # by its path: the package of the reports imports torch


def start_page(limits: Limits, weights: str) -> tuple[str, str]:
    """The page, and the Content-Security-Policy that its answer must have.

    weights  what the network is, in one line
    """
    script = _own("start.js")
    page = Template(_own("start.html")).substitute(
        style=STYLE.read_text(encoding="utf-8") + _own("start.css"),
        weights=html_text(weights),
        formats=html_text(",".join(READERS)),
        shown_formats=html_text(" ".join(READERS)),
        limits=json.dumps({"bytes": limits.max_bytes}),
        script=script,
    )
    return page, policy([script], "connect-src 'self'", "frame-src 'self'", "frame-ancestors 'none'")


def _own(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
