"""Commands as a user meets them: output, bad input, exit codes."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from plyfile import PlyData

from ceco3d.data.labels import label_space
from ceco3d.training.run import train
from tests.helpers.commands import settings_of
from tests.helpers.raw_scene import write_raw_root

RUN = ["model=minkunet14a", "model.stem_kernel=3", "voxel_size=0.25", "trainer.epochs=1", "trainer.batch_size=7"]


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory) -> Path:
    """A short training run."""
    run_dir = tmp_path_factory.mktemp("run")
    train(settings_of("train", *tiny, *RUN, f"run_dir={run_dir}"))
    return run_dir


def same_scores(scores, in_training):
    """Folded batch norms round differently: a label in thousands may change."""
    for key in ("miou", "head", "common", "tail", "per_class"):
        assert scores[key] == pytest.approx(in_training[key], abs=5e-3)
    assert scores["accuracy"] == pytest.approx(in_training["accuracy"], abs=1e-3)


def test_evaluate_scores_a_checkpoint(run_command, tiny, trained):
    outcome = run_command("evaluate", f"checkpoint={trained}/checkpoints/last.pt", *tiny, "fragments=false")
    assert outcome.code == 0, outcome.err
    for word in ("present", "union", "zero_filled", "head", "tail"):
        assert word in outcome.out
    scores = json.loads((trained / "evaluate-val/metrics.json").read_text())
    same_scores(scores, json.loads((trained / "metrics.json").read_text()))
    folders = (trained / "evaluate-val", trained)
    measures, in_training = (json.loads((folder / "neural_collapse.json").read_text())["all"] for folder in folders)
    for name in ("nc1", "self_duality", "nearest_center"):
        assert measures[name] == pytest.approx(in_training[name], rel=1e-3)
    assert "| CeCo | 34.0 | 55.1 | 24.7 | 18.1 |" in (trained / "evaluate-val/scores.md").read_text()


def test_another_voxel_size_is_used_told_and_recorded(run_command, tiny, tiny_raw, trained, tmp_path):
    checkpoint = f"checkpoint={trained}/checkpoints/last.pt"
    scan = next((tiny_raw / "scans_test").glob("*/*_vh_clean_2.ply"))
    for command, arguments in (
        ("evaluate", [*tiny, f"out={tmp_path}/evaluate"]),
        ("export", [*tiny, "split=val", "tta=none", f"out={tmp_path}/export"]),
        ("predict", [f"input={scan}", f"out={tmp_path}/predict"]),
    ):
        outcome = run_command(command, checkpoint, "voxel_size=0.4", *arguments)
        assert outcome.code == 0, outcome.err
        assert re.search(r"^warning: voxel_size=0\.4: .* was trained at 0\.25 m", outcome.err, re.MULTILINE)
    assert json.loads((tmp_path / "evaluate/evaluation.json").read_text())["voxel_size"] == 0.4
    scores = [json.loads((tmp_path / name).read_text()) for name in ("evaluate/metrics.json", "export/scores.json")]
    same_scores(*scores)
    assert "voxels of 0.4 m" in (tmp_path / "export/scores.md").read_text()
    (summary,) = (tmp_path / "predict").glob("*.summary.json")
    assert json.loads(summary.read_text())["voxel_size"] == 0.4


def test_export_writes_every_vertex_of_the_raw_mesh(run_command, tiny, tiny_raw, trained, tmp_path):
    outcome = run_command("export", f"checkpoint={trained}/checkpoints/last.pt", *tiny, f"out={tmp_path}", "tta=none")
    assert outcome.code == 0, outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["submission.zip"]
    names = (tiny_raw / "scannetv2_test.txt").read_text().split()
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        assert sorted(archive.namelist()) == sorted(f"{name}.txt" for name in names)
        for name in names:
            ids = archive.read(f"{name}.txt").decode().split()
            mesh = PlyData.read(tiny_raw / "scans_test" / name / f"{name}_vh_clean_2.ply")
            assert len(ids) == len(mesh["vertex"])
            assert set(map(int, ids)) <= set(label_space("scannet200").ids)


def test_export_of_a_labelled_split_is_scored_like_evaluate(run_command, tiny, trained, tmp_path):
    checkpoint = f"checkpoint={trained}/checkpoints/last.pt"
    options = "split=val", f"out={tmp_path}", "tta=none", "fragments=false"
    outcome = run_command("export", checkpoint, *tiny, *options)
    assert outcome.code == 0, outcome.err
    same_scores(*(json.loads(path.read_text()) for path in (tmp_path / "scores.json", trained / "metrics.json")))
    # The same scores once more, from the submission and the processed labels alone.
    root, space = Path(tiny[2].removeprefix("dataset.root=")), label_space("scannet200")
    right = total = 0
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        for name in archive.namelist():
            prediction = space.index_of(np.array(archive.read(name).decode().split(), np.int64))
            truth = np.load(root / "val" / Path(name).stem / "segment200.npy")
            right += (prediction == truth)[truth >= 0].sum()
            total += (truth >= 0).sum()
    assert json.loads((tmp_path / "scores.json").read_text())["accuracy"] == pytest.approx(right / total)


def test_several_checkpoints_and_votes_are_scored_and_exported(run_command, tiny, tiny_raw, trained, tmp_path):
    best, last = (trained / f"checkpoints/{name}.pt" for name in ("best", "last"))
    given = [f"checkpoint=[{best},{last}]", *tiny, "vote=segments", "fragments=false", "tta=none"]
    outcome = run_command("evaluate", *given)
    assert outcome.code == 0, outcome.err
    scores = json.loads((trained / "evaluate-val-ensemble/metrics.json").read_text())
    record = json.loads((trained / "evaluate-val-ensemble/evaluation.json").read_text())
    assert (record["vote"], record["voxel_sizes"]) == ("segments", [0.25, 0.25])
    assert record["checkpoint"] == f"{best}, {last}"
    outcome = run_command("export", *given, "split=val", f"out={tmp_path / 'export'}")
    assert outcome.code == 0, outcome.err
    assert json.loads((tmp_path / "export/scores.json").read_text())["miou"] == scores["miou"]
    scene = next((tiny_raw / "scans").glob(f"{(tiny_raw / 'scannetv2_val.txt').read_text().split()[0]}"))
    mesh = scene / f"{scene.name}_vh_clean_2.ply"
    outcome = run_command("predict", given[0], f"input={mesh}", f"out={tmp_path / 'p'}", "vote=segments", "page=false")
    assert outcome.code == 0, outcome.err
    segments = np.array(json.loads(mesh.with_suffix(".0.010000.segs.json").read_text())["segIndices"])
    ids = np.loadtxt(tmp_path / f"p/{mesh.stem}.labels.txt", dtype=int)
    assert all(len(set(ids[segments == segment].tolist())) == 1 for segment in np.unique(segments))
    assert json.loads((tmp_path / f"p/{mesh.stem}.summary.json").read_text())["vote"] == "segments"


def test_augmented_export_differs_but_little(run_command, tiny, trained, tmp_path):
    checkpoint = f"checkpoint={trained}/checkpoints/last.pt"
    for tta in ("none", "full"):
        assert run_command("export", checkpoint, *tiny, f"out={tmp_path / tta}", f"tta={tta}").code == 0
    ids = []
    for tta in ("none", "full"):
        with zipfile.ZipFile(tmp_path / tta / "submission.zip") as archive:
            ids.append(np.concatenate([np.array(archive.read(n).split(), int) for n in sorted(archive.namelist())]))
    assert 0.3 < (ids[0] == ids[1]).mean() < 1


@pytest.mark.parametrize("command", ["train", "evaluate", "export", "preprocess", "benchmark"])
def test_help_and_cfg_explain_a_command(run_command, command):
    outcome = run_command(command, "--help")
    assert outcome.code == 0
    assert f"python -m ceco3d.{command}" in outcome.out
    assert all(name in outcome.out for name in ("rooms200", "scannet20", "scannet200"))
    assert "voxel_size" in run_command(command, "--cfg", "job").out


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("train", ["dataset=scannet200", "dataset.root={tmp}/none"], "dataset.raw is not set.*scan-net.org.*rooms200"),
        ("train", ["dataset=scannet200", "dataset.raw={tmp}/none", "dataset.root={tmp}/x"], "no folder .*/none"),
        ("preprocess", ["dataset=scannet20", "dataset.raw={tmp}/none", "dataset.root={tmp}/x"], "no folder .*/none"),
        ("train", ["no_such_key=1"], "no_such_key: no such key"),
        ("train", ["trainer.epohcs=3"], r"trainer\.epohcs: no such key; did you mean trainer\.epochs"),
        ("train", ["+trainer.epohcs=3"], r"trainer\.epohcs: no such key; did you mean trainer\.epochs"),
        ("train", ["+loss.point.gama=2"], r"loss\.point\.gama: PointLoss has no such setting; did you mean gamma"),
        ("train", ["optimizer.lr=0"], r"optimizer\.lr=0(\.0)?: must be greater than 0"),
        ("train", ["optimizer.lr=true"], r"optimizer\.lr=true: must be a number"),
        ("train", ["dataset.seed=true"], r"dataset\.seed=true: must be a number"),
        ("train", ["optimizer.lr=fast"], r"optimizer\.lr=fast: must be a number"),
        ("train", ["dataset.seed=one"], r"dataset\.seed=one: must be a whole number"),
        ("train", ["features=color"], r"features=color: must be a list, e\.g\. features=\[color\]"),
        ("train", ["trainer=5"], "chosen by a name, not a number"),
        ("train", ["trainer.ema=2"], r"trainer\.ema=2: must be less than 1"),
        ("train", ["trainer.augment_on=moon"], r"trainer\.augment_on=moon: choose auto, loader or device"),
        ("train", ["loss._target_=os.nothing"], r"loss\._target_=os\.nothing: cannot be imported"),
        ("train", ["model=resnet"], "model=resnet: no such choice; choose .*minkunet34c"),
        ("train", ["model.name=Mink"], "unknown model 'Mink'.*MinkUNet34C"),
        ("train", ["run_dir={tmp}/file/run"], "cannot write there.*choose another folder"),
        ("train", ["voxel_size=0"], "voxel_size=0: must be greater than 0"),
        ("train", ["voxel_size=fine"], "voxel_size=fine: must be a number"),
        ("train", ["trainer.epochs=1.5"], "trainer.epochs=1.5: must be a whole number"),
        ("train", ["precision=int8"], "precision=int8: choose auto, fp32, tf32, bf16 or fp16"),
        ("train", ["features=[depth]"], "depth.*color"),
        ("train", ["dataset.size=huge", "dataset.raw={tmp}/r", "dataset.root={tmp}/p"], "tiny, small, medium, large"),
        ("train", ["device=tpu"], "auto, cpu or cuda"),
        ("train", ["engine=spconv"], "unknown engine 'spconv'"),
        ("train", ["init={tmp}/none.pt"], "no such checkpoint"),
        ("train", ["loss.center.dim=100"], "at least 199"),
        ("train", ["loss.center.memory=1"], "memory=1.*below 1"),
        ("train", ["loss.alignment=-1"], "alignment=-1.*must not be negative"),
        ("train", ["trainer.batch_size=1000"], "do not fill one batch"),
        ("evaluate", [], "checkpoint"),
        ("evaluate", ["checkpoint={tmp}/none.pt"], "no such checkpoint"),
        ("evaluate", ["checkpoint={tmp}/file"], "file: a text, not a checkpoint"),
        ("evaluate", ["checkpoint={tmp}/other.pt"], "not a checkpoint of ceco3d.train"),
        ("evaluate", ["checkpoint={run}", "split=all"], "choose train, val or test"),
        ("evaluate", ["checkpoint={run}", "dataset=scannet20"], "predicts the 200 classes of scannet200"),
        ("evaluate", ["checkpoint=[]"], "checkpoint"),
        ("evaluate", ["checkpoint=[{run},{tmp}/none.pt]"], "none.pt: no such checkpoint"),
        ("evaluate", ["checkpoint=[{run},{run}]", "calibrate=true"], "no logits in common"),
        ("evaluate", ["checkpoint={run}", "vote=made", "calibrate=true"], "calibrate=true is about voxels"),
        ("evaluate", ["checkpoint={run}", "vote=faces"], "vote=faces: choose segments or made"),
        ("evaluate", ["checkpoint={run}", "vote=made", "executor=dask"], "vote=made work on this machine only"),
        ("evaluate", ["checkpoint=[{run},{run}]", "executor=dask"], "2 checkpoints work on this machine only"),
        ("export", ["checkpoint={run}", "out={tmp}/file"], "cannot write there"),
        ("export", ["checkpoint={run}", "tta.scales=[0]"], "scales above 0"),
    ],
)
def test_bad_input_gives_one_line_and_exit_2(run_command, tiny, trained, tmp_path, command, arguments, message):
    (tmp_path / "file").write_text("not a folder, not a checkpoint")
    torch.save({"model": {"weight": torch.ones(1)}}, tmp_path / "other.pt")
    before = sorted(tmp_path.rglob("*"))
    places = {"tmp": tmp_path, "run": trained / "checkpoints/last.pt"}
    defaults = [] if command != "train" else [f"run_dir={tmp_path}/run"]
    given = [argument.format(**places) for argument in arguments]
    if not any("dataset" in argument for argument in given):
        defaults += tiny
    outcome = run_command(command, *defaults, *given)
    assert outcome.code == 2
    errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, outcome.err
    assert "Traceback" not in outcome.err
    assert re.search(message, errors[0]), errors[0]
    assert sorted(tmp_path.rglob("*")) == before


def test_preprocess_reports_a_broken_scene_and_goes_on(run_command, tmp_path):
    raw = write_raw_root(tmp_path / "raw", train=2, val=1)
    (raw / "scans/scene0001_00/scene0001_00.aggregation.json").unlink()
    arguments = ["dataset=scannet200", f"dataset.raw={raw}", f"dataset.root={tmp_path / 'p'}", "splits=[train,val]"]
    outcome = run_command("preprocess", *arguments)
    assert outcome.code == 2
    assert "scene0001_00" in outcome.err
    assert "2 scenes made, 0 were there, 1 failed" in outcome.out
    assert sorted(p.name for p in (tmp_path / "p").glob("*/scene*")) == ["scene0000_00", "scene0002_00"]


def test_doctor_and_list_of_commands_run(tmp_path):
    for module in ("ceco3d", "ceco3d.doctor"):
        done = subprocess.run([sys.executable, "-m", module], capture_output=True, text=True, cwd=tmp_path, check=True)
        assert "train" in done.stdout
    assert "native on cpu: ready" in done.stdout
    wrong = subprocess.run([sys.executable, "-m", "ceco3d", "fly"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "unknown command 'fly'" in wrong.stderr


def test_export_script_needs_a_checkpoint():
    script = Path(__file__).parents[2] / "scripts/export_benchmark.sh"
    for arguments in ([], ["split=val"]):
        done = subprocess.run([script, *arguments], capture_output=True, text=True)
        assert done.returncode == 2
        assert done.stderr.startswith("usage: ")
