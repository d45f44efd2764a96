"""What rooms look like and how they are scanned.

``plain`` for studies, ``coarse`` for studies with voxels of 10 cm: the same with a quarter of the vertices, and
``real`` for networks that label real scans.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ceco3d.synthetic.catalog.classes import CATALOG
from ceco3d.synthetic.catalog.object_class import ObjectClass
from ceco3d.synthetic.catalog.real import REAL_CATALOG
from ceco3d.utils.errors import UserError

Range = tuple[float, float]
EDGE = 0.0185  # meters between the vertices of a scan; edges of ScanNet's meshes have a median of 2.1 cm


@dataclass(frozen=True)
class Look:
    """How one scan is made. The defaults are those of every plain scan; lengths in meters.

    spacing    between vertices
    cameras    positions of the camera
    view       the camera stays on one spot and sees a cone of this half angle, radians; None: it turns around
    cut        height where the scan ends; None: where the vertices run out
    part       share of the floor plan that is scanned, from one side
    noise      factor on the depth noise
    texture    standard deviation of the colors of a surface, of 255
    gamma      exponent of the colors
    gain       factor on the colors, per channel
    contrast   factor on what light and shadow do
    tilt       of the vertical, radians about x and y
    """

    spacing: float = EDGE
    cameras: int = 6
    view: float | None = None
    cut: float | None = None
    part: float = 1.0
    noise: float = 1.0
    texture: float = 5.0
    gamma: float = 1.0
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    tilt: tuple[float, float] = (0.0, 0.0)

    @property
    def density(self) -> float:
        """Vertices per square meter, over those of a plain scan."""
        return (EDGE / self.spacing) ** 2


PLAIN_LOOK = Look()


@dataclass(frozen=True)
class Style:
    """A kind of rooms.

    catalog        every class of object
    height         of the walls, meters
    ceiling        chance of a ceiling, and the share of the room's width and depth that is scanned of it
    paint, ground  palettes of walls and floor
    area           factor on the surface of a scan of so many vertices, on average
    varied         whether every scan has another Look
    """

    catalog: Mapping[str, ObjectClass]
    height: Range
    ceiling: float
    ceiling_share: Range
    paint: str
    ground: str
    area: float
    varied: bool

    def look(self, rng: np.random.Generator) -> Look:
        """The Look of one more scan."""
        return draw_look(rng) if self.varied else replace(PLAIN_LOOK, spacing=EDGE * self.area**0.5)


PLAIN = Style(CATALOG, (2.3, 2.7), 0.55, (0.35, 0.7), "wallpaint", "ground", 1.0, varied=False)
COARSE = replace(PLAIN, area=4.0)
REAL = Style(
    REAL_CATALOG,
    (2.2, 3.2),
    0.5,
    (0.3, 1.0),
    "wallpaint wallpaint wallpaint ceiling white white beige gray gray blue fabric green",
    "ground ground wood lightwood gray gray beige brown dark fabric",
    1.6,
    varied=True,
)
STYLES = {"plain": PLAIN, "coarse": COARSE, "real": REAL}


def style_named(name: str) -> Style:
    """The style of this name; UserError if there is none."""
    if name not in STYLES:
        raise UserError(f"dataset.style={name}: choose one of {', '.join(STYLES)}")
    return STYLES[name]


def draw_look(rng: np.random.Generator) -> Look:
    """A Look that real scans have.

    The ranges cover ScanNet's public sample scene, single frames of depth cameras and scans that end below the ceiling.
    """
    look = Look(
        spacing=EDGE * rng.uniform(1.0, 1.9),
        cameras=int(rng.integers(2, 8)),
        cut=rng.uniform(0.9, 2.2) if rng.random() < 0.45 else None,
        part=rng.uniform(0.35, 0.9) if rng.random() < 0.5 else 1.0,
        noise=float(np.exp(rng.uniform(np.log(0.6), np.log(3.5)))),
        texture=rng.uniform(3.0, 22.0),
        gamma=float(np.exp(rng.normal(0, 0.25))),
        gain=tuple(rng.uniform(0.8, 1.3) * (1 + rng.normal(0, 0.05, 3))),
        contrast=rng.uniform(0.3, 1.3),
        tilt=tuple(np.deg2rad(rng.normal(0, 1.5, 2))),
    )
    if rng.random() < 0.15:
        return replace(look, cameras=1, view=np.deg2rad(rng.uniform(28, 45)), cut=None, part=1.0)
    return look
