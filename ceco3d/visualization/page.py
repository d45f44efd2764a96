"""Write the viewer: one self-contained HTML file with the points, the page and three.js."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from string import Template

import numpy as np

from ceco3d.utils.errors import UserError
from ceco3d.utils.page_policy import policy_tag
from ceco3d.utils.plain_text import html_text
from ceco3d.visualization.render import CUT, point_radius, without_ceiling
from ceco3d.visualization.segmented import SegmentedScene

HERE = Path(__file__).parent
SCRIPTS = (
    *("points.js", "shaders.js", "view.js", "camera.js", "overlay.js", "pick.js"),
    *("clip.js", "legend.js", "link.js", "screenshot.js", "page.js"),
)
MAX_PANELS = 4


def viewer_page(scene: SegmentedScene, max_points: int = 500_000, seed: int = 0) -> str:
    """Return the page, with one panel each for the original, the ground truth and every prediction.

    Larger scenes are reduced to ``max_points`` random points (``seed``); class counts still cover all points. Raises
    UserError for more than MAX_PANELS panels.
    """
    if 1 + len(scene.panels) > MAX_PANELS:
        panels = f"{1 + len(scene.panels)} panels, but the viewer shows {MAX_PANELS}"
        raise UserError(f"{scene.name}: {panels}; pass fewer runs")
    index = np.arange(len(scene))
    if len(scene) > max_points:
        index = np.sort(np.random.default_rng(seed).choice(len(scene), max_points, replace=False))
    arrays, meta = _arrays(scene, index), _meta(scene, index)
    packed = gzip.compress(b"".join(array.tobytes() for array in arrays), 6, mtime=0)
    theme, three, script = _asset("theme.js"), _asset("three.min.js"), "\n".join(map(_asset, SCRIPTS))
    return Template(_asset("page.html")).substitute(
        title=html_text(scene.title),
        style=_asset("page.css"),
        policy=policy_tag([theme, three, script]),
        theme=theme,
        meta=json.dumps(meta).replace("<", "\\u003c"),
        points=base64.b64encode(packed).decode(),
        three=three,
        script=script,
    )


def _asset(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _label_type(classes: int) -> np.dtype:
    """Return the smallest type for labels of this many classes; its largest value means "no label"."""
    return np.dtype(np.uint8 if classes <= np.iinfo(np.uint8).max else "<u2")


def _arrays(scene: SegmentedScene, index: np.ndarray) -> list[np.ndarray]:
    """Return the arrays of M points in the order in which points.js reads them.

    (M, 3) uint16 position in the bounding box, (M, 3) uint8 color, (M, 3) int8 normal if the scene has normals, (M,)
    label for every panel (``_label_type``), (M,) uint8 confidence for every panel that has it.
    """
    coord = scene.coord[index].astype(float)
    low, extent = _box(coord)
    arrays = [np.round((coord - low) / extent * 65535).astype("<u2"), scene.original[index]]
    if scene.normal is not None:
        arrays.append(np.round(scene.normal[index] * 127).astype(np.int8))
    kind = _label_type(len(scene.space))
    none = np.iinfo(kind).max
    arrays += [np.where(panel.labels[index] < 0, none, panel.labels[index]).astype(kind) for panel in scene.panels]
    known = [panel.confidence[index] for panel in scene.panels if panel.confidence is not None]
    return arrays + [np.round(confidence.clip(0, 1) * 255).astype(np.uint8) for confidence in known]


def _meta(scene: SegmentedScene, index: np.ndarray) -> dict[str, object]:
    """Return everything else: names, colors and counts of the classes that occur, the bounding box, sizes."""
    coord = scene.coord[index].astype(float)
    low, extent = _box(coord)
    group = {k: name for name, members in scene.space.groups.items() for k in members}
    rows = [*map(int, scene.classes), *([-1] if scene.counts[:, -1].any() else [])]
    has_ceiling = not without_ceiling(coord).all()
    none = int(np.iinfo(_label_type(len(scene.space))).max)
    return {
        "name": scene.title,
        "points": len(index),
        "total": len(scene),
        "none": none,
        "colored": scene.color is not None,
        "normals": scene.normal is not None,
        "truth": scene.truth is not None,
        "panels": [{"title": p.title, "confidence": p.confidence is not None} for p in scene.panels],
        "classes": [
            {
                "index": none if k < 0 else k,
                "name": "no label" if k < 0 else scene.space.names[k],
                "group": group.get(k, ""),
                "color": scene.palette[k].tolist(),
                "counts": scene.counts[:, k].tolist(),
            }
            for k in rows
        ],
        "low": low.tolist(),
        "extent": extent.tolist(),
        "radius": point_radius(coord),
        "cut": CUT if has_ceiling else 1.0,
    }


def _box(coord: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low = coord.min(0)
    return low, np.maximum(coord.max(0) - low, 1e-6)
