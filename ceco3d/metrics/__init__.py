"""Scores."""

from ceco3d.metrics.confusion import Confusion
from ceco3d.metrics.scores import segmentation_scores

__all__ = ["Confusion", "segmentation_scores"]
