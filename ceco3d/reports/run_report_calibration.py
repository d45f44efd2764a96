"""The reliability diagram of a report: how often the network is right, by how sure it is."""

from __future__ import annotations

from collections.abc import Sequence

from ceco3d.metrics.tables import percent
from ceco3d.runs.folder import Bin

TEXT = (
    "Points are put in bins by the confidence of their label. A bar is the share of a bin's points that are right; on "
    "the line, confidence and accuracy agree: bars below it mean that the network is too sure. Pale bars hold less "
    "than 1 % of the points. The calibration error is the mean distance from the line over all points."
)


def calibration_section(bins: Sequence[Bin]) -> str:
    """The diagram of ``bins`` as inline SVG, with its numbers as a table; "" without any point."""
    points = sum(item.points for item in bins)
    if not points:
        return ""
    error = sum(item.points * abs(item.confidence - item.accuracy) for item in bins) / points
    width = 100 / len(bins)
    bars = "".join(
        f'<rect class="{"few" if item.points < points / 100 else "many"}" x="{k * width + 0.4:.2f}" '
        f'y="{100 - 100 * item.accuracy:.2f}" width="{width - 0.8:.2f}" height="{100 * item.accuracy:.2f}"/>'
        for k, item in enumerate(bins)
        if item.points
    )
    rows = "".join(
        f"<tr><td>{percent(item.confidence)}</td><td>{percent(item.accuracy)}</td>"
        f"<td>{item.points / points:.1%}</td></tr>"
        for item in bins
        if item.points
    )
    return (
        f"<p>Calibration error {percent(error)} %. {TEXT}</p>"
        '<div class="reliability"><svg viewBox="0 0 100 100" role="img" aria-label="accuracy by confidence">'
        f'<path d="M0 0H100V100H0Z"/>{bars}<path d="M0 100L100 0"/></svg>'
        '<div class="scroll"><table><thead><tr><th>confidence %</th><th>accuracy %</th><th>points</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></div>"
    )
