"""A network that labels every point of a scene, with test-time augmentation."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ceco3d.data.batch import Batch, make_batch, point_features
from ceco3d.data.labels import LabelSpace
from ceco3d.data.scenes.scene import Scene
from ceco3d.data.transforms import center_shift, flip, rotate, rotation_matrix, scale
from ceco3d.inference.fragments import make_fragments
from ceco3d.inference.heads import choose_head
from ceco3d.metrics import ClassMoments
from ceco3d.models import Network, load_trained
from ceco3d.models.fold import fold_batch_norms
from ceco3d.models.pretrained import PRETRAINED, describe_setup, weights_name
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
    rotations: Sequence[float] = (0.0,),
    flips: Sequence[str] = ("",),
    scales: Sequence[float] = (1.0,),
    more: Sequence[Mapping[str, Any]] = (),
) -> list[View]:
    """Every combination of ``rotations`` (degrees about z), ``flips`` ("", x, y, xy) and ``scales``; and ``more``.

    UserError when there is none, or one that makes no sense.
    """
    views = [View(float(r), str(f), float(s)) for r, f, s in product(rotations, flips, scales)]
    try:
        views += [View(**entry) for entry in more]
        sensible = all(math.isfinite(v.rotation) and v.scale > 0 and not set(v.flip) - set("xy") for v in views)
    except TypeError:
        sensible = False
    if not views or not sensible:
        raise UserError(
            "tta: needs rotations (degrees), flips out of '', x, y, xy and scales above 0; "
            "more is a list of views such as {rotation: 90, flip: xy, scale: 0.9}"
        )
    return views


class Predictor:
    """A network that labels the points of scenes.

    features    its inputs, in this order: names out of color, normal and coord (``data.batch.point_features``)
    voxel_size  meters
    device      where to compute: the network is moved there; None: where the network is
    views       adds up their softmax
    dtype       of the convolutions
    outputs     of the classifier that count: those of one part of a joint training, or all
    fragments   passes in each view at most, with other points of the voxels in each (``inference.fragments``); None: as
                many as the fullest voxel has points
    temperature  divides the logits before the softmax

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
        fragments: int | None = 1,
        temperature: float = 1.0,
    ) -> None:
        self.device = next(model.parameters()).device if device is None else torch.device(device)
        self.model = model.to(self.device)
        self.features, self.voxel_size, self.views, self.dtype = list(features), voxel_size, views, dtype
        self.outputs, self.fragments, self.temperature = outputs, fragments, temperature

    @property
    def members(self) -> Sequence[Predictor]:
        """The networks whose softmax is summed: this one."""
        return [self]

    @property
    def coarsest(self) -> float:
        """The largest voxel size of the members, in voxels of ``voxel_size``."""
        return max(member.voxel_size for member in self.members) / self.voxel_size

    def with_outputs(self, outputs: slice) -> Predictor:
        """The same network, with other outputs."""
        return self._changed(outputs=outputs)

    def with_passes(self, views: Sequence[View], fragments: int | None) -> Predictor:
        """The same network, with other passes over each scene."""
        return self._changed(views=views, fragments=fragments)

    def _changed(self, **changes: Any) -> Predictor:
        made = copy.copy(self)  # shares the network
        vars(made).update(changes)
        return made

    @property
    def classifier(self) -> tuple[Tensor, Tensor]:
        """Weight (K, d) and bias (K,) of the point classifier."""
        final = self.model.final
        assert final.bias is not None
        return final.kernel.T[self.outputs], final.bias.flatten()[self.outputs]

    @torch.inference_mode()
    def predict(
        self,
        scene: Scene,
        moments: ClassMoments | None = None,
        wanted: Tensor | None = None,
        count: Callable[[Tensor, Tensor], None] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Training index (N,) int64 of every point and its probability (N,) float32, on the CPU.

        A point gets the mean probabilities of its voxel over the passes that predict it, in all views, and over the
        ``members``.

        moments  adds the voxels' features before the classifier, in the first pass of the first view
        wanted   (W,) points whose labels are returned; None: all
        count    gets the probabilities (S, K) and the row (W,) in them of every wanted point, see ``inference.votes``
        """
        scene = scene.to(self.device)
        wanted = torch.arange(len(scene), device=self.device) if wanted is None else wanted.to(self.device)
        batches = [member._batches(scene) for member in self.members]
        pairs = [(member, batch) for member, own in zip(self.members, batches, strict=True) for batch in own]
        row, first = _shared_rows([member._groups(batch)[wanted] for member, batch in pairs])
        points, total = wanted[first], None
        for member, own in zip(self.members, batches, strict=True):
            found = member._probabilities_of(scene, own, points, moments)
            total, moments = found if total is None else total.add_(found), None
        assert total is not None
        if len(self.members) > 1:
            total /= len(self.members)
        if count is not None:
            count(total, row)
        confidence, labels = total.max(1)
        return labels[row].cpu(), confidence[row].cpu()

    def _batches(self, scene: Scene) -> list[Batch]:
        """The voxels of every view."""
        return [make_batch([view(scene)], self.voxel_size, self.features) for view in self.views]

    def _probabilities_of(
        self, scene: Scene, batches: Sequence[Batch], points: Tensor, moments: ClassMoments | None
    ) -> Tensor:
        """(S, K) mean probabilities of ``points`` (S,) over the passes of all views."""
        self.model.eval()
        total = torch.zeros(len(points), len(self.classifier[1]), device=self.device)
        passes = total.new_zeros(len(points), 1)
        for view, batch in zip(self.views, batches, strict=True):
            for rows, probabilities in self._passes(scene, view, batch, points, moments):
                total[rows] += probabilities
                passes[rows] += 1
            moments = None
        return total.div_(passes)

    def _groups(self, batch: Batch) -> Tensor:
        """(N,) int64: points of the same group get the same probabilities in this view."""
        if self.fragments == 1:
            return batch.inverse
        return make_fragments(batch.inverse, len(batch), self.fragments).groups()

    def _passes(
        self, scene: Scene, view: View, batch: Batch, points: Tensor, moments: ClassMoments | None
    ) -> Iterator[tuple[Tensor | slice, Tensor]]:
        """For each pass in a view, one after the other: the ``points`` (S,) it predicts, and their probabilities."""
        voxels = batch.sparse()
        if self.fragments == 1:
            yield slice(None), self._probabilities(voxels, batch.labels, moments)[batch.inverse[points]]
            return
        fragments, seen = make_fragments(batch.inverse, len(batch), self.fragments), view(scene)
        for number in range(fragments.passes):
            features = point_features(seen, self.features, fragments.representatives(number))
            found = self._probabilities(voxels.with_features(features), batch.labels, moments)
            rows, moments = fragments.predicted(number, points), None
            yield rows, found[batch.inverse[points[rows]]]

    def _probabilities(self, voxels: SparseTensor, labels: Tensor, moments: ClassMoments | None) -> Tensor:
        """(M, K) float32 of the voxels; ``moments`` adds their features and ``labels`` (M,)."""
        found, logits = self._forward(voxels)
        if moments is not None:
            moments.update(found.features, labels)
        probabilities: Tensor = (logits if self.temperature == 1 else logits / self.temperature).softmax(1)
        return probabilities

    def _forward(self, voxels: SparseTensor) -> tuple[SparseTensor, Tensor]:
        """The features of the voxels, and their logits (M, K) float32."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            found = self.model.forward_features(voxels)
            logits = self.model.final(found).features[:, self.outputs]
        return found, logits.float()

    @torch.inference_mode()
    def voxel_logits(self, scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
        """In the first view: logits (M, K) float32 of voxels, not divided, their labels (M,); the voxel (N,) of points.

        All on the CPU.
        """
        self.model.eval()
        batch = make_batch([self.views[0](scene.to(self.device))], self.voxel_size, self.features)
        return self._forward(batch.sparse())[1].cpu(), batch.labels.cpu(), batch.inverse.cpu()


def _shared_rows(groups: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The row (N,) of each point, 0..S-1, and one point (S,) of each row.

    Points share a row if they share their ``groups`` (N,) in all views: their probabilities are computed once.
    """
    row = torch.unique(groups[0], return_inverse=True)[1]
    for other in groups[1:]:
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
    fragments: int | None = 1,
) -> tuple[Predictor, LabelSpace]:
    """Load the network of a checkpoint (``load_trained``), with the label space it predicts.

    device        "auto": the GPU if there is one, else the CPU
    views, dtype, fragments  see ``Predictor``
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
    if weights_name(path) == PRETRAINED:
        logger.info(f"weights: {PRETRAINED}, {describe_setup(setup)}; their limits: docs/pretrained.md")
    own = setup["features"], voxel_size or trained, device, views, dtype, outputs, fragments
    return Predictor(fold_batch_norms(model), *own, float(setup.get("temperature", 1))), predicted
