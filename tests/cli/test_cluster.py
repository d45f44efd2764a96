"""preprocess, predict and evaluate on a Dask cluster of three worker processes: the results of one machine."""

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import dask
import numpy as np
import pytest
import torch
from distributed import LocalCluster

import ceco3d
from ceco3d.models import build_model
from ceco3d.preprocessing import pipeline
from ceco3d.preprocessing.pipeline import preprocess_scenes
from ceco3d.utils import cluster as cluster_module
from ceco3d.utils.cluster import connected
from tests.helpers.dying_worker import die_on_scene1
from tests.helpers.raw_scene import write_raw_root

SCENES = 30
STUCK = "scans/scene0003_00/scene0003_00_vh_clean_2.ply"


@pytest.fixture(scope="module")
def workers():
    """The cluster. A job may kill one worker; the second death is its own fault."""
    settings = {"n_workers": 3, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}), LocalCluster(**settings) as made:
        yield made


@pytest.fixture(scope="module")
def dask_keys(workers):
    return ["executor=dask", f"scheduler={workers.scheduler_address}"]


@pytest.fixture(scope="module")
def raw_and_files(tmp_path_factory):
    """A raw root, and the files that one machine makes of it."""
    folder = tmp_path_factory.mktemp("raw")
    raw = write_raw_root(folder / "raw", train=SCENES - 4, val=3, test=1, size=(50, 40))
    preprocess_scenes(raw, folder / "root", None, 2, True)
    return raw, files_of(folder / "root")


