"""One of everything a user can add to ceco3d, each as small as it can be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ceco3d import sparse
from ceco3d.data.labels import LabelSpace, label_space
from ceco3d.data.scenes.processed import ARRAYS, write_scene
from ceco3d.data.scenes.scene import Scene
from ceco3d.models import Network
from ceco3d.preprocessing.summary import Summary


class ConfidentLoss(nn.Module):
    """Cross-entropy, and a term of its own: the entropy of the predictions."""

    def __init__(self, num_classes: int, weight: float = 1.0) -> None:
        super().__init__()
        self.num_classes, self.weight = num_classes, weight

    def forward(self, logits: Tensor, features: Tensor, labels: Tensor, scenes: Tensor) -> dict[str, Tensor]:
        assert logits.shape[1] == self.num_classes
        entropy = -(logits.softmax(1) * logits.log_softmax(1)).sum(1).mean()
        loss = nn.functional.cross_entropy(logits, labels, ignore_index=-1)
        return {"loss": loss + self.weight * entropy, "my_term": entropy}


class TwoLayers(Network):
    """Two convolutions of the engine of the run."""

    def __init__(
        self, in_channels: int, out_channels: int, width: int = 4, engine: sparse.Engine | None = None
    ) -> None:
        super().__init__()
        self.feature_channels = width
        self.stem = engine.Convolution(in_channels, width, 3)
        self.relu = engine.ReLU()
        self.final = engine.Convolution(width, out_channels, 1, bias=True)

    def forward_features(self, x: sparse.SparseTensor) -> sparse.SparseTensor:
        return self.relu(self.stem(x))

    @property
    def receptive_radius(self) -> int:
        return 1


@dataclass(frozen=True)
class Planes:
    """Scenes of two planes, wall and floor, that the data set writes as processed scenes itself."""

    name: str
    root: Path
    scenes: int
    raw: Path | None = None
    voxel_size: float = 0.25

    def space(self) -> LabelSpace:
        return label_space("scannet200")

    def preprocess(self, splits: Sequence[str] | None, workers: int, shard: tuple[int, int] = (1, 1)) -> Summary:
        missing = [
            (split, self.root / split / f"plane{number:02d}")
            for split in splits or ("train", "val", "test")
            for number in range(self.scenes)
        ]
        for split, folder in missing:
            write_scene(folder, self._arrays(f"{split}{folder.name}"))
        return Summary(done=len(missing), skipped=0, failed=())

    def _arrays(self, name: str) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(list(name.encode()))
        points = rng.uniform(0, 3, (400, 3))
        floor = np.arange(400) < 200
        points[floor, 2] = points[~floor, 0] = 0
        values = {"coord": points, "color": rng.integers(0, 256, (400, 3)), "normal": np.eye(3)[np.where(floor, 2, 0)]}
        labels = np.where(floor, 2, 0)  # floor, wall
        values |= {self.space().array: labels, "instance": labels}
        return {key: array.astype(ARRAYS.get(key, (np.int16,))[0]) for key, array in values.items()}


@dataclass(frozen=True)
class Lift:
    """Moves a scene up by at most ``height`` meters."""

    height: float

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        shift = torch.tensor([0.0, 0.0, self.height]) * torch.rand((), generator=rng)
        return replace(scene, coord=scene.coord + shift)


@dataclass(frozen=True)
class GrayStructure:
    """Takes the color from walls, floors and other structure: a step that needs to know the classes."""

    structure: Sequence[int]
    gray: float = 127.0

    def __call__(self, scene: Scene, rng: torch.Generator) -> Scene:
        assert self.structure
        color = scene.color.clone()
        color[torch.isin(scene.segment, torch.tensor(list(self.structure)))] = self.gray
        return replace(scene, color=color)


class JsonLogger:
    """One line of JSON a step."""

    def __init__(self, run_dir: Path, start: float, file: str) -> None:
        self._file = (run_dir / file).open("a" if start else "w")

    def log(self, values: Mapping[str, float]) -> None:
        self._file.write(json.dumps(dict(values)) + "\n")

    def close(self) -> None:
        self._file.close()


class CountingEngine:
    """The layers of the native engine; counts the convolutions that are made and those that run."""

    SparseTensor = sparse.SparseTensor
    TransposedConvolution = sparse.TransposedConvolution
    BatchNorm = sparse.BatchNorm
    ReLU = sparse.ReLU

    def __init__(self) -> None:
        self.made = self.calls = 0

    def Convolution(self, *args, **kwargs):
        self.made += 1
        layer = sparse.Convolution(*args, **kwargs)
        layer.register_forward_pre_hook(self.count)
        return layer

    def count(self, layer, args) -> None:
        self.calls += 1


counting = CountingEngine()
