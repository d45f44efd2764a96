"""What a finished training hands to its loggers: final scores, classes, pictures."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from ceco3d.data.labels import LabelSpace
from ceco3d.inference.evaluation import Evaluation
from ceco3d.inference.predictor import View
from ceco3d.training.reporting import validation_values
from ceco3d.utils.untrusted import one_line

logger = logging.getLogger(__name__)

CLASS_COLUMNS = ("class", "group", "validation points", "IoU %")


@dataclass(frozen=True)
class Results:
    """The results of a finished training.

    run         its folder, with the checkpoints
    folders     of the processed validation scenes
    head        the part of a joint training that these are the results of
    """

    run: Path
    evaluation: Evaluation
    space: LabelSpace
    folders: Sequence[Path]
    device: torch.device
    head: str | None = None

    @property
    def values(self) -> dict[str, float]:
        """The final ``val_miou`` and so on, 0..1."""
        return validation_values(self.evaluation)

    @property
    def classes(self) -> list[tuple[str, str, int, float | None]]:
        """A row of CLASS_COLUMNS for each class; the IoU is None for a class that neither occurs nor is predicted."""
        group_of = {index: group for group, members in self.space.groups.items() for index in members}
        points = self.evaluation.counts.sum(1).tolist()
        ious = self.evaluation.scores["per_class"]
        percent = [None if ious[name] is None else round(100 * ious[name], 2) for name in self.space.names]
        return [
            (name, group_of.get(k, ""), points[k], iou)
            for k, (name, iou) in enumerate(zip(self.space.names, percent, strict=True))
        ]

    @cached_property
    def pictures(self) -> Mapping[str, bytes]:
        """PNG of the best and the worst validation scene by caption; {} with a log line if they cannot be drawn."""
        try:
            from ceco3d.visualization.labeled_scenes import segment_scene
            from ceco3d.visualization.picture import scene_picture  # needs matplotlib

            scored = {name: score for name, score in self.evaluation.scenes.items() if score is not None}
            order = sorted(scored, key=lambda name: scored[name])
            chosen = {"best": order[-1:], "worst": order[:1]} if len(order) > 1 else {"only": order}
            folder_of = {folder.name: folder for folder in self.folders}
            found = {}
            for which, name in ((which, name) for which, names in chosen.items() for name in names):
                scene = segment_scene(
                    folder_of[name], self.space, [self.run], None, self.device, [View()], torch.float32, head=self.head
                )
                found[f"{which} scene: {name}, mIoU {100 * scored[name]:.1f} %"] = scene_picture(scene)
            return found
        except ModuleNotFoundError:
            logger.warning("no pictures in the log: pip install 'ceco3d[plot]'")
        except Exception as error:  # whatever fails in drawing, the results are already on disk
            logger.warning("no pictures in the log: %s", one_line(error))
        return {}


def png_pixels(png: bytes) -> np.ndarray:
    """(H, W, 3) uint8."""
    from matplotlib.image import imread

    return (255 * imread(BytesIO(png))[..., :3]).round().astype(np.uint8)
