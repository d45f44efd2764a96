"""Preprocessing: what it writes, and that it can be stopped at any moment."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from ceco3d.data.labels import label_space
from ceco3d.data.scenes import frequency
from ceco3d.data.scenes.colors import GRAY
from ceco3d.data.scenes.frequency import class_frequency
from ceco3d.data.scenes.normals import missing_normals
from ceco3d.data.scenes.processed import list_scenes, read_scene, write_scene
from ceco3d.preprocessing import pipeline
from ceco3d.preprocessing.label_table import read_label_table
from ceco3d.preprocessing.pipeline import preprocess_scenes
from ceco3d.preprocessing.scannet import read_scene as read_raw_scene
from ceco3d.preprocessing.summary import Summary, summary_lines
from ceco3d.utils.errors import UserError
from tests.helpers.dying_worker import die_on_scene1
from tests.helpers.raw_scene import GROUPS, TABLE_NAME, write_raw_root, write_raw_scene, write_table

SCANNET200 = label_space("scannet200")
NAMES = ("coord", "color", "normal", "segment20", "segment200", "instance")

RUN = """
import sys
from pathlib import Path
from ceco3d.preprocessing.pipeline import preprocess_scenes

if __name__ == "__main__":
    raw, root, workers = sys.argv[1:]
    try:
        summary = preprocess_scenes(Path(raw), Path(root), None, int(workers), True)
    except KeyboardInterrupt:
        sys.exit(130)
    print(summary.done, summary.skipped, len(summary.failed))
