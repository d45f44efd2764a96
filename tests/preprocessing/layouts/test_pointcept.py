"""Scenes that Pointcept has processed: folders of arrays, and one safetensors file a scene."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from ceco3d.data.pointclouds.columns import scan_intensity
from ceco3d.data.pointclouds.files import read_scan
from ceco3d.data.scenes.processed import read_scene
from ceco3d.preprocessing.labeled.dataset import Folder
from ceco3d.utils.errors import UserError

COUNT = 200


def arrays(seed, columns=1):
    rng = np.random.default_rng(seed)
    segment = rng.integers(0, 3, COUNT).astype(np.int32)
    return {
        "coord": rng.uniform(0, 3, (COUNT, 3)).astype(np.float32),
        "color": rng.integers(0, 256, (COUNT, 3)).astype(np.uint8),
        "normal": np.tile(np.array([0, 0, 1], np.float32), (COUNT, 1)),
        "segment": np.stack([segment] + [segment * 0 - 1] * (columns - 1), 1),
        "instance": np.arange(COUNT, dtype=np.int32)[:, None] // 20,
        "strength": rng.random((COUNT, 1)).astype(np.float32),
    }


def write_folder(path, values):
    path.mkdir(parents=True)
    for name, array in values.items():
        np.save(path / f"{name}.npy", array)


def write_file(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "index.json").write_text('{"scenes": {}}')
    save_file(values, path.with_suffix(".safetensors"))


@pytest.mark.parametrize("write", [write_folder, write_file])
@pytest.mark.parametrize("columns", [1, 3])
def test_scenes_are_labeled_scans(tmp_path, write, columns):
    for seed, split in enumerate(("train", "val")):
        write(tmp_path / "raw" / split / f"scene{seed}", arrays(seed, columns))
    dataset = Folder("mine", tmp_path / "raw", tmp_path / "root")
    assert dataset.preprocess(None, 1).done == 2
    scene = read_scene(tmp_path / "root" / "val" / "scene1", dataset.space(), features=("coord", "intensity"))
    expected = arrays(1, columns)
    assert scene.segment.tolist() == expected["segment"][:, 0].tolist()
    assert scene.instance.tolist() == expected["instance"][:, 0].tolist()
    assert scene.color.tolist() == expected["color"].tolist()
    assert scene.intensity.numpy() == pytest.approx(expected["strength"][:, 0])


@pytest.mark.parametrize("write", [write_folder, write_file])
def test_prediction_sees_the_intensity(tmp_path, write):
    write(tmp_path / "train" / "scene0", arrays(0))
    path = next(path for path in (tmp_path / "train").iterdir() if path.name.startswith("scene0"))
    assert scan_intensity(read_scan(path)) == pytest.approx(arrays(0)["strength"][:, 0])


@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0{}", b"\xff" * 64])
def test_damaged_safetensors_files_are_errors_that_name_them(tmp_path, content):
    (tmp_path / "scene.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"scene\.safetensors: damaged"):
        read_scan(tmp_path / "scene.safetensors")


def test_safetensors_files_without_points_name_their_tensors(tmp_path):
    save_file({"weight": np.zeros((3, 3))}, tmp_path / "scene.safetensors")
    with pytest.raises(UserError, match=r"scene\.safetensors: has no array named coord, .* only weight"):
        read_scan(tmp_path / "scene.safetensors")
