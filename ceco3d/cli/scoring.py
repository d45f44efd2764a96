"""Settings shared by evaluate and export: a checkpoint, a split of a data set, an output folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from ceco3d.cli.catalog import config_dir
from ceco3d.cli.settings import to_settings
from ceco3d.data.labels import LabelSpace
from ceco3d.inference.ensemble import load_networks
from ceco3d.inference.predictor import Predictor, View, make_views
from ceco3d.inference.segments import Segments, Vote
from ceco3d.models.pretrained import PRETRAINED, WeightsPaths, weights_name
from ceco3d.preprocessing.datasets import DataSet, ScanNet, processed_scenes
from ceco3d.preprocessing.labeled.dataset import LabeledScans
from ceco3d.preprocessing.raw_root import RAW_FOLDER
from ceco3d.utils.atomic import check_writable
from ceco3d.utils.device import PRECISIONS, choose_device, choose_precision
from ceco3d.utils.errors import UserError
from ceco3d.utils.settings import BUILT, CommonSettings, FilePath, Positive, settings
from ceco3d.utils.untrusted import read_yaml


def check_same_classes(predicted: LabelSpace, given: LabelSpace, checkpoint: Path, dataset: str) -> None:
    """UserError if a checkpoint predicts other classes than a data set has."""
    if predicted.same_classes(given):
        return
    mine, theirs = (dict(zip(space.ids, space.names, strict=True)).items() for space in (predicted, given))
    other = sorted(mine ^ theirs)[:3]
    shown = ", ".join(f"{number} {name}" for number, name in other)
    raise UserError(
        f"{checkpoint}: predicts the {len(predicted)} classes of {predicted.name}, but dataset={dataset} has "
        f"{len(given)} others (first difference: {shown}): choose the dataset= and dataset.classes= of its training"
    )


@settings
class ViewSettings:
    """Test-time augmentation (conf/tta)."""

    rotations: Sequence[float] = (0.0,)
    flips: Sequence[str] = ("",)
    scales: Sequence[float] = (1.0,)
    more: Sequence[Mapping[str, Any]] = ()

    def views(self) -> list[View]:
        """Every combination, and ``more``."""
        return make_views(self.rotations, self.flips, self.scales, self.more)


def views_named(name: str) -> list[View]:
    """The views of ``tta=name``, a file in conf/tta; UserError if there is none."""
    folder = config_dir() / "tta"
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in names:
        raise UserError(f"tta={name!r}: choose one of {', '.join(names)}")
    return to_settings(ViewSettings, read_yaml(folder / f"{name}.yaml")).views()


def _passes(value: Any) -> int | None:
    """The key `fragments` as ``Predictor`` takes it."""
    if isinstance(value, bool):
        return None if value else 1
    if isinstance(value, int) and value > 0:
        return value
    raise ValueError("must be true, false or a number of passes, 1 or more")


FragmentPasses = Annotated[int | None, BeforeValidator(_passes)]


@settings
class ScoringSettings(CommonSettings):
    """conf/evaluate.yaml and conf/export.yaml."""

    dataset: Annotated[DataSet, BUILT]
    tta: ViewSettings
    checkpoint: WeightsPaths | None = None
    split: Literal["train", "val", "test"]
    voxel_size: Positive | None = None
    head: str | None = None
    fragments: FragmentPasses = 4
    out: FilePath | None = None
    vote: Vote | None = None

    @property
    def weights(self) -> Sequence[Path]:
        """The checkpoints; UserError if they are not set."""
        if self.checkpoint is None:
            raise UserError("checkpoint is not set: pass checkpoint=..., see --help")
        return self.checkpoint

    @property
    def names(self) -> str:
        """What to call the checkpoints."""
        return ", ".join(map(weights_name, self.weights))

    @property
    def title(self) -> str:
        """The title of the result in tables."""
        size = "" if self.voxel_size is None else f", voxels of {self.voxel_size:g} m"
        vote = "" if self.vote is None else ", votes over segments"
        return f"{self.names} on {self.dataset.name} {self.split}{size}{vote}"

    @property
    def run(self) -> Path:
        """The run of the first checkpoint; ``outputs/pretrained`` for the weights that come with the package."""
        first = self.weights[0]
        return Path("outputs", PRETRAINED) if weights_name(first) == PRETRAINED else first.absolute().parent.parent

    def output_folder(self, command: str) -> Path:
        """``out``, or ``<command>-<split>`` in the run, with ``-ensemble`` for several checkpoints.

        UserError if it is not writable.
        """
        out = self.out or self.run / f"{command}-{self.split}{'-ensemble' if len(self.weights) > 1 else ''}"
        check_writable(out)
        return out

    def load(self, on_cluster: bool = False) -> tuple[Predictor, list[Path], LabelSpace]:
        """The network, the processed scenes of the split, and the label space of both.

        on_cluster  workers will compute, on devices of their own: the network stays on the CPU

        UserError when the network was trained on another label space.
        """
        device = choose_device("cpu" if on_cluster else self.device)
        if on_cluster and self.precision == "auto":
            raise UserError("precision=auto: workers may differ, so name a precision: fp32, bf16, tf32 or fp16")
        dtype = PRECISIONS[self.precision or "fp32"] if on_cluster else choose_precision(self.precision, device)
        scenes = partial(processed_scenes, self.dataset, (self.split,), self.workers)
        made = scenes() if isinstance(self.dataset, LabeledScans) else None  # whose classes are known only then
        views, own = self.tta.views(), self.dataset.space()
        chosen = self.voxel_size, self.head, own, self.fragments
        predictor, space = load_networks(self.weights, device, views, dtype, *chosen)
        check_same_classes(space, own, self.weights[0], self.dataset.name)
        return predictor, (made or scenes())[self.split], space

    def segments(self) -> Segments | None:
        """The segments that ``vote`` asks for."""
        if self.vote is None:
            return None
        raw = self.dataset.raw if isinstance(self.dataset, ScanNet) else None
        return Segments(self.vote, None if raw is None else raw / RAW_FOLDER[self.split])