def files_of(root):
    paths = [path for path in root.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


class Pipe:
    """A raw root with a pipe for a mesh: whoever preprocesses its scene hangs until ``release``."""

    def __init__(self, raw):
        self.raw, self.mesh = raw, raw / STUCK
        self.mesh.rename(self.mesh.with_suffix(".real"))
        os.mkfifo(self.mesh)
        self.writer = None

    def wait_for_reader(self):
        end = time.monotonic() + 30
        while self.writer is None and time.monotonic() < end:
            with suppress(OSError):  # nobody reads yet
                self.writer = os.open(self.mesh, os.O_WRONLY | os.O_NONBLOCK)
            time.sleep(0.01)
        assert self.writer is not None

    def readers(self):
        """Process numbers of those that have the pipe open."""
        found = set()
        for link in Path("/proc").glob("[0-9]*/fd/*"):
            with suppress(OSError):
                if os.readlink(link) == str(self.mesh):
                    found.add(int(link.parts[2]))
        return found - {os.getpid()}

    def repair(self):
        self.mesh.with_suffix(".real").replace(self.mesh)

    def release(self):
        os.close(self.writer)


@pytest.fixture
def pipe(tmp_path, raw_and_files):
    shutil.copytree(raw_and_files[0], tmp_path / "raw")
    return Pipe(tmp_path / "raw")


def preprocess_keys(raw, root, dask_keys):
    return ["dataset=scannet200", f"dataset.raw={raw}", f"dataset.root={root}", *dask_keys]


# --- preprocess ---


def test_a_worker_killed_in_the_middle_costs_nothing(run_command, pipe, raw_and_files, dask_keys, tmp_path):
    root, killed = tmp_path / "root", []
    (root / "train" / ".scene0000_00.0123.tmp").mkdir(parents=True)  # as a killed worker leaves it

    def kill():
        pipe.wait_for_reader()
        (worker,) = pipe.readers()
        pipe.repair()
        os.kill(worker, signal.SIGKILL)
        killed.append(worker)
        pipe.release()

    killer = threading.Thread(target=kill)
    killer.start()
    outcome = run_command("preprocess", *preprocess_keys(pipe.raw, root, dask_keys))
    killer.join()
    assert outcome.code == 0, outcome.err
    assert killed
    assert f"{SCENES} scenes made, 0 were there, 0 failed" in outcome.out
    assert files_of(root) == raw_and_files[1]
    assert not list(root.glob("*/.*"))
    again = run_command("preprocess", *preprocess_keys(pipe.raw, root, dask_keys))
    assert f"0 scenes made, {SCENES} were there" in again.out


def test_only_the_scene_that_kills_its_workers_fails(raw_and_files, dask_keys, tmp_path):
    raw = raw_and_files[0]
    jobs = [pipeline.Job(raw / f"scans/scene{i:04d}_00", tmp_path / f"root/scene{i}", False, True) for i in range(6)]
    (tmp_path / "root").mkdir()
    die = partial(die_on_scene1, labels=None)
    with connected(dask_keys[1].partition("=")[2]):
        outcomes = {job.source.name: reason for job, reason in pipeline.run_jobs(die, jobs, 1)}
    assert outcomes.pop("scene0001_00") == "its worker process died (killed, or out of memory?)"
    assert set(outcomes.values()) == {None}
    assert len(list((tmp_path / "root").glob("scene*"))) == 5


def test_ctrl_c_lets_running_scenes_finish_and_drops_the_others(run_command, pipe, raw_and_files, dask_keys, tmp_path):
    root, keys = tmp_path / "root", preprocess_keys(pipe.raw, tmp_path / "root", dask_keys)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-m", "ceco3d.preprocess", *keys]
    run = subprocess.Popen(command, env=environment, start_new_session=True, **streams)
    pipe.wait_for_reader()
    run.send_signal(signal.SIGINT)
    time.sleep(1)
    assert run.poll() is None  # waits for the scene that hangs
    pipe.release()  # an empty mesh
    output, errors = run.communicate(timeout=30)
    assert (run.returncode, output, errors) == (130, "", "interrupted\n")
    assert not list(root.glob("*/.*"))
    assert files_of(root).items() < raw_and_files[1].items()
    pipe.repair()
    assert run_command("preprocess", *keys).code == 0
    assert files_of(root) == raw_and_files[1]


def test_a_path_that_workers_cannot_see_names_their_host(run_command, raw_and_files, dask_keys, tmp_path):
    here = os.open(raw_and_files[0], os.O_RDONLY)
    os.dup2(here, 777)
    try:
        keys = preprocess_keys("/proc/self/fd/777", tmp_path / "root", dask_keys)  # another folder in each process
        outcome = run_command("preprocess", *keys)
    finally:
        os.close(here)
        os.close(777)
    assert outcome.code == 2
    assert f"scene0000_00: not visible on worker {platform.node()} (No such file or directory); all" in outcome.err
    assert not list((tmp_path / "root").glob("*/scene*"))


# --- predict and evaluate ---


@pytest.fixture
def scored(raw_and_files, monkeypatch):
    """Keys that select the scenes that one machine has made, with a relative path."""
    monkeypatch.chdir(raw_and_files[0].parent)
    return ["dataset=scannet200", "dataset.raw=null", "dataset.root=root", "split=val"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("run") / "checkpoints" / "best.pt"
    path.parent.mkdir()
    model = {"name": "MinkUNet14A", "in_channels": 3, "out_channels": 200, "stem_kernel": 3}
    setup = {"model": model, "label_space": "scannet200", "features": ["color"], "voxel_size": 0.2}
    torch.save({"setup": setup, "model": build_model(**model).state_dict()}, path)
    return path


@pytest.mark.slow
def test_predict_writes_and_prints_the_same(run_command, checkpoint, dask_keys, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "scans").mkdir()
    for name, side in (("a", 4.0), ("b", 0.1), ("c", 3.0)):
        rows = np.c_[rng.random((500, 3)) * side, rng.integers(0, 256, (500, 3))]
        np.savetxt(tmp_path / "scans" / f"{name}.xyz", rows, "%.4f %.4f %.4f %d %d %d")
    (tmp_path / "scans" / "d.ply").write_text("ply\nnothing")
    keys = [f"checkpoint={checkpoint}", f"input={tmp_path / 'scans'}", "voxel_size=0.25"]
    local = run_command("predict", *keys, f"out={tmp_path / 'local'}")
    remote = run_command("predict", *keys, f"out={tmp_path / 'remote'}", *dask_keys)
    assert files_of(tmp_path / "remote") == files_of(tmp_path / "local")
    assert len(files_of(tmp_path / "remote")) == 3 * 6  # .ply, .xyz, .labels.txt, .summary.json, .html, .png
    assert (local.code, remote.code) == (2, 2)
    for found, wanted in ((remote.out, local.out), (remote.err, local.err)):
        there = found.replace(str(tmp_path / "remote"), str(tmp_path / "local"))
        assert sorted(there.splitlines()) == sorted(wanted.splitlines())
    assert remote.err.splitlines()[-1] == f"error: 1 of 4 scans failed: {tmp_path / 'scans/d.ply'}"


@pytest.mark.slow
def test_evaluate_gives_the_same_scores(run_command, checkpoint, scored, dask_keys, tmp_path):
    keys = [f"checkpoint={os.path.relpath(checkpoint)}", *scored]
    local = run_command("evaluate", *keys, f"out={tmp_path / 'local'}")
    remote = run_command("evaluate", *keys, f"out={tmp_path / 'remote'}", *dask_keys)
    assert (local.code, remote.code) == (0, 0), remote.err
    a, b = files_of(tmp_path / "local"), files_of(tmp_path / "remote")
    assert a.keys() == b.keys()
    for name in ("metrics.json", "scenes.json", "evaluation.json", "confusion.npz", "scores.md"):
        assert a[name] == b[name], name
    assert remote.out.replace("remote", "local") == local.out
    expected, measured = (json.loads(files["neural_collapse.json"])["all"] for files in (a, b))
    assert measured.pop("nearest_center") == expected.pop("nearest_center")  # the same sample of points
    assert measured["nc1"] == pytest.approx(expected["nc1"])


def test_a_checkpoint_that_changes_is_noticed(run_command, checkpoint, scored, dask_keys, tmp_path, monkeypatch):
    other = {"checkpoint": "x", "checkpoint_sha256": "0" * 64}
    monkeypatch.setattr("ceco3d.inference.on_cluster.checkpoint_source", lambda path: other)
    outcome = run_command("evaluate", f"checkpoint={checkpoint}", *scored, f"out={tmp_path / 'out'}", *dask_keys)
    assert outcome.code == 2
    assert f"best.pt: worker {platform.node()} sees another file there, or it has changed" in outcome.err


# --- errors before the start ---


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["executor=dask"], r"executor=dask: set scheduler=tcp://HOST:8786"),
        (["scheduler=tcp://a:1"], r"scheduler=tcp://a:1: only used with executor=dask"),
        (["executor=slurm"], r"executor=slurm.*local.*dask"),
        (["executor=dask", "scheduler=tcp://127.0.0.1:9"], r"scheduler=tcp://127\.0\.0\.1:9: no Dask scheduler"),
        (["executor=dask", "scheduler=nonsense://x"], r"scheduler=nonsense://x: no Dask scheduler"),
        (["executor=dask", "scheduler=no.such.host.invalid:8786"], r"no Dask scheduler"),
    ],
)
def test_a_scheduler_that_does_not_answer(run_command, tmp_path, monkeypatch, keys, message):
    monkeypatch.setattr(cluster_module, "PATIENCE_SECONDS", 0.5)
    check_refused(run_command, tmp_path, keys, message)


def check_refused(run_command, tmp_path, keys, message):
    outcome = run_command("preprocess", "dataset.size=tiny", f"dataset.raw={tmp_path / 'raw'}", *keys)
    assert outcome.code == 2
    assert outcome.out == ""
    (line,) = outcome.err.splitlines()
    assert re.search(message, line), line
    assert not (tmp_path / "raw").exists()


def test_a_scheduler_without_workers(run_command, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_module, "PATIENCE_SECONDS", 1.0)
    with LocalCluster(n_workers=0, processes=True, dashboard_address=None) as empty:
        keys = ["executor=dask", f"scheduler={empty.scheduler_address}"]
        check_refused(run_command, tmp_path, keys, "it has no workers; start some with `dask worker tcp://")


def test_workers_of_another_version(run_command, tmp_path, dask_keys, monkeypatch):
    monkeypatch.setattr(ceco3d, "__version__", "9.9")
    check_refused(run_command, tmp_path, dask_keys, r"worker tcp://\S+ runs ceco3d 0\.\S+, here it is 9\.9: install")


def test_distributed_is_missing(run_command, tmp_path, dask_keys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    check_refused(run_command, tmp_path, dask_keys, r"package distributed is missing: pip install 'ceco3d\[cluster\]'")
