"""Color augmentation. Colors are 0..255 before and after."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ceco3d.data.scenes.colors import GRAY
from ceco3d.data.scenes.scene import Scene
from ceco3d.data.transforms.geometric import bounds
from ceco3d.utils.random import chance, points_generator, uniform


def autocontrast(scene: Scene, blend: float) -> Scene:
    """Stretch each channel to 0..255 and blend it with the original: ``blend`` 0 keeps the original, 1 replaces it.

    A channel with a range below 1 stays as it is.
    """
    if len(scene) == 0:
        return scene
    low, high = bounds(scene.color)
    varied = high - low >= 1
    gain = torch.where(varied, 255 / (high - low), 1.0)
    shift = torch.where(varied, -low * gain, 0.0)
    color = (scene.color * (1 - blend + blend * gain)).add_(blend * shift)
    return scene.replace(color=color.clamp_(0, 255))


def chromatic_translation(scene: Scene, shift: Tensor) -> Scene:
    """Add ``shift`` (3,) to every color, clamped to 0..255."""
    return scene.replace(color=(scene.color + shift).clamp_(0, 255))


def chromatic_jitter(scene: Scene, std: float, rng: torch.Generator) -> Scene:
    """Add Gaussian noise of ``std`` (in units of 0..255) to every channel of every point, clamped to 0..255."""
    device = scene.coord.device
    noise = torch.randn(3, len(scene), generator=points_generator(rng, device), device=device).t()
    return scene.replace(color=noise.mul_(std).add_(scene.color).clamp_(0, 255))


@dataclass(frozen=True)
class RandomAutocontrast:
    """With probability ``p``: ``autocontrast`` with a blend from U(0, 1)."""

    p: float

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        return autocontrast(scene, uniform(0.0, 1.0, rng)) if chance(self.p, rng) else scene


@dataclass(frozen=True)
class ChromaticTranslation:
    """With probability ``p``: shift each channel by U(-``ratio``, ``ratio``) * 255."""

    ratio: float
    p: float

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        if not chance(self.p, rng):
            return scene
        shift = (2 * torch.rand(3, generator=rng) - 1) * (255 * self.ratio)
        return chromatic_translation(scene, shift.to(scene.color.device))


@dataclass(frozen=True)
class ChromaticJitter:
    """With probability ``p``: Gaussian noise of ``std`` * 255 on every channel of every point."""

    std: float
    p: float

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        return chromatic_jitter(scene, 255 * self.std, rng) if chance(self.p, rng) else scene


@dataclass(frozen=True)
class ColorDrop:
    """With probability ``p``: all points become gray, as those of a scan without colors."""

    p: float

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        return scene.replace(color=torch.full_like(scene.color, GRAY)) if chance(self.p, rng) else scene
