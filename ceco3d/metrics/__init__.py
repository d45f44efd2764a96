"""Segmentation scores, calibration and measures of neural collapse."""

from ceco3d.metrics.calibration import Calibration, fit_temperature
from ceco3d.metrics.confusion import Confusion
from ceco3d.metrics.neural_collapse import ClassMoments, neural_collapse
from ceco3d.metrics.scores import segmentation_scores

__all__ = ["Calibration", "ClassMoments", "Confusion", "fit_temperature", "neural_collapse", "segmentation_scores"]
