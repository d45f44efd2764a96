"""Segmentation networks on sparse tensors."""

from ceco3d.models.build import build_model, build_network
from ceco3d.models.fold import fold_batch_norms
from ceco3d.models.minkunet import VARIANTS, MinkUNet, Variant, count_parameters
from ceco3d.models.network import Network
from ceco3d.models.trained import load_trained
from ceco3d.models.weights import load_weights

__all__ = [
    "VARIANTS",
    "MinkUNet",
    "Network",
    "Variant",
    "build_model",
    "build_network",
    "count_parameters",
    "fold_batch_norms",
    "load_trained",
    "load_weights",
]
