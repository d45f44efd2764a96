"""The page and the picture of a scan that a network has labeled."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from ceco3d.inference.labeled_scan import PAGE, LabeledScan
from ceco3d.utils.atomic import write_bytes, write_text
from ceco3d.visualization.page import viewer_page
from ceco3d.visualization.segmented import Panel, SegmentedScene

PICTURE_POINTS = 200_000  # of more, so many at random: more take seconds and look the same

logger = logging.getLogger(__name__)


def segmented(labeled: LabeledScan, name: str) -> SegmentedScene:
    """The labeled points as pictures and the viewer show them: meters, z up."""
    scene = labeled.scene
    return SegmentedScene(
        name=name,
        coord=scene.coord.numpy(),
        color=None if labeled.scan.color is None else scene.color.byte().numpy(),
        normal=scene.normal.numpy() if scene.normal.any() else None,
        space=labeled.space,
        predictions=[Panel("Prediction", labeled.labels.astype(np.int64), labeled.confidence)],
    )


def write_page(labeled: LabeledScan, target: Path) -> None:
    """Write ``target`` with ``.html``, the viewer, and ``.png``, a picture; without matplotlib only the page.

    Of a large scan the page shows 500,000 points, the picture PICTURE_POINTS; one line says so.
    """
    scene = segmented(labeled, target.name)
    page, image = (target.with_name(target.name + suffix) for suffix in PAGE)
    write_text(page, viewer_page(scene))
    try:
        from ceco3d.visualization.picture import scene_picture
    except ModuleNotFoundError as error:
        logger.info(f"{page}; no picture beside it, which needs {error.name}: pip install 'ceco3d[plot]'")
        return
    except OSError:  # matplotlib finds no folder for its cache
        logger.info(f"{page}; no picture beside it, which needs a writable folder for temporary files: set TMPDIR")
        return
    write_bytes(image, scene_picture(thinned(scene)))
    logger.info(f"{page} shows the labels in a browser, {image.name} is a picture")


def thinned(scene: SegmentedScene) -> SegmentedScene:
    """At most PICTURE_POINTS points of the scene, chosen at random, always the same ones."""
    if len(scene) <= PICTURE_POINTS:
        return scene
    return scene.select(np.sort(np.random.default_rng(0).choice(len(scene), PICTURE_POINTS, replace=False)))
