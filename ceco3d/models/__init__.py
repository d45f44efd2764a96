"""Networks on sparse tensors."""

from ceco3d.models.minkunet import MinkUNet, build_model
from ceco3d.models.trained import load_trained
from ceco3d.models.weights import load_weights

__all__ = ["MinkUNet", "build_model", "load_trained", "load_weights"]
