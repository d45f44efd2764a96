"""What every shape builder takes and returns.

The functions in ``furniture``, ``bodies``, ``panels`` and ``assembly`` take the details that tell classes apart (kind
of legs, number of drawers) and return a ``ShapeBuilder``. It builds one object from its size, colors and random draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ceco3d.synthetic.shapes.primitives import Color, Shape

METAL = np.array([150.0, 152, 155])
DARK = np.array([45.0, 45, 48])


@dataclass(frozen=True)
class Instance:
    """One object to build: width, depth and height in meters, main and accent color, source of random draws."""

    w: float
    d: float
    h: float
    main: Color
    accent: Color
    rng: np.random.Generator


ShapeBuilder = Callable[[Instance], Shape]


def one_of(*forms: ShapeBuilder) -> ShapeBuilder:
    """Builds one of the forms, each as often as the others."""
    return lambda o: forms[o.rng.integers(len(forms))](o)
