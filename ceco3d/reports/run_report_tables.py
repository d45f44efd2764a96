"""Tables of a run's report: scores, classes, and what the network mistakes for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ceco3d.data.labels import GROUPS, LabelSpace
from ceco3d.metrics.published import published_note, published_results
from ceco3d.metrics.tables import CONVENTION_NOTES, percent, scores_rows
from ceco3d.runs.folder import Scores
from ceco3d.utils.plain_text import html_text

PUBLISHED = "Published results; the rows above are on other data."
WORST, COLUMNS = 10, 12  # rows and columns of the confusion matrix
MISTAKES = 12  # in the list of the most frequent ones
ENDS = 8  # best and worst classes
RARE = 500  # points; classes with fewer are in neither list


def tiles(values: Mapping[str, tuple[str, str]]) -> str:
    """Return the key numbers: (value, note) by name."""
    items = ""
    for name, (value, note) in values.items():
        below = f"<dd>{html_text(note)}</dd>" if note else ""
        items += f"<div><dt>{html_text(name)}</dt><dd>{html_text(value)}</dd>{below}</div>"
    return f'<dl class="tiles">{items}</dl>' if items else ""


def scores_table(tables: Mapping[str, Scores], space: LabelSpace | None) -> str:
    """Return the means of each evaluation in ``tables`` (by name) under every convention, then published results."""
    head = "".join(f'<th scope="col">{name}</th>' for name in ("IoU in percent, mesh vertices", "mIoU", *GROUPS))
    body = ""
    for title, scores in tables.items():
        part = f'<tr class="part"><th colspan="5">{html_text(title)}</th></tr>' if len(tables) > 1 else ""
        rows = [(f"{name}<small>{CONVENTION_NOTES[name]}</small>", *values) for name, *values in scores_rows(scores)]
        body += f"<tbody>{part}{_rows(rows)}</tbody>"
    published = () if space is None else published_results(space)
    if space is not None and space.grouping:
        body += f'<tbody class="note"><tr><th colspan="5">{html_text(space.grouping)}</th></tr></tbody>'
    if published:
        rows = [
            (html_text(r.method), *(f"{value:.1f}" for value in (r.miou, r.head, r.common, r.tail))) for r in published
        ]
        note = f'<tr><th colspan="5">{html_text(f"{PUBLISHED} {published_note(published)}")}</th></tr>'
        body += f'<tbody class="note">{note}</tbody><tbody>{_rows(rows)}</tbody>'
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>{body}</table></div>'


def _rows(rows: Sequence[Sequence[str]]) -> str:
    """Return table rows of HTML cells, the first of each a heading."""
    cells = ("".join(f"<td>{value}</td>" for value in values) for _, *values in rows)
    return "".join(f'<tr><th scope="row">{name}</th>{line}</tr>' for (name, *_), line in zip(rows, cells, strict=True))


def confusion_section(counts: np.ndarray, iou: np.ndarray, space: LabelSpace) -> str:
    """Return the most frequent mistakes, and what the classes with the lowest IoU are taken for.

    counts  (K, K + 1) points by ground truth and prediction; the last column is "no prediction"
    iou     (K,); among equal values, the class with more points comes first
    """
    if not counts.any():
        return ""
    points = counts.sum(1)
    order = np.lexsort((-points, np.nan_to_num(iou)))
    rows = order[points[order] > 0][:WORST]
    shares = 100 * counts[rows] / points[rows, None]
    columns = np.argsort(-shares.sum(0), kind="stable")[:COLUMNS]
    columns = columns[shares[:, columns].sum(0) > 0]
    labels = [html_text(name) for name in (*space.names, "no prediction")]
    head = "".join(f'<th scope="col">{labels[k]}</th>' for k in columns)
    body = "".join(
        f'<tr><th scope="row">{labels[row]} ({100 * np.nan_to_num(iou[row]):.0f})</th>'
        + "".join(_share(share, row == column) for share, column in zip(line[columns], columns, strict=True))
        + "</tr>"
        for row, line in zip(rows, shares, strict=True)
    )
    return (
        f"<h3>Most frequent mistakes</h3><p>Ground truth → prediction, with the share of the class's points.</p>"
        f"{_mistakes(counts, labels)}<h3>Classes with the lowest IoU</h3>"
        "<p>Each row is a class (its IoU in percent); the cells are the percentages of its points by predicted class, "
        "outlined where right.</p>"
        f'<div class="scroll"><table class="matrix"><thead><tr><th>ground truth</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _share(share: float, right: bool) -> str:
    text = f"{share:.0f}" if share >= 0.5 else ""
    return f'<td{" class=self" if right else ""} style="--v:{share:.0f}">{text}</td>'


def _mistakes(counts: np.ndarray, labels: Sequence[str]) -> str:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    points = counts.sum(1)
    items = []
    for place in np.argsort(-wrong, axis=None, kind="stable")[:MISTAKES]:
        row, column = divmod(int(place), wrong.shape[1])
        number = int(wrong[row, column])
        if number:
            share = 100 * number / points[row]
            name = f"{labels[row]} → {labels[column]} <small>{number:,} points</small>"
            items.append(_bar(name, share, "", f"{share:.0f} %"))
    return f'<ul class="bars two">{"".join(items)}</ul>'


def _bar(name: str, width: float, group: str, value: str) -> str:
    return (
        f'<li><span>{name}</span><span class="bar"><i class="{group}" style="width:{width:.1f}%"></i></span>'
        f'<span class="number">{value}</span></li>'
    )


def classes_section(iou: np.ndarray, space: LabelSpace, counts: np.ndarray | None, train: np.ndarray | None) -> str:
    """Return the best and the worst classes, and a table of all, sorted by training or else ground-truth points.

    iou            (K,), NaN where undefined
    counts, train  (K, K + 1) confusion and (K,) training points, where they are known
    """
    truth = None if counts is None else counts.sum(1)
    points = train if train is not None else np.zeros(len(space), int) if truth is None else truth
    group_of = {k: group for group, members in space.groups.items() for k in members}
    columns = {"training points": train, "ground-truth points": truth}
    known = {name: values for name, values in columns.items() if values is not None}
    heads = ["class", "group", *known, "IoU in percent"]
    head = "".join(
        f'<th scope="col"{_spare(k, heads)}><button type="button">{name}</button></th>' for k, name in enumerate(heads)
    )
    rows = []
    for k in np.argsort(-points, kind="stable"):
        group = group_of.get(int(k), "-")
        numbers = "".join(
            f'<td{_spare(2 + n, heads)} data-value="{int(values[k])}">{int(values[k]):,}</td>'
            for n, values in enumerate(known.values())
        )
        name = html_text(space.names[k])
        rows.append(f'<tr><th scope="row">{name}</th><td>{_tag(group)}</td>{numbers}{_iou(iou[k], group)}</tr>')
    tools = "".join(
        f'<label><input type="checkbox" value="{group}" checked><span class="tag {group}">{group}</span></label>'
        for group in space.groups
    )
    return (
        f"{_ends(iou, space, truth, group_of)}<h3>All classes</h3>"
        '<p>"-" has neither ground truth nor predictions. <span class="hint">Click a column to sort by it.</span></p>'
        '<div class="tools"><input type="search" placeholder="find a class" aria-label="find a class">'
        f'{tools}<output></output></div><div class="scroll tall"><table class="classes"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _spare(column: int, heads: Sequence[str]) -> str:
    """Mark the column that a phone has no room for: all numbers of points but the first."""
    return ' class="spare"' if 2 < column < len(heads) - 1 else ""


def _tag(group: str) -> str:
    return group if group == "-" else f'<span class="tag {group}">{group}</span>'


def _iou(iou: float, group: str) -> str:
    known = not np.isnan(iou)
    width = 100 * iou if known else 0.0
    bar = f'<span class="bar"><i class="{group}" style="width:{width:.1f}%"></i></span>'
    return f'<td class="fill" data-value="{iou if known else -1:.4f}">{percent(float(iou)) if known else "-"}{bar}</td>'


def _ends(iou: np.ndarray, space: LabelSpace, truth: np.ndarray | None, group_of: Mapping[int, str]) -> str:
    """Return the classes with the highest and the lowest IoU among those that have ground truth enough to tell."""
    known = np.flatnonzero(~np.isnan(iou) & (True if truth is None else truth >= RARE))
    points = np.zeros(len(iou), int) if truth is None else truth
    best = known[np.lexsort((-points[known], -iou[known]))]
    best = best[iou[best] > 0][:ENDS]
    worst = np.setdiff1d(known, best)
    worst = worst[np.lexsort((-points[worst], iou[worst]))][:ENDS]
    none = int((iou[known] == 0).sum())
    notes = {"Best classes": best, "Worst classes": worst}
    parts = [
        f'<div><h3>{title}</h3><ul class="bars">{"".join(_end(k, iou, space, group_of) for k in chosen)}</ul></div>'
        for title, chosen in notes.items()
        if len(chosen)
    ]
    among = "with ground truth or predictions" if truth is None else f"with at least {RARE} ground-truth points"
    text = f"Of the {len(known)} classes {among}, {none} have an IoU of 0."
    return f'<p>{text}</p><div class="two">{"".join(parts)}</div>' if len(known) else ""


def _end(k: int, iou: np.ndarray, space: LabelSpace, group_of: Mapping[int, str]) -> str:
    group = group_of.get(int(k), "")
    name = f"{html_text(space.names[k])} {_tag(group) if group else ''}"
    return _bar(name, 100 * float(iou[k]), group, percent(float(iou[k])))
