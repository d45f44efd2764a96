"""The instance bank: objects of the training scenes, pasted into other scenes so that rare classes occur more often."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ceco3d.data.labels import LabelSpace
from ceco3d.data.scenes.processed import FEATURES, read_labels, read_scene
from ceco3d.data.scenes.scene import Scene
from ceco3d.utils.errors import UserError


class InstanceBank:
    """Locations of the M instances of processed scenes; an instance is read from disk when it is drawn.

    folders     scene folders with ``instance.npy``; scenes without it are skipped
    power       a class with n instances is drawn with probability proportional to n^-power: -1 draws instances as they
                occur, 0 draws all classes equally often, higher values prefer rare classes
    features    that the network needs, see ``read_scene``
    min_points, max_points  skip smaller instances (fragments) and larger ones (they would fill the batch)

    The class of an instance is that of most of its points. Structure (``LabelSpace.structure``) and instances without a
    class are skipped. ``labels`` (M,) int64 holds the classes as training indices.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        space: LabelSpace,
        power: float = 0.5,
        min_points: int = 100,
        max_points: int = 20000,
        features: Sequence[str] = FEATURES,
    ) -> None:
        self.folders, self.space, self.features = list(folders), space, features
        found = [_instances(folder, space, number) for number, folder in enumerate(self.folders)]
        table = np.concatenate([np.empty((0, 4), np.int64), *found])
        size = table[:, 3]
        kept = (size >= min_points) & (size <= max_points) & ~np.isin(table[:, 2], space.structure)
        scene, instance, label, _ = torch.from_numpy(table[kept]).unbind(1)
        self.scenes, self.instances, self.labels = scene.clone(), instance.clone(), label.clone()
        # The weight n^-power of a class is shared equally by its n instances.
        self.weights = torch.bincount(self.labels)[self.labels].double().pow(-power - 1)

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, index: int) -> Scene:
        """Instance number ``index`` as a scene, in the coordinates of the scene it is from (meters)."""
        number = int(self.instances[index])
        folder = self.folders[int(self.scenes[index])]
        return read_scene(
            folder, self.space, lambda _, instance: np.flatnonzero(instance == number), features=self.features
        )

    def draw(self, count: int, rng: torch.Generator) -> list[Scene]:
        """``count`` instances, drawn with replacement; none if the bank is empty."""
        if len(self) == 0:
            return []
        chosen = torch.multinomial(self.weights, count, replacement=True, generator=rng)
        return [self.read(index) for index in chosen.tolist()]


def _instances(folder: Path, space: LabelSpace, number: int) -> np.ndarray:
    """(I, 4) int64: ``number``, instance id, class and point count of each instance of a scene."""
    nothing = np.empty((0, 4), np.int64)
    try:
        segment, instance = read_labels(folder, space)
    except UserError:  # the data set reports it
        return nothing
    if instance is None:
        return nothing
    instance = instance.astype(np.int64)
    classes = len(space)
    labeled = (instance >= 0) & (segment >= 0)
    rows = int(instance.max(initial=-1)) + 1
    if rows > len(instance):  # the table below has this many rows
        path = folder / "instance.npy"
        raise UserError(f"{path} has instance ids up to {rows - 1} for {len(instance)} points; number them from 0")
    votes = np.bincount(instance[labeled] * classes + segment[labeled], minlength=rows * classes)
    votes = votes.reshape(rows, classes)
    points = np.bincount(instance[instance >= 0], minlength=rows)
    ids = np.flatnonzero(votes.any(1))
    return np.stack([np.full(len(ids), number), ids, votes.argmax(1)[ids], points[ids]], 1)
