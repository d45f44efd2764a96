"""A network that labels every point of a scene, with test-time augmentation."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from ceco3d.data.batch import Batch, make_batch
from ceco3d.data.labels import LabelSpace
from ceco3d.data.scenes.scene import Scene
from ceco3d.data.transforms import center_shift, flip, rotate, rotation_matrix, scale
from ceco3d.inference.heads import choose_head
from ceco3d.metrics import ClassMoments
from ceco3d.models import Network, load_trained
from ceco3d.models.fold import fold_batch_norms
from ceco3d.sparse import SparseTensor
from ceco3d.utils.device import choose_device
from ceco3d.utils.errors import UserError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class View:
    """One way to look at a scene: rotated about z (degrees), mirrored along the axes in ``flip``, scaled."""

    rotation: float = 0.0
    flip: str = ""
    scale: float = 1.0

    def __call__(self, scene: Scene) -> Scene:
        """The scene in this view, centered."""
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
    """A network that labels the points of scenes.

    features    its inputs, in this order: names out of color, normal and coord (``data.batch.point_features``)
    voxel_size  meters
    device      where to compute: the network is moved there; None: where the network is
    views       averages their softmax
    dtype       of the convolutions
    outputs     of the classifier that count: those of one part of a joint training, or all

    >>> model = build_model("MinkUNet14A", in_channels=3, out_channels=20, stem_kernel=3)
    >>> labels, confidence = Predictor(model, ["color"], voxel_size=0.05).predict(scene)
    """

    def __init__(
        self,
        model: Network,
        features: Sequence[str],
        voxel_size: float,
        device: torch.device | str | None = None,
        views: Sequence[View] = (View(),),
        dtype: torch.dtype = torch.float32,
        outputs: slice = slice(None),
    ) -> None:
        self.device = next(model.parameters()).device if device is None else torch.device(device)
        self.model = model.to(self.device)
        self.features, self.voxel_size, self.views, self.dtype = list(features), voxel_size, views, dtype
        self.outputs = outputs

    def with_outputs(self, outputs: slice) -> Predictor:
        """The same network, with other outputs."""
        return Predictor(self.model, self.features, self.voxel_size, self.device, self.views, self.dtype, outputs)

    @property
    def classifier(self) -> tuple[Tensor, Tensor]:
        """Weight (K, d) and bias (K,) of the point classifier."""
        final = self.model.final
        assert final.bias is not None
        return final.kernel.T[self.outputs], final.bias.flatten()[self.outputs]

    @torch.inference_mode()
    def predict(self, scene: Scene, moments: ClassMoments | None = None) -> tuple[Tensor, Tensor]:
        """Training index (N,) int64 of every point and its probability (N,) float32, on the CPU.

        A point gets the probabilities of its voxel. ``moments`` adds the voxels' features before the classifier, in
        the first view.
        """
        self.model.eval()
        scene = scene.to(self.device)
        batches = [make_batch([view(scene)], self.voxel_size, self.features) for view in self.views]
        row, first = _shared_rows([batch.inverse for batch in batches])
        total = self._probabilities(batches[0], moments)[batches[0].inverse[first]]
        for batch in batches[1:]:
            total.add_(self._probabilities(batch)[batch.inverse[first]])
        confidence, labels = total.div_(len(batches)).max(1)
        return labels[row].cpu(), confidence[row].cpu()

    def _probabilities(self, batch: Batch, moments: ClassMoments | None = None) -> Tensor:
        """(M, K) float32 of the batch's voxels."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            voxels = self.model.forward_features(SparseTensor(batch.features, batch.coordinates))
            logits = self.model.final(voxels).features[:, self.outputs]
        if moments is not None:
            moments.update(voxels.features, batch.labels)
        probabilities: Tensor = logits.float().softmax(1)
        return probabilities


def _shared_rows(inverses: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Group points that share their voxels in all views: group (N,) of each point, 0..S-1, and one point (S,) of each.

    Points of a group have the same probabilities, which are computed once.
    """
    row = inverses[0]
    for other in inverses[1:]:
        row = torch.unique(row * (other.max() + 1) + other, return_inverse=True)[1]
    points = torch.arange(len(row), device=row.device)
    return row, points.new_empty(int(row.max()) + 1).scatter_(0, row, points)


def load_predictor(
    path: Path | str,
    device: torch.device | str = "auto",
    views: Sequence[View] = (View(),),
    dtype: torch.dtype = torch.float32,
    voxel_size: float | None = None,
    head: str | None = None,
    space: LabelSpace | None = None,
) -> tuple[Predictor, LabelSpace]:
    """Load the network of a checkpoint of ceco3d.train, with the label space it predicts.

    device        "auto": the GPU if there is one, else the CPU
    views, dtype  see ``Predictor``
    voxel_size    meters; None: that of the training. A warning tells when they differ
    head          the part of a joint training whose classes are predicted; None: the one with the classes of ``space``

    UserError if the file is not such a checkpoint, or it does not say which part is meant.
    """
    model, setup = load_trained(Path(path))
    if setup["label_space"] is None:
        raise UserError(
            f"{path}: pretrained only, predicts no labels; train it with python -m ceco3d.train init={path}"
        )
    outputs, predicted = choose_head(path, setup["label_space"], head, space)
    device = choose_device(device) if isinstance(device, str) else device
    trained = setup["voxel_size"]
    if voxel_size is not None and voxel_size != trained:
        logger.warning(f"voxel_size={voxel_size:g}: {path} was trained at {trained:g} m; expect other scores")
    folded = fold_batch_norms(model)
    return Predictor(folded, setup["features"], voxel_size or trained, device, views, dtype, outputs), predicted
