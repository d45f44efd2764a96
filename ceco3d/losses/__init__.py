"""Losses on point features and logits, one per file: first the pure function, then the module that calls it."""

from ceco3d.losses.alignment import alignment
from ceco3d.losses.center_collapse import CenterCollapseLoss, class_centers
from ceco3d.losses.etf import simplex_etf
from ceco3d.losses.info_nce import Partition, SceneContextLoss
from ceco3d.losses.joint import JointLoss
from ceco3d.losses.language import LanguageHead, LanguageLoss
from ceco3d.losses.lovasz import lovasz_softmax
from ceco3d.losses.point import PointLoss
from ceco3d.losses.segmentation import SegmentationLoss

__all__ = [
    "CenterCollapseLoss",
    "JointLoss",
    "LanguageHead",
    "LanguageLoss",
    "Partition",
    "PointLoss",
    "SceneContextLoss",
    "SegmentationLoss",
    "alignment",
    "class_centers",
    "lovasz_softmax",
    "simplex_etf",
]
