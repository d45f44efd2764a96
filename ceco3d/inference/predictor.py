"""What a network says of every point of a scene, with test-time augmentation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from ceco3d.data.batch import make_batch
from ceco3d.data.scenes.labels import LabelSpace, label_space
from ceco3d.data.scenes.scene import Scene
from ceco3d.data.transforms import center_shift, flip, rotate, rotation_matrix, scale
from ceco3d.metrics import ClassMoments
from ceco3d.models import MinkUNet, load_trained
from ceco3d.models.fold import fold_batch_norms
from ceco3d.sparse import SparseTensor
from ceco3d.utils.errors import UserError


@dataclass(frozen=True)
class View:
    """One way to look at a scene: turned about z (degrees), mirrored along axes, scaled."""

    rotation: float = 0.0
    flip: str = ""
    scale: float = 1.0

    def __call__(self, scene: Scene) -> Scene:
        """The scene as seen in this view, centred."""
        turned = rotate(center_shift(scene), rotation_matrix((0.0, 0.0, math.radians(self.rotation))))
        return scale(flip(turned, self.flip), self.scale)


def make_views(
    rotations: Sequence[float] = (0.0,), flips: Sequence[str] = ("",), scales: Sequence[float] = (1.0,)
) -> list[View]:
    """Every combination of ``rotations`` (degrees about z), ``flips`` ("", x, y, xy) and ``scales``.

    UserError when there is none, or one that makes no sense.
    """
    views = [View(float(r), str(f), float(s)) for r, f, s in product(rotations, flips, scales)]
    if not views or any(view.scale <= 0 or set(view.flip) - set("xy") for view in views):
        raise UserError("tta: needs rotations (degrees), flips out of '', x, y, xy and scales above 0")
    return views


class Predictor:
    """A network together with what it needs to be fed.

    features   see ``scenes.batch.point_features``
    voxel_size metres
    views      their softmax is averaged
    dtype      what convolutions compute in
    """

    def __init__(
        self,
        model: MinkUNet,
        features: Sequence[str],
        voxel_size: float,
        device: torch.device,
        views: Sequence[View] = (View(),),
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.model, self.features, self.voxel_size = model, list(features), voxel_size
        self.device, self.views, self.dtype = device, views, dtype

    @property
    def classifier(self) -> tuple[Tensor, Tensor]:
        """Weight (K, d) and bias (K,) of the point classifier."""
        final = self.model.final
        return final.kernel.T, final.bias.flatten()

    @torch.inference_mode()
    def predict(self, scene: Scene, moments: ClassMoments | None = None) -> tuple[Tensor, Tensor]:
        """Training index (N,) int64 of every point and its probability (N,) float32, on the CPU.

        A point has the probabilities of its voxel. ``moments`` takes in the voxels' features before the classifier, in
        the first view.
        """
        self.model.eval()
        scene = scene.to(self.device)
        batches = [make_batch([view(scene)], self.voxel_size, self.features) for view in self.views]
        row, first = _shared_rows([batch.inverse for batch in batches])
        total: Tensor | None = None
        for batch in batches:
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                points = self.model.forward_features(SparseTensor(batch.features, batch.coordinates))
                logits = self.model.final(points).features
            if moments is not None and total is None:
                moments.update(points.features, batch.labels)
            share = logits.float().softmax(1)[batch.inverse[first]]
            total = share if total is None else total.add_(share)
        confidence, labels = total.div_(len(batches)).max(1)
        return labels[row].cpu(), confidence[row].cpu()


def _shared_rows(inverses: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Number the points (N,) by their voxels in all views, 0..S-1; and (S,) one point of each number.

    Points with the same number have the same probabilities, so that these are needed once.
    """
    row = inverses[0]
    for other in inverses[1:]:
        row = torch.unique(row * (other.max() + 1) + other, return_inverse=True)[1]
    points = torch.arange(len(row), device=row.device)
    return row, points.new_empty(int(row.max()) + 1).scatter_(0, row, points)


def load_predictor(
    path: Path, device: torch.device, views: Sequence[View], dtype: torch.dtype
) -> tuple[Predictor, LabelSpace]:
    """The network of a checkpoint of ceco3d.train, and the label space it predicts; UserError for any other file."""
    model, setup = load_trained(path)
    if setup["label_space"] is None:
        raise UserError(f"{path}: pretrained only, it predicts no labels; train on it with ceco3d.train init={path}")
    model = fold_batch_norms(model).to(device)
    predictor = Predictor(model, setup["features"], setup["voxel_size"], device, views, dtype)
    return predictor, label_space(setup["label_space"])
