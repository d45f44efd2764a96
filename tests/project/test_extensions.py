"""A loss, model, data set, transform, logger or engine of one's own is one class and one file of YAML."""

from __future__ import annotations

import csv
import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from ceco3d.data.labels import label_space
from ceco3d.data.scenes.processed import list_scenes, read_scene
from ceco3d.models import build_model, load_trained
from ceco3d.reports.run_report_charts import loss_terms, training_charts
from ceco3d.runs import read_curves
from tests.helpers import extensions
from tests.helpers.source import ROOT, fenced, section

HOME = "tests.helpers.extensions"
# The files of YAML that a user writes, by path in a configuration folder of their own.
OPTIONS = {
    "loss/mine.yaml": f"{{_target_: {HOME}.ConfidentLoss, name: confident, weight: 0.5}}",
    "model/mine.yaml": f"{{_target_: {HOME}.TwoLayers, width: 6}}",
    "dataset/mine.yaml": f"""
        _target_: {HOME}.Planes
        name: planes
        root: ???
        scenes: 2
        voxel_size: 0.25
    """,
    "transforms/mine.yaml": f"""
        train:
          - _target_: {HOME}.Lift
            height: 0.5
          - _target_: {HOME}.GrayStructure
            gray: 100
    """,
    "logger/mine.yaml": f"mine: {{_target_: {HOME}.JsonLogger, file: mine.jsonl}}",
}
SHORT = ("trainer.epochs=1", "trainer.workers=0", "trainer.log_every=1", "voxel_size=0.25")


@pytest.fixture(scope="module")
def options(tmp_path_factory) -> str:
    """The override that adds the user's configuration folder."""
    folder: Path = tmp_path_factory.mktemp("conf")
    for name, text in OPTIONS.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text(text)
    return f"hydra.searchpath=[file://{folder}]"


@pytest.fixture
def planes(tmp_path) -> list[str]:
    return ["dataset=mine", f"dataset.root={tmp_path}/planes"]


