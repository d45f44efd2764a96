"""MinkowskiEngine itself, where it is installed."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

needs_minkowski = pytest.mark.skipif(
    importlib.util.find_spec("MinkowskiEngine") is None,
    reason="MinkowskiEngine is not installed: scripts/install_minkowski.sh",
)


# Any: MinkowskiEngine has no types.
def minkowski_engine() -> Any:
    """The package MinkowskiEngine 0.5.4."""
    from ceco3d.sparse.minkowski import ME

    return ME
