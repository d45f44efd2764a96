"""Lay out the leaderboard as one self-contained HTML file that sorts by any column."""

from __future__ import annotations

from ceco3d.reports.leaderboard import PUBLISHED_NOTE, Leaderboard, Row
from ceco3d.reports.page_style import asset
from ceco3d.utils.page_policy import policy_tag
from ceco3d.utils.plain_text import html_text

STYLE = """
.overview { background: color-mix(in srgb, var(--head) 60%, transparent); font-weight: 600; }
sup { color: var(--muted); font-size: 10px; margin-left: 3px; font-weight: 400; }
.first { color: var(--best); font-weight: 700; }
.note th { max-width: none; }
.note span { position: sticky; left: 10px; display: inline-block; max-width: calc(100vw - 60px); }
"""

# Sort within each group of rows only: runs and published results are on different data.
SCRIPT = """
document.querySelectorAll("thead th").forEach((head, column) => head.addEventListener("click", () => {
  const descending = column > 0 ? head.ariaSort !== "descending" : head.ariaSort === "ascending";
  document.querySelectorAll("thead th").forEach(other => { other.ariaSort = "none"; });
  head.ariaSort = descending ? "descending" : "ascending";
  document.querySelectorAll("tbody.rows").forEach(body => {
    const key = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const text = column === 0 || head === head.parentElement.lastElementChild;
    const compare = (a, b) => text ? key(a).localeCompare(key(b)) : Number(key(a)) - Number(key(b));
    const sorted = [...body.rows].sort((a, b) => descending ? compare(b, a) : compare(a, b));
    body.append(...sorted);
  });
}));
"""


def leaderboard_html(board: Leaderboard) -> str:
    """Return the page: one column per average and class, with the rank as a superscript."""
    headings = (*board.headings.values(), *(f"{name} %" for name in board.classes), "evaluation")
    heads = "".join(f'<th scope="col"><button>{html_text(name)}</button></th>' for name in ("name", *headings))
    groups = [f'<tbody class="rows">{"".join(_line(row, board) for row in board.rows)}</tbody>']
    if board.published:
        note = f'<tr><th colspan="{1 + len(headings)}"><span>{html_text(PUBLISHED_NOTE)}</span></th></tr>'
        note = f'<tbody class="note">{note}</tbody>'
        groups += [note, f'<tbody class="rows">{"".join(_line(row, board) for row in board.published)}</tbody>']
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">{policy_tag([SCRIPT])}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html_text(board.title)}</title><style>{asset("page.css")}{STYLE}</style></head><body>
<h1>{html_text(board.title)}</h1>
<p>IoU in percent, with the rank among the rows on the same data. Click a column to sort by it.
{html_text(board.note)}</p>
<div class="scroll"><table><thead><tr>{heads}</tr></thead>{"".join(groups)}</table></div>
<script>{SCRIPT}</script></body></html>
"""


def _line(row: Row, board: Leaderboard) -> str:
    cells = "".join(_cell(row, column, column in board.headings) for column in board.columns)
    return f'<tr><th scope="row">{html_text(row.name)}</th>{cells}<td>{html_text(row.how)}</td></tr>'


def _cell(row: Row, column: str, mean: bool) -> str:
    overview = " overview" if mean else ""
    if column not in row.values:
        return f'<td class="{overview.strip()}" data-value="-1">-</td>'
    value, rank = row.values[column], row.ranks[column]
    first = " first" if rank == 1 and value > 0 else ""
    return f'<td class="{(overview + first).strip()}" data-value="{value:.4f}">{value:.1f}<sup>{rank}</sup></td>'
