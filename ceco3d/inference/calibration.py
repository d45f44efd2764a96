"""Fit the temperature of a network on labeled scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ceco3d.data.labels import LabelSpace
from ceco3d.data.scenes.processed import read_scene
from ceco3d.inference.predictor import Predictor
from ceco3d.metrics.calibration import Calibration, fit_temperature
from ceco3d.utils.errors import UserError
from ceco3d.utils.progress import track

VOXELS = 400_000  # in all, at most: 320 MB of logits for 200 classes


@dataclass(frozen=True)
class FittedTemperature:
    """A temperature, and the expected calibration error of the same voxels without and with it."""

    temperature: float
    before: float
    after: float


def calibrate(predictor: Predictor, folders: Sequence[Path], space: LabelSpace) -> FittedTemperature:
    """Fit the temperature on labeled voxels of processed scenes, as many of each; UserError if there are none."""
    generator, found = torch.Generator().manual_seed(0), []
    for folder in track(folders, len(folders), "reading scenes"):
        logits, labels, _ = predictor.voxel_logits(read_scene(folder, space, features=predictor.features))
        known = (labels >= 0).nonzero().squeeze(1)
        chosen = known[torch.randperm(len(known), generator=generator)[: max(1, VOXELS // len(folders))]]
        found.append((logits[chosen], labels[chosen]))
    logits, labels = (torch.cat(parts) for parts in zip(*found, strict=True))
    if not len(labels):
        raise UserError(f"split: none of its {len(folders)} scenes has labels to calibrate on; choose split=val")
    temperature = fit_temperature(logits, labels)
    errors = []
    for divisor in (1.0, temperature):
        measured = Calibration()
        measured.update(*(logits / divisor).softmax(1).max(1), labels)
        errors.append(measured.error or 0.0)
    return FittedTemperature(temperature, *errors)
