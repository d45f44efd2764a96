"""Several networks as one predictor: their softmax is summed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ceco3d.data.labels import LabelSpace
from ceco3d.data.scenes.scene import Scene
from ceco3d.inference.predictor import Predictor, load_predictor
from ceco3d.models.pretrained import weights_name
from ceco3d.utils.errors import UserError


class Ensemble(Predictor):
    """Predictors of the same classes on one device, whose mean probabilities are added up; each is a member.

    They may differ in network, voxel size and features. The networks run one after the other, and only the sum is
    kept. ``voxel_size`` is the smallest, ``features`` are those of all; ``classifier``, neural collapse and calibration
    are those of the first. ValueError without members.
    """

    def __init__(self, members: Sequence[Predictor]) -> None:
        if not members:
            raise ValueError("an ensemble needs a predictor")
        vars(self).update(vars(members[0]))  # one network's place, precision and passes
        self._members = tuple(members)
        self.voxel_size = min(member.voxel_size for member in members)
        self.features = list(dict.fromkeys(name for member in members for name in member.features))

    @property
    def members(self) -> Sequence[Predictor]:
        """The networks whose softmax is summed."""
        return self._members

    def _changed(self, **changes: Any) -> Predictor:
        return Ensemble([member._changed(**changes) for member in self._members])

    def voxel_logits(self, scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
        """UserError: the softmax is summed, not the logits."""
        raise UserError("several networks have no logits in common; choose one checkpoint")


def load_networks(paths: Sequence[Path], *options: Any) -> tuple[Predictor, LabelSpace]:
    """``load_predictor`` of one checkpoint, or an Ensemble of several, with the label space they predict.

    options  those of ``load_predictor``
    UserError if there is none, or they predict different classes.
    """
    if not paths:
        raise UserError("checkpoint=[]: name a checkpoint, or several whose softmax is summed")
    loaded = [load_predictor(path, *options) for path in paths]
    predictor, space = loaded[0]
    for path, (_, other) in zip(paths[1:], loaded[1:], strict=True):
        if not space.same_classes(other):
            raise UserError(
                f"{weights_name(path)} predicts {len(other)} classes of {other.name}, but {weights_name(paths[0])} "
                f"{len(space)} of {space.name}: networks that are summed need the same classes"
            )
    return (predictor, space) if len(loaded) == 1 else (Ensemble([network for network, _ in loaded]), space)
