"""Public names: each package exports them, without importing torch where preprocessing needs to start fast."""

import importlib
import subprocess
import sys

import numpy as np
import pytest

from ceco3d.data import Collate, SceneDataset, make_batch, make_loader
from ceco3d.data.labels import label_space
from ceco3d.data.scenes import read_scene, write_scene

PACKAGES = [f"ceco3d.{name}" for name in ("data", "data.scenes", "data.transforms", "data.pointclouds", "utils")]


def test_preprocessing_workers_do_not_import_torch():
    code = "import sys, ceco3d.preprocessing.pipeline; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("package", PACKAGES)
def test_every_exported_name_exists(package):
    module = importlib.import_module(package)
    assert module.__all__
    assert list(module.__all__) == sorted(set(module.__all__))
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="no attribute"):
        module.nothing_of_this_name  # noqa: B018


@pytest.mark.parametrize("package", ["ceco3d.data", "ceco3d.data.scenes", "ceco3d.data.pointclouds", "ceco3d.utils"])
def test_a_lazy_name_is_not_hidden_by_a_module(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(f"{package}.{name}")


def test_plain_values_are_enough_for_batches(tmp_path):
    """As in a notebook: no configuration, paths as text."""
    count = 200
    rng = np.random.default_rng(0)
    labels = {name: np.zeros(count, np.int16) for name in ("segment20", "segment200", "instance")}
    color = rng.integers(0, 256, (count, 3)).astype(np.uint8)
    arrays = {"coord": rng.random((count, 3), np.float32), "color": color, "normal": np.zeros((count, 3), np.float32)}
    write_scene(tmp_path / "room", arrays | labels)
    dataset = SceneDataset([str(tmp_path / "room")], label_space("scannet20"))
    (batch,) = make_loader(dataset, Collate(0.05, ["color", "coord"]))
    alone = make_batch([read_scene(tmp_path / "room", label_space("scannet20"))], 0.05, ["color", "coord"])
    assert batch.features.shape == (len(batch), 6)
    assert (batch.features == alone.features).all()
    with pytest.raises(ValueError, match="pass a seed"):
        Collate(0.05, ["color"], transforms=lambda scene, rng: scene)