"""


@pytest.fixture
def raw(tmp_path):
    return write_raw_root(tmp_path / "raw")


@pytest.fixture
def arrays(tmp_path):
    labels = read_label_table(write_table(tmp_path / "table"))
    return read_raw_scene(write_raw_scene(tmp_path / "one"), labels, annotated=True, align=True)


def files_of(root):
    """Relative path -> bytes of everything but the lock."""
    paths = [path for path in root.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def start(tmp_path, raw, root, workers):
    script = tmp_path / "run.py"
    script.write_text(RUN)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, str(script), str(raw), str(root), str(workers)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment, start_new_session=True)


# Processed scenes


@pytest.mark.parametrize("space", ["scannet20", "scannet200"])
def test_written_scene_reads_back(tmp_path, arrays, space):
    folder = tmp_path / "val" / "scene0000_00"
    write_scene(folder, arrays)
    scene = read_scene(folder, label_space(space))
    assert scene.name == "scene0000_00"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["scene0000_00"]
    for name, tensor in scene.tensors().items():
        expected = arrays[name if name != "segment" else space.replace("scannet", "segment")]
        assert tensor.dtype == (torch.int64 if name in ("segment", "instance") else torch.float32)
        np.testing.assert_array_equal(tensor.numpy(), expected)


def test_changing_a_read_scene_leaves_the_file_alone(tmp_path, arrays):
    write_scene(tmp_path / "scene", arrays)
    read_scene(tmp_path / "scene", SCANNET200).coord.zero_()
    np.testing.assert_array_equal(read_scene(tmp_path / "scene", SCANNET200).coord.numpy(), arrays["coord"])


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
def test_read_pointcept_train_scene(tmp_path, arrays, dtype):
    for name in ("coord", "color"):
        np.save(tmp_path / f"{name}.npy", arrays[name])
    for name in ("segment20", "segment200", "instance"):
        np.save(tmp_path / f"{name}.npy", arrays[name].astype(dtype))
    scene = read_scene(tmp_path, SCANNET200)
    assert scene.segment.tolist() == arrays["segment200"].tolist()
    assert scene.instance.tolist() == arrays["instance"].tolist()
    np.testing.assert_array_equal(scene.normal.numpy(), missing_normals(arrays["coord"]))


def test_read_pointcept_test_scene(tmp_path, arrays):
    for name in ("coord", "color", "normal"):
        np.save(tmp_path / f"{name}.npy", arrays[name])
    scene = read_scene(tmp_path, label_space("scannet20"))
    assert scene.segment.tolist() == scene.instance.tolist() == [-1] * 12


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("coord", lambda array: array[:, :2], r"coord\.npy is float32 \(12, 2\), not float \(N, 3\)"),
        ("coord", lambda array: array[:0], "no points"),
        ("coord", lambda array: array.astype(np.int32), "not float"),
        ("color", lambda array: array[:5], r"not uint8 \(12, 3\)"),
        ("color", lambda array: array.astype(np.complex64), "not uint8"),
        ("normal", lambda array: array.ravel(), r"normal\.npy is float32 \(36,\), not float \(12, 3\)"),
        ("segment200", lambda array: array[:3], r"not int \(12,\)"),
        ("segment200", lambda array: array.astype(np.float32), r"not int \(12,\)"),
        ("segment200", lambda array: array + 199, r"labels 198\.\.201, not training indices -1\.\.199"),
        ("segment200", lambda array: array - 1, r"labels -2\.\.1"),
        ("instance", lambda array: array[:3], r"not int \(12,\)"),
        ("instance", lambda array: np.array({"a": 1}), "damaged"),
    ],
)
def test_read_scene_errors(tmp_path, arrays, name, change, message):
    write_scene(tmp_path / "scene", arrays)
    np.save(tmp_path / "scene" / f"{name}.npy", change(arrays[name]))
    with pytest.raises(UserError, match=message) as error:
        read_scene(tmp_path / "scene", SCANNET200)
    assert f"{name}.npy" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["coord", "color", "segment200"])
def test_truncated_and_missing_files(tmp_path, arrays, name):
    write_scene(tmp_path / "scene", arrays)
    path = tmp_path / "scene" / f"{name}.npy"
    for size in (140, 20, 0):
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(UserError, match=f"{name}.npy is damaged"):
            read_scene(tmp_path / "scene", SCANNET200)
    path.unlink()
    if name == "color":
        assert (read_scene(tmp_path / "scene", SCANNET200).color == GRAY).all()
        return
    with pytest.raises(UserError, match=f"{name}.npy is missing"):
        read_scene(tmp_path / "scene", SCANNET200)


def test_unknown_label_space():
    with pytest.raises(UserError, match="unknown label space 'nyu40'"):
        label_space("nyu40")


def test_write_scene_refuses_other_types_and_leaves_nothing(tmp_path, arrays):
    for bad in ({"color": arrays["color"].astype(np.float32)}, {"segment20": arrays["segment20"][:4]}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            write_scene(tmp_path / "root" / "scene", arrays | bad)
    assert not (tmp_path / "root").exists()


def test_failed_write_leaves_nothing(tmp_path, arrays, monkeypatch):
    real_save = np.save

    def full_disk(path, array):
        if path.stem == "segment200":
            raise OSError(28, "No space left on device")
        real_save(path, array)

    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_scene(tmp_path / "root" / "scene", arrays)
    assert list((tmp_path / "root").iterdir()) == []


def test_list_scenes(tmp_path):
    with pytest.raises(UserError, match=r"train does not exist: .*ceco3d\.preprocess"):
        list_scenes(tmp_path, "train")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / ".scene0000_00.x.tmp").mkdir()
    (tmp_path / "train" / "notes.txt").write_text("")
    with pytest.raises(UserError, match="train is empty"):
        list_scenes(tmp_path, "train")
    for name in ("scene0002_00", "scene0001_01"):
        (tmp_path / "train" / name).mkdir()
    assert [path.name for path in list_scenes(tmp_path, "train")] == ["scene0001_01", "scene0002_00"]


# Preprocessing


def test_every_split_is_written_once(tmp_path, raw, monkeypatch):
    root = tmp_path / "root"
    assert preprocess_scenes(raw, root, None, 2, True) == Summary(done=4, skipped=0, failed=())
    assert [path.name for path in list_scenes(root, "train")] == ["scene0000_00", "scene0001_00"]
    assert [path.name for path in list_scenes(root, "val")] == ["scene0002_00"]
    assert sorted(path.stem for path in (root / "val" / "scene0002_00").iterdir()) == sorted(NAMES)
    assert set(read_scene(list_scenes(root, "test")[0], SCANNET200).segment.tolist()) == {-1}
    scene = read_scene(list_scenes(root, "val")[0], SCANNET200)
    assert scene.segment.tolist() == [0] * 4 + [2] * 5 + [1] * 2 + [-1]
    assert json.loads((root / "preprocess.json").read_text()) == {"format": 1, "align": True}
    before = files_of(root)
    monkeypatch.setattr(pipeline, "run_jobs", None)  # nothing may be started
    assert preprocess_scenes(raw, root, None, 2, True) == Summary(done=0, skipped=4, failed=())
    assert files_of(root) == before


def test_worker_count_does_not_change_a_byte(tmp_path, raw):
    preprocess_scenes(raw, tmp_path / "one", None, 1, True)
    preprocess_scenes(raw, tmp_path / "two", None, 2, True)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_only_the_chosen_splits_are_written(tmp_path, raw):
    (raw / TABLE_NAME).unlink()  # test scenes do not need it
    assert preprocess_scenes(raw, tmp_path / "root", ["test"], 1, True).done == 1
    assert [path.name for path in (tmp_path / "root").glob("[!.]*") if path.is_dir()] == ["test"]


def test_broken_scenes_do_not_stop_the_others(tmp_path, raw):
    (raw / "scans" / "scene0000_00" / "scene0000_00.aggregation.json").unlink()
    shutil.rmtree(raw / "scans_test" / "scene0003_00")
    root = tmp_path / "root"
    summary = preprocess_scenes(raw, root, None, 2, True)
    assert (summary.done, summary.skipped) == (2, 0)
    assert [scene for scene, _ in summary.failed] == ["scene0000_00", "scene0003_00"]
    lines = summary_lines(summary)
    assert lines[0] == "2 scenes preprocessed, 0 already there, 2 failed"
    assert "scene0000_00.aggregation.json" in lines[1]
    assert "scene0003_00 is missing" in lines[2]
    assert not (root / "train" / "scene0000_00").exists()
    write_raw_scene(raw / "scans_test", "scene0003_00", None)
    shutil.rmtree(raw / "scans" / "scene0000_00")
    write_raw_scene(raw / "scans", "scene0000_00", GROUPS)
    assert preprocess_scenes(raw, root, None, 1, True) == Summary(done=2, skipped=2, failed=())


def test_summary_of_many_failures_is_short():
    lines = summary_lines(Summary(0, 0, tuple((f"scene{i:04d}_00", "gone") for i in range(1500))))
    assert len(lines) == 22
    assert lines[-1] == "  and 1480 more"


def test_an_incomplete_scene_is_preprocessed_again(tmp_path, raw):
    root = tmp_path / "root"
    preprocess_scenes(raw, root, None, 1, True)
    before = files_of(root)
    (root / "train" / "scene0001_00" / "segment200.npy").unlink()
    assert preprocess_scenes(raw, root, None, 1, True) == Summary(done=1, skipped=3, failed=())
    assert files_of(root) == before


def test_options_are_never_mixed(tmp_path, raw):
    root = tmp_path / "root"
    preprocess_scenes(raw, root, ["val"], 1, True)
    for splits in (["val"], ["train"]):
        with pytest.raises(UserError, match=r"root was made with .*'align': True.* not .*'align': False"):
            preprocess_scenes(raw, root, splits, 1, False)
    assert not (root / "train").exists()
    (root / "preprocess.json").write_text("{")
    with pytest.raises(UserError, match=r"preprocess\.json is damaged"):
        preprocess_scenes(raw, root, None, 1, True)


def test_root_of_another_program(tmp_path, raw):
    root = tmp_path / "root"
    preprocess_scenes(raw, root, None, 1, True)
    (root / "preprocess.json").unlink()
    assert preprocess_scenes(raw, root, None, 1, False).skipped == 4
    shutil.rmtree(root / "val" / "scene0002_00")
    with pytest.raises(UserError, match=r"has 3 of 4 scenes, made by another program .*preprocess\.json"):
        preprocess_scenes(raw, root, None, 1, False)
    (root / "preprocess.json").write_text('{"format": 1, "align": false}')
    assert preprocess_scenes(raw, root, None, 1, False) == Summary(done=1, skipped=3, failed=())


def test_raw_root_missing(tmp_path):
    for raw, message in ((tmp_path / "nowhere", "there is no folder .*nowhere"), (None, r"dataset\.raw is not set")):
        with pytest.raises(UserError, match=message) as error:
            preprocess_scenes(raw, tmp_path / "root", None, 1, True)
        for word in ("http://www.scan-net.org/", "scans/", "scans_test/", TABLE_NAME, "dataset.raw=", "rooms200"):
            assert word in str(error.value)
    assert not (tmp_path / "root").exists()


def test_other_errors_before_the_start(tmp_path, raw):
    root = tmp_path / "root"
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*dataset\.root="):
        preprocess_scenes(raw, tmp_path / "file" / "root", None, 1, True)
    with pytest.raises(UserError, match="workers is 0"):
        preprocess_scenes(raw, root, None, 0, True)
    with pytest.raises(UserError, match=r"scannetv2_minival\.txt is missing"):
        preprocess_scenes(raw, root, ["minival"], 1, True)
    (raw / TABLE_NAME).unlink()
    with pytest.raises(UserError, match=f"{TABLE_NAME} .*No such file"):
        preprocess_scenes(raw, root, None, 1, True)
    for path in raw.glob("scannetv2_*.txt"):
        path.unlink()
    with pytest.raises(UserError, match="no split list"):
        preprocess_scenes(raw, root, None, 1, True)
    assert not (root / "train").exists()


# Interruptions


@pytest.mark.parametrize("workers", [1, 2])
def test_a_dying_worker_fails_only_its_scene(tmp_path, raw, workers):
    labels = read_label_table(raw / TABLE_NAME)
    names = ("scene0000_00", "scene0001_00", "scene0002_00")
    jobs = [pipeline.Job(raw / "scans" / name, tmp_path / "root" / name, True, True) for name in names]
    outcomes = {
        job.source.name: reason
        for job, reason in pipeline.run_jobs(partial(die_on_scene1, labels=labels), jobs, workers)
    }
    assert outcomes.pop("scene0001_00") == "its worker process died (killed, or out of memory?)"
    assert outcomes == {"scene0000_00": None, "scene0002_00": None}
    assert len(list((tmp_path / "root").glob("scene*"))) == 2


def test_workers_that_keep_dying_end_the_run(tmp_path, raw, monkeypatch):
    job = pipeline.Job(raw / "scans" / "scene0001_00", tmp_path / "root" / "scene", True, True)
    jobs = [pipeline.Job(job.source, job.target.with_name(f"scene{i}"), True, True) for i in range(9)]
    monkeypatch.setattr(pipeline, "MAX_DEATHS", 1)
    with pytest.raises(UserError, match="worker processes died"):
        list(pipeline.run_jobs(partial(die_on_scene1, labels=None), jobs, 1))


@pytest.fixture(scope="module")
def long_job(tmp_path_factory):
    """A raw root whose preprocessing takes a moment, and the files an undisturbed run makes of it."""
    folder = tmp_path_factory.mktemp("long")
    raw = write_raw_root(folder / "raw", train=40, val=1, test=1, size=(50, 40))
    preprocess_scenes(raw, folder / "root", None, 2, True)
    return raw, files_of(folder / "root")


class StuckJob:
    """``long_job`` with one scene whose mesh is a pipe: a run cannot end before it is stopped or the pipe released."""

    def __init__(self, raw, scene):
        self.raw = raw
        self.mesh = raw / scene / f"{Path(scene).name}_vh_clean_2.ply"
        self.mesh.rename(self.mesh.with_suffix(".real"))
        os.mkfifo(self.mesh)

    def hold(self):
        """The writing end of the pipe, or None while nobody reads; closing it gives the reader an empty file."""
        with suppress(OSError):
            return os.open(self.mesh, os.O_WRONLY | os.O_NONBLOCK)

    def repair(self):
        self.mesh.with_suffix(".real").replace(self.mesh)


@pytest.fixture
def stuck(tmp_path, long_job, request):
    shutil.copytree(long_job[0], tmp_path / "stuck")
    return StuckJob(tmp_path / "stuck", request.param)


FIRST, LAST = "scans/scene0000_00", "scans_test/scene0041_00"


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.002)


def session_members(session):
    """Process ids of a session, without zombies."""
    members = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, sid = path.read_text().rpartition(")")[2].split()[:4]
            members += [path.parent.name] if int(sid) == session and state != "Z" else []
    return members


@pytest.mark.parametrize("stuck", [LAST], indirect=True)
@pytest.mark.parametrize("scenes", [0, 1, 15, 41])
def test_a_killed_run_resumes(tmp_path, long_job, stuck, scenes):
    root, expected = tmp_path / "root", long_job[1]
    run = start(tmp_path, stuck.raw, root, 2)
    wait_for(lambda: (root / "preprocess.json").exists() and len(list(root.glob("*/scene*"))) >= scenes)
    run.kill()
    run.communicate(timeout=30)
    wait_for(lambda: not session_members(run.pid))  # no orphan goes on writing
    finished = {path: data for path, data in files_of(root).items() if "/." not in path and not path.endswith(".part")}
    assert finished.items() < expected.items()
    assert all(len(list(folder.iterdir())) == len(NAMES) for folder in root.glob("*/scene*"))
    (root / "train").mkdir(exist_ok=True)
    (root / "train" / ".scene0000_00.0123.tmp").mkdir()  # at the least, one unfinished scene
    stuck.repair()
    summary = preprocess_scenes(stuck.raw, root, None, 2, True)
    assert summary.done > 0
    assert summary.done + summary.skipped == 42
    assert files_of(root) == expected
    assert not list(root.glob("*/.*"))


def finish_interrupted(run, stuck):
    """Let the scene that a worker may be at go, and check that the run then ends without a word."""

    def ended():
        if writer := stuck.hold():
            os.close(writer)
        return run.poll() is not None

    wait_for(ended)
    output, errors = run.communicate(timeout=30)
    assert (run.returncode, output, errors) == (130, "", "")


@pytest.mark.parametrize("stuck", [LAST], indirect=True)
@pytest.mark.parametrize("scenes", [0, 1, 15])
def test_interrupt_ends_cleanly(tmp_path, long_job, stuck, scenes):
    root, expected = tmp_path / "root", long_job[1]
    run = start(tmp_path, stuck.raw, root, 2)
    wait_for(lambda: (root / "preprocess.json").exists() and len(list(root.glob("*/scene*"))) >= scenes)
    os.killpg(run.pid, signal.SIGINT)  # like Ctrl-C, to the workers too
    finish_interrupted(run, stuck)
    assert not list(root.glob("*/.*"))
    assert files_of(root).items() < expected.items()
    stuck.repair()
    assert preprocess_scenes(stuck.raw, root, None, 2, True).failed == ()
    assert files_of(root) == expected


@pytest.mark.parametrize("stuck", [FIRST], indirect=True)
def test_interrupt_drops_the_scenes_that_wait(tmp_path, stuck):
    run, writers = start(tmp_path, stuck.raw, tmp_path / "root", 1), []
    wait_for(lambda: writers or writers.extend(filter(None, [stuck.hold()])))
    os.killpg(run.pid, signal.SIGINT)
    time.sleep(0.5)
    os.close(writers[0])
    finish_interrupted(run, stuck)
    assert len(list((tmp_path / "root").glob("*/scene*"))) < 41


def test_two_runs_at_once_share_the_root(tmp_path, long_job):
    raw, expected = long_job
    root = tmp_path / "root"
    runs = [start(tmp_path, raw, root, 1) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        outputs = list(pool.map(lambda run: run.communicate(timeout=60), runs))
    assert [run.returncode for run in runs] == [0, 0]
    assert sorted(output for output, _ in outputs) == ["0 42 0\n", "42 0 0\n"]
    assert files_of(root) == expected


def test_the_index_follows_the_folder(tmp_path):
    for name in ("b", "a"):
        (tmp_path / "train" / name).mkdir(parents=True)
    os.utime(tmp_path / "train", (1, 1))  # settled
    first = list_scenes(tmp_path, "train")
    assert [folder.name for folder in first] == ["a", "b"]
    assert json.loads((tmp_path / ".index-train.json").read_text())["scenes"] == ["a", "b"]
    (tmp_path / "train" / "c").mkdir()  # the folder's time changes, and is too young to be trusted
    assert [folder.name for folder in list_scenes(tmp_path, "train")] == ["a", "b", "c"]
    (tmp_path / ".index-train.json").write_text("[]")
    assert len(list_scenes(tmp_path, "train")) == 3


def test_classes_of_a_split_are_counted_once(tiny, tmp_path, monkeypatch):
    root = Path(next(o for o in tiny if o.startswith("dataset.root=")).partition("=")[2])
    shutil.copytree(root / "train", tmp_path / "train")
    os.utime(tmp_path / "train", (1, 1))
    folders = list_scenes(tmp_path, "train")
    first = class_frequency(folders, SCANNET200)
    part = class_frequency(folders[:3], SCANNET200)
    assert 0 < part[1].sum() < first[1].sum()
    monkeypatch.setattr(frequency, "read_labels", lambda *_: pytest.fail("counted again"))
    again = class_frequency(folders, SCANNET200)
    assert all(map(torch.equal, first, again))
