"""Pretraining: Contrastive Scene Contexts (``csc``, without labels) and LGround (``lground``, toward text).

``pretrain`` runs what conf/pretrain.yaml describes. ``method`` says what a method of your own has to provide.
"""

from ceco3d.pretraining.csc import ContrastiveSceneContexts
from ceco3d.pretraining.lground import LanguageGrounding
from ceco3d.pretraining.method import Method, Pretraining, PretrainSettings
from ceco3d.pretraining.run import pretrain

__all__ = [
    "ContrastiveSceneContexts",
    "LanguageGrounding",
    "Method",
    "PretrainSettings",
    "Pretraining",
    "pretrain",
]
