"""predict and export killed at every change of their folder, or out of space: whole results, or the earlier ones."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from ceco3d.data.labels import label_space
from ceco3d.data.pointclouds.ply_write import write_ply
from ceco3d.data.scenes.processed import list_scenes
from ceco3d.inference.predictor import Predictor
from ceco3d.inference.scan_labeling import LabelingOptions, label_scans
from ceco3d.inference.submission import export_submission
from ceco3d.models import build_model
from tests.helpers.commands import settings_of
from tests.helpers.faults import files_in, in_child, killed_everywhere, limit_file_size, small_disk

SPACE = label_space("scannet200")


def predictor(seed):
    torch.manual_seed(seed)
    model = build_model(name="MinkUNet14A", in_channels=3, out_channels=200, stem_kernel=3)
    return Predictor(model.eval(), ["color"], 0.25, torch.device("cpu"))


@pytest.fixture(scope="module")
def networks():
    """That of earlier results and another one."""
    return predictor(0), predictor(1)


def predict(network, folder, out):
    """Label the scans in ``folder``: one in PLY, one in a table, which also gets a copy in its own format."""
    scans = [folder / "a.ply", folder / "b.csv"]
    label_scans(network, SPACE, scans, out, LabelingOptions(overwrite=True), folder / "checkpoint")


def write_scans(folder):
    rng = np.random.default_rng(0)
    folder.mkdir()
    (folder / "checkpoint").write_text("")
    coord = rng.random((200, 3)).astype(np.float32) * [1.5, 1.5, 0.1]
    write = {axis: coord[:, i].astype(np.float32) for i, axis in enumerate("xyz")}
    with (folder / "a.ply").open("wb") as file:
        write_ply(file, write, None)
    np.savetxt(folder / "b.csv", coord, delimiter=",", header="x,y,z", comments="")
    return folder


@pytest.fixture(params=["predict", "export"])
def job(request, tmp_path):
    """``job(network, out)`` writes results of a network into a folder."""
    if request.param == "predict":
        scans = write_scans(tmp_path / "scans")
        return lambda network, out: predict(network, scans, out)
    root = settings_of("preprocess", *request.getfixturevalue("tiny")).dataset.root
    folders = list_scenes(Path(root), "val")[:2]
    return lambda network, out: export_submission(network, folders, SPACE, out, "title")


@pytest.fixture
def results(job, networks, tmp_path):
    """The files of both networks."""
    found = []
    for number, network in enumerate(networks):
        job(network, tmp_path / f"whole{number}")
        found.append(comparable(tmp_path / f"whole{number}"))
    assert found[0].keys() == found[1].keys()
    assert found[0] != found[1]
    return found


def comparable(folder):
    """The files; members of a zip have their times in it."""
    files = files_in(folder)
    return {name: content if not name.endswith(".zip") else without_times(content) for name, content in files.items()}


def without_times(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def partial(name):
    return name.endswith(".part")


@pytest.mark.slow
def test_killed_at_any_change_every_file_is_whole_and_the_next_run_repairs_all(job, networks, results, tmp_path):
    out, moments = tmp_path / "out", []
    for moment in killed_everywhere(lambda: job(networks[1], out), out):
        moments.append(moment)
        for name, content in comparable(out).items() if out.exists() else ():
            assert partial(name) or content in [whole[name] for whole in results], (moment, name)
        network = networks[moment % 2]
        job(network, out)  # in the place of the killed one
        assert comparable(out) == results[moment % 2], moment
    assert len(moments) > 5


def test_a_file_that_is_too_large_leaves_the_earlier_results(job, networks, results, tmp_path):
    out = tmp_path / "out"
    job(networks[0], out)
    largest = max(path.stat().st_size for path in (tmp_path / "whole1").iterdir())
    for size in np.linspace(0, largest - 1, 6).astype(int):
        ended = in_child(lambda: job(networks[1], out), before=limit_file_size(int(size)))
        assert ended.code != 0
        assert "File too large" in ended.err
        found = comparable(out)
        assert found.keys() == results[0].keys(), "no parts are left"
        if "submission.zip" in found:
            assert found == results[0]
        for scan in ("a.", "b."):  # each of them is complete
            own = {name: content for name, content in found.items() if name.startswith(scan)}
            assert any(own.items() <= whole.items() for whole in results)


def test_a_full_disk_is_named_and_leaves_the_earlier_results(job, networks, results, tmp_path):
    with small_disk(tmp_path / "disk", 4 << 20) as out:
        job(networks[0], out)
        (out / "filler").touch()
        free = os.statvfs(out).f_bavail * os.statvfs(out).f_frsize
        used = sum(path.stat().st_size for path in out.iterdir())
        for left in np.linspace(0, used, 6).astype(int)[:-1]:
            (out / "filler").write_bytes(bytes(free - int(left)))
            ended = in_child(lambda: job(networks[1], out))
            (out / "filler").write_bytes(b"")
            found = comparable(out)
            del found["filler"]
            assert not any(map(partial, found))
            if ended.code:
                assert any("No space" in line and f"{out}/" in line for line in ended.err.splitlines())
            if "submission.zip" in found:
                assert found == results[0 if ended.code else 1]
            for scan in ("a.", "b."):
                own = {name: content for name, content in found.items() if name.startswith(scan)}
                assert any(own.items() <= whole.items() for whole in results), left
