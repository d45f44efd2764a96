"""Color palettes of the catalog."""

from __future__ import annotations

import numpy as np

PALETTES = {
    "wood": "8b5e34 a9743f c89a63 6b4423 d6b283 4a3020 b98a55",
    "lightwood": "d6b283 dfc49b c8a878 e2cfa8",
    "white": "e8e8e4 f2f0ea dcdcd6 e4e0d4",
    "gray": "8c8f92 a6a8a8 6f7276 b9bbb9",
    "dark": "2c2c30 3a3a3d 232326 45454a",
    "metal": "9a9da1 b4b7ba 7f8388 c4c6c8",
    "beige": "cdbf9f dccfb4 b9a98a e0d6c0",
    "brown": "6b4a33 80583c 54392a 96714f",
    "blue": "3a5a8c 2f4570 5b83b5 7fa3c9 26384f",
    "red": "a23434 8c2626 b84a3c 7a2430",
    "green": "3f7a3a 2f6131 5c8f45 6ea05a 47704a",
    "yellow": "d9b43a e2c657 c99d2e",
    "pink": "d998a8 c97f95 e0b4bd",
    "fabric": "7b7f88 5f6a7d 8d7a66 a39887 6b5a58 4d5966 9a8f7a 7c4a42",
    "bright": "c0392b 2e6fb0 e0a92e 3f8f4f 8e44ad d2691e 2aa198 d05090",
    "cloth": "30384f 7a2f35 8f8f93 d8d5cf 4d6b50 274b73 b08d57 222226 a0526d",
    "towel": "e6e2da b7c7d6 d9b8a5 7f9aa8 c9d3bf a8617a f0ece4",
    "paper": "f0eee6 e6e2d6 f5f3ee",
    "glass": "7d97a8 a9c0cc c7d6dc 5f7482",
    "cardboard": "b08a5a c29b6b a37c4c 9b7a52",
    "recycle": "2f62a8 2a6f9e 3a7d4a",
    "wallpaint": "d9d4c7 e4e0d6 cfd3d1 d8cdb8 c6cbd0 e6dfcf bfc5b8",
    "ground": "9a7b55 7d6546 8f8a80 a59c8c 6f7073 b59468 5f5a58",
    "ceiling": "e9e7e1 e2e0da efeee9",
    "skin": "c99f80 a97c5c e0b99a",
}


def pick_color(palette: str, rng: np.random.Generator) -> np.ndarray:
    """A random color of the palette, or of several with blanks between them, varied a little: (3,) float, 0..255."""
    names = palette.split()
    colors = PALETTES[names[rng.integers(len(names))] if len(names) > 1 else palette].split()
    rgb = colors[rng.integers(len(colors))]
    color = np.array([int(rgb[i : i + 2], 16) for i in (0, 2, 4)], float)
    return np.clip(color * rng.uniform(0.9, 1.1) + rng.normal(0, 5, 3), 8, 250)
