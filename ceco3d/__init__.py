"""ceco3d: 3D semantic segmentation of ScanNet200 with sparse convolutions and the CeCo point-center loss."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ceco3d.api.model import Model, load
    from ceco3d.api.result import Result
    from ceco3d.evaluate import call as evaluate
    from ceco3d.train import call as train
    from ceco3d.utils.errors import UserError

__version__ = "0.1.0"

# Read when OpenMP and torch are loaded; the user's own settings take precedence. Figures: docs/performance.md
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")  # threads that wait soon leave their core to others
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # large pages for large tensors

# On first use, because they import torch. The last two are commands that can be called, see docs/api.md
__all__ = ["Model", "Result", "UserError", "evaluate", "load", "train"]
_HOMES = {"load": "api", "Model": "api", "Result": "api", "UserError": "utils.errors", "train": "", "evaluate": ""}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ceco3d' has no attribute {name!r}")
    home = _HOMES[name]
    return getattr(import_module(f"ceco3d.{home}"), name) if home else import_module(f"ceco3d.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