def json_lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_a_term_of_a_loss_is_shown_logged_and_plotted_by_its_name(run_command, tiny, options, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    before = extensions.counting.made
    outcome = run_command(
        "train",
        options,
        *("loss=mine", "transforms=mine", "logger=[csv,tensorboard,mine]", f"engine={HOME}.counting"),
        *(*tiny, *SHORT, "model=minkunet14a", "trainer.batch_size=7", f"run_dir={tmp_path}"),
    )
    assert outcome.code == 0, outcome.err
    assert extensions.counting.made > before
    steps = [line for line in outcome.out.splitlines() if line.startswith("epoch 1 step ")]
    assert len(steps) == 2
    assert all(" my_term " in line for line in steps)
    assert "loss confident" in outcome.out

    with (tmp_path / "metrics.csv").open(newline="") as file:
        written = [float(row["my_term"]) for row in csv.DictReader(file) if row["my_term"]]
    received = [row["my_term"] for row in json_lines(tmp_path / "mine.jsonl") if "my_term" in row]
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    plotted = [event.value for event in events.Scalars("train/my_term")]
    assert len(written) == 2
    assert received == written
    assert plotted == pytest.approx(written, rel=1e-6)

    curves = read_curves(tmp_path)
    assert loss_terms(curves) == ["loss", "my_term"]
    chart = training_charts(curves).partition("</figure>")[0]
    assert re.findall(r"</i>(\w+) <b>", chart) == ["loss", "my_term"]
    assert (tmp_path / "report.html").is_file()


def test_a_network_and_a_data_set_of_ones_own_are_trained_and_evaluated(run_command, options, planes, tmp_path):
    run_dir = tmp_path / "run"
    outcome = run_command(
        "train",
        options,
        *("model=mine", "transforms=mine", "loss=ce", *planes, *SHORT, "trainer.batch_size=2", f"run_dir={run_dir}"),
    )
    assert outcome.code == 0, outcome.err
    assert "TwoLayers, " in outcome.out
    assert sorted(path.name for path in (tmp_path / "planes/val").iterdir() if path.is_dir()) == ["plane00", "plane01"]

    network, setup = load_trained(run_dir / "checkpoints/last.pt")
    assert type(network) is extensions.TwoLayers
    assert (network.feature_channels, setup["model"]["width"]) == (6, 6)

    outcome = run_command("evaluate", options, *planes, f"checkpoint={run_dir}/checkpoints/last.pt", f"out={tmp_path}")
    assert outcome.code == 0, outcome.err
    scores = json.loads((tmp_path / "metrics.json").read_text())
    assert scores["accuracy"] == pytest.approx(json.loads((run_dir / "metrics.json").read_text())["accuracy"], abs=0.01)
    assert np.load(run_dir / "collapse.npz")["train_counts"].nonzero()[0].tolist() == [0, 2]  # wall, floor


def test_a_network_of_ones_own_is_built_with_the_engine_of_the_run(run_command, options, planes, tmp_path):
    before = extensions.counting.made
    arguments = ["model=mine", "loss=ce", "transforms=none", *planes, *SHORT, "trainer.batch_size=2"]
    outcome = run_command("train", options, *arguments, f"engine={HOME}.counting", f"run_dir={tmp_path}/run")
    assert outcome.code == 0, outcome.err
    assert extensions.counting.made == before + 2


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("loss.wieght=1", "loss.wieght: no such key"),
        ("+loss.wieght=1", "loss.wieght: ConfidentLoss has no such setting; did you mean weight"),
        ("loss.weight=much", "loss.weight=much: must be a number"),
        ("transforms.train.0.height=high", "transforms.train[0].height=high: must be a number"),
        (f"engine={HOME}.TwoLayers", f"engine {HOME}.TwoLayers: it has no SparseTensor, Convolution, "),
    ],
)
def test_arguments_of_ones_own_classes_are_checked(run_command, options, planes, tmp_path, argument, message):
    arguments = ["loss=mine", "model=mine", "transforms=mine", *planes, *SHORT, f"run_dir={tmp_path}/run", argument]
    outcome = run_command("train", options, *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.fixture
def documented(tmp_path, monkeypatch) -> str:
    """The files of the section "Add something" of docs/architecture.md in the current folder; its command line.

    A code block is a file if it begins with a comment that is a path.
    """
    content = section((ROOT / "docs/architecture.md").read_text(), "Add something")
    assert content is not None
    for block in fenced(content):
        named = re.match(r"# ([\w/]+\.(?:py|yaml))\n", block)
        if named:
            path = tmp_path / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield fenced(content, "bash")[0]
    for name in [name for name in sys.modules if name.split(".")[0] == "mypackage"]:
        del sys.modules[name]


def test_the_documented_extensions_work_as_printed(run_command, tiny, documented, tmp_path):
    space, root = label_space("scannet200"), Path(tiny[2].removeprefix("dataset.root="))
    for split, count in (("train", 2), ("val", 1)):
        (tmp_path / "data/arrays/raw" / split).mkdir(parents=True)
        for folder in list_scenes(root, split)[:count]:
            scene = read_scene(folder, space)
            labels = np.array([*space.ids, 0])[scene.segment]  # -1, the last one: 0 is the id of no class
            points = {"coord": scene.coord.numpy(), "color": scene.color.numpy().astype(np.uint8), "label": labels}
            np.savez(tmp_path / "data/arrays/raw" / split / f"{folder.name}.npz", **points)

    assert {path.stem for path in (tmp_path / "mypackage").glob("*.py")} == {
        *("losses", "models", "datasets", "transforms", "loggers", "engine")
    }
    arguments = shlex.split(documented.strip())
    assert arguments[:3] == ["python", "-m", "ceco3d.train"]
    more = ["dataset=arrays", "transforms=gray", *SHORT, "trainer.batch_size=2", "run_dir=run"]
    outcome = run_command("train", *more, *arguments[3:])
    assert outcome.code == 0, outcome.err
    assert "Flat, " in outcome.out
    assert " balanced " in outcome.out
    assert "balanced" in json_lines(tmp_path / "run/metrics.jsonl")[0]

    checkpoint = "checkpoint=run/checkpoints/last.pt"
    outcome = run_command("evaluate", "dataset=arrays", checkpoint, "out=scores", "--config-dir", "conf")
    assert outcome.code == 0, outcome.err
    scores, in_training = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("scores", "run"))
    assert scores["accuracy"] == pytest.approx(in_training["accuracy"], abs=0.01)
    assert build_model("MinkUNet14A", 3, 5, engine="mypackage.engine").conv0p1s1.__module__ == "mypackage.engine"
