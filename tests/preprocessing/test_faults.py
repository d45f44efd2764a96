"""Preprocessing killed at every change of its root, beside other runs, on a full disk, with few open files."""

import resource
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import Future

import numpy as np
import pytest

from ceco3d.data.labels import label_space
from ceco3d.data.scenes.processed import read_scene
from ceco3d.preprocessing import pipeline
from ceco3d.preprocessing.labeled import pipeline as labeled_pipeline
from ceco3d.preprocessing.labeled.dataset import Folder
from ceco3d.preprocessing.pipeline import locked_root, preprocess_scenes
from ceco3d.utils.errors import UserError
from tests.helpers.faults import files_in, killed_everywhere, small_disk
from tests.helpers.raw_scene import GROUPS, write_raw_root, write_raw_scene

SPACE = label_space("scannet200")


@pytest.fixture
def in_this_process(monkeypatch):
    """Scenes are made one after the other in the process of the command, which dies with them."""

    def run(function, jobs, _workers):
        for job in jobs:
            future = Future()
            future.set_result(function(job))
            yield job, future

    monkeypatch.setattr(pipeline, "run_parallel", run)
    monkeypatch.setattr(labeled_pipeline, "run_parallel", run)


def scannet(folder):
    raw = write_raw_root(folder / "raw")
    return lambda root: preprocess_scenes(raw, root, None, 1, True)


def own_scans(folder):
    rng = np.random.default_rng(0)
    for split, name in (("train", "a"), ("train", "b"), ("val", "c")):
        (folder / "raw" / split).mkdir(parents=True, exist_ok=True)
        rows = np.column_stack([rng.random((50, 3)), rng.integers(1, 4, 50)])
        np.savetxt(folder / "raw" / split / f"{name}.csv", rows, "%g", ",", header="x,y,z,label", comments="")
    return lambda root: Folder("mine", folder / "raw", root).preprocess(None, 1)


def annotate_anew(raw, name):
    shutil.rmtree(raw / "scans" / name)
    write_raw_scene(raw / "scans", name, GROUPS[:2])


def scenes(files):
    """What readers take for scenes: the names of their arrays, and the content."""
    found = {}
    for name, content in files.items():
        split, _, rest = name.partition("/")
        if rest and split[0] != "." and rest[0] != ".":
            scene, _, array = rest.partition("/")
            found.setdefault(f"{split}/{scene}", {})[array] = content
    return found


@pytest.mark.slow
@pytest.mark.parametrize("make", [scannet, own_scans])
def test_killed_at_any_change_nothing_is_half_there_and_the_next_run_ends_as_if_nothing_was(
    tmp_path, make, in_this_process
):
    run, root, moments = make(tmp_path), tmp_path / "root", []
    run(tmp_path / "whole")
    whole = files_in(tmp_path / "whole")
    for moment in killed_everywhere(lambda: run(root), root):
        moments.append(moment)
        assert scenes(files_in(root)).items() <= scenes(whole).items(), moment
        run(root)
        assert files_in(root) == whole, moment
        shutil.rmtree(root)
    assert len(moments) > 20


def test_a_scene_made_anew_is_the_old_one_until_it_is_whole(tmp_path, in_this_process):
    raw, root = write_raw_root(tmp_path / "raw"), tmp_path / "root"

    def run():
        preprocess_scenes(raw, root, ["val"], 1, True)

    run()
    old = scenes(files_in(root))
    annotate_anew(raw, "scene0002_00")
    shutil.copytree(root, tmp_path / "old")
    run()
    new = scenes(files_in(root))
    assert old.keys() == new.keys()
    found = []
    shutil.rmtree(root)
    shutil.copytree(tmp_path / "old", root)
    for moment in killed_everywhere(run, root):
        found.append(scenes(files_in(root)))
        assert found[-1] in (old, {}, new), moment
        run()
        assert scenes(files_in(root)) == new, moment
        shutil.rmtree(root)
        shutil.copytree(tmp_path / "old", root)
    assert found.count(old) > 8
    assert 0 < found.count({}) < 8, "while the record is written"


def test_runs_on_all_scenes_wait_for_shards_and_shards_do_not_wait_for_each_other(tmp_path, caplog):
    order = []

    def whole():
        with locked_root(tmp_path, (1, 1)):
            order.append("whole")

    with locked_root(tmp_path, (1, 2)):
        thread = threading.Thread(target=whole)
        thread.start()
        with locked_root(tmp_path, (2, 2)):
            order.append("second shard")
        time.sleep(0.2)
        order.append("first shard")
    thread.join(timeout=30)
    assert order == ["second shard", "first shard", "whole"]
    assert "waiting for another run" in caplog.text


@pytest.mark.slow
def test_two_commands_on_different_splits_of_one_root(tmp_path):
    raw = write_raw_root(tmp_path / "raw")
    preprocess_scenes(raw, tmp_path / "whole", None, 1, True)
    command = [sys.executable, "-m", "ceco3d.preprocess", "dataset=scannet200", f"dataset.raw={raw}", "workers=1"]
    commands = [
        [*command, f"dataset.root={tmp_path / 'root'}", f"splits=[{splits}]"] for splits in ("train", "val,test")
    ]
    limit = (64, 64)  # of open files
    runs = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit),
        )
        for command in commands
    ]
    for run in runs:
        out, _ = run.communicate(timeout=120)
        assert run.returncode == 0, out
    assert files_in(tmp_path / "root") == files_in(tmp_path / "whole")


def test_a_full_disk_ends_the_run_with_one_line_and_keeps_what_is_finished(tmp_path):
    raw = write_raw_root(tmp_path / "raw")
    with small_disk(tmp_path / "disk", 36 << 10) as root:  # a page for each file
        with pytest.raises(UserError, match=r"disk: cannot be written \(No space left on device\): free some space"):
            preprocess_scenes(raw, root, None, 1, True)
        assert not list(root.glob("*/.*"))
        for scene in root.glob("*/scene*"):
            assert read_scene(scene, SPACE).coord.shape == (12, 3)
        subprocess.run(["mount", "-o", "remount,size=1m", str(root)], check=True)
        assert preprocess_scenes(raw, root, None, 1, True).failed == ()
        preprocess_scenes(raw, tmp_path / "whole", None, 1, True)
        assert files_in(root) == files_in(tmp_path / "whole")


def test_a_scene_that_does_not_fit_leaves_the_older_one(tmp_path):
    raw = write_raw_root(tmp_path / "raw")
    with small_disk(tmp_path / "disk", 80 << 10) as root:
        preprocess_scenes(raw, root, ["val"], 1, True)
        before = files_in(root / "val")
        annotate_anew(raw, "scene0002_00")
        (root / "filler").write_bytes(bytes(44 << 10))
        with pytest.raises(UserError, match="No space left on device"):
            preprocess_scenes(raw, root, ["val"], 1, True)
        assert files_in(root / "val") == before
