"""Segmentation scores and measures of neural collapse."""

from ceco3d.metrics.confusion import Confusion
from ceco3d.metrics.neural_collapse import ClassMoments, neural_collapse
from ceco3d.metrics.scores import segmentation_scores

__all__ = ["ClassMoments", "Confusion", "neural_collapse", "segmentation_scores"]
