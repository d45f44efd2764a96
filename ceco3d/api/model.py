"""A trained network that labels scans."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypedDict, overload

from typing_extensions import Unpack

from ceco3d.api.result import Result
from ceco3d.api.scans import as_scan
from ceco3d.cli.labeling import LabelingKeys
from ceco3d.cli.scoring import views_named
from ceco3d.cli.settings import to_settings
from ceco3d.data.labels import LabelSpace
from ceco3d.inference.predictor import Predictor, View, load_predictor
from ceco3d.inference.scan_labeling import predict_scan
from ceco3d.models.pretrained import PRETRAINED, weights_name, weights_path
from ceco3d.utils.device import PRECISIONS, choose_device, choose_precision
from ceco3d.utils.errors import UserError

DEVICES = ("auto", "cpu", "cuda")


class Options(TypedDict, total=False):
    """How ``Model.predict`` reads and labels scans, with the defaults of conf/predict.yaml.

    unit        of the coordinates: m, cm or mm
    up          the axis that points up: z, y or -y
    tta         test-time augmentation: the name of a file in conf/tta, or views
    fragments   passes in each view, at most; True: as many as the fullest voxel has points, False: one
    columns     names of the columns of a table that is read
    max_voxels  per forward pass; larger scans are split into chunks
    overlap     voxels around a chunk that the network sees too; None: its whole receptive field
    vote        one label for each segment: "segments", of a segs.json beside a file or made; "made"; None: no votes
    """

    unit: Literal["m", "cm", "mm"]
    up: Literal["z", "y", "-y"]
    tta: str | Sequence[View]
    fragments: bool | int
    columns: Sequence[str] | None
    max_voxels: int
    overlap: int | None
    vote: Literal["segments", "made"] | None


class Model:
    """A network with its classes. ``load`` makes one; any number of threads may share it.

    classes  (K,) names of the classes it predicts
    """

    def __init__(self, predictor: Predictor, space: LabelSpace, weights: Path) -> None:
        self.predictor, self.space, self.weights = predictor, space, weights
        self._lock = threading.Lock()

    @property
    def classes(self) -> list[str]:
        """Names of the classes it predicts."""
        return list(self.space.names)

    def __repr__(self) -> str:
        return f"Model({weights_name(self.weights)}: {len(self.space)} classes of {self.space.name})"

    @overload
    def predict(self, points: list[Any] | tuple[Any, ...], **options: Unpack[Options]) -> list[Result]: ...

    @overload
    def predict(self, points: Any, colors: Any = None, normals: Any = None, **options: Unpack[Options]) -> Result: ...

    def predict(
        self, points: Any, colors: Any = None, normals: Any = None, **options: Unpack[Options]
    ) -> Result | list[Result]:
        """The labels of a scan, or of each scan in a list.

        points   (N, 3) array or tensor; an Open3D point cloud or mesh; a trimesh object; or the path of a file or
                 folder that ``python -m ceco3d.predict`` reads
        colors   (N, 3) uint8, or floats within 0..1 or 0..255, see ``api.scans.color_array``; None: none, or those of
                 the object or file
        normals  (N, 3) of any length; None: as with colors
        options  see ``Options``

        UserError, one line, if the scan or an option makes no sense.
        """
        if isinstance(points, list | tuple):
            if colors is not None or normals is not None:
                raise UserError("a list of scans: colors and normals belong to one; call predict for each of them")
            return [self.predict(one, **options) for one in _scans(points)]
        keys: dict[str, Any] = dict(options)
        tta = keys.pop("tta", "none")
        views = views_named(tta) if isinstance(tta, str) else list(tta)
        chosen = to_settings(LabelingKeys, keys)
        scan, path = as_scan(points, colors, normals, chosen.columns)
        name = "points" if path is None else path.stem
        predictor = self.predictor.with_passes(views, chosen.fragments)
        with self._lock:  # a scan takes all cores, and the memory of one
            return Result(predict_scan(predictor, self.space, scan, name, chosen.options(), path))


def _scans(points: Sequence[Any]) -> Sequence[Any]:
    """The scans in a list; UserError if it is a list of points."""
    if any(isinstance(one, int | float) or (isinstance(one, list | tuple) and len(one) == 3) for one in points):
        raise UserError("a list stands for several scans; pass the points of one as an array: numpy.asarray(points)")
    return points


def load(
    checkpoint: str | PathLike[str] = PRETRAINED,
    device: str = "auto",
    precision: str | None = None,
    *,
    voxel_size: float | None = None,
    head: str | None = None,
) -> Model:
    """A trained network: the weights that come with ceco3d, or those of a checkpoint.

    checkpoint  "pretrained" (docs/pretrained.md), RUN/checkpoints/best.pt, or a file of scripts/ship_weights.py
    device      auto (the GPU if there is one), cpu or cuda
    precision   of convolutions: fp32, bf16, tf32, fp16 or auto; None: bf16 on a GPU that has it, else fp32
    voxel_size  meters; None: that of the training
    head        of a joint training: the data set whose classes to predict

    UserError if there is no such file, it is damaged, or a name is none of these.
    """
    if device not in DEVICES:
        raise UserError(f"device={device!r}: choose one of {', '.join(DEVICES)}")
    if precision not in (None, "auto", *PRECISIONS):
        raise UserError(f"precision={precision!r}: choose one of auto, {', '.join(PRECISIONS)}")
    if voxel_size is not None and not 0 < voxel_size < 1000:
        raise UserError(f"voxel_size={voxel_size!r}: must be a length in meters")
    path = weights_path(checkpoint if isinstance(checkpoint, str) else Path(checkpoint))
    place = choose_device(device)
    dtype = choose_precision(precision, place)
    return Model(*load_predictor(path, place, dtype=dtype, voxel_size=voxel_size, head=head), path)
