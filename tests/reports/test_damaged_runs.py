"""A run folder with a damaged file: one line that names the file and the key; with strange values: a right report."""

import json
import os
import re

import numpy as np
import pytest
import torch
import yaml

from ceco3d.metrics.scores import CONVENTIONS
from ceco3d.reports.run_report import write_run_report
from ceco3d.reports.run_report_charts import training_charts
from ceco3d.reports.run_report_pictures import scene_pictures
from ceco3d.runs.folder import read_config
from tests.helpers.fuzz_runs import check_page
from tests.helpers.run_folder import SPACE, write_log, write_run

K = len(SPACE)
NAN, INF = float("nan"), float("inf")


def scores(**changes):
    def damage(run):
        content = json.loads((run / "metrics.json").read_text())
        for key, value in changes.items():
            content[key] = value(content.get(key)) if callable(value) else value
        (run / "metrics.json").write_text(json.dumps(content))

    return damage


def without(key):
    return lambda values: {name: value for name, value in values.items() if name != key}


def log(column, text):
    """The last row of the log with another value."""

    def damage(run):
        header, *rows = (run / "metrics.csv").read_text().splitlines()
        cells = rows[-1].split(",")
        cells[header.split(",").index(column)] = text
        (run / "metrics.csv").write_text("\n".join([header, *rows[:-1], ",".join(cells)]) + "\n")

    return damage


def array(file, key, shape, value, dtype=np.float64):
    def damage(run):
        values = np.ones(shape, dtype)
        values.flat[7] = value
        np.savez(run / file, **{key: values})

    return damage


def config(key, value):
    def damage(run):
        path = run / "config.yaml"
        path.write_text(re.sub(f"^{key}: .*$", lambda _: f"{key}: {value}", path.read_text(), flags=re.MULTILINE))

    return damage


def text(file, content):
    return lambda run: (run / file).write_text(content if isinstance(content, str) else json.dumps(content))


BIN = {"points": 3, "confidence": 0.5, "accuracy": 0.5}
DAMAGE = {
    "a convention is missing": (scores(miou=without("union")), r"metrics\.json.*no miou\.union"),
    "no means": (scores(head={}), r"metrics\.json.*no head\.present"),
    "means of another kind": (scores(miou=[1]), r"metrics\.json.*no miou\.present"),
    "a mean beyond 1": (
        scores(miou=dict.fromkeys(CONVENTIONS, 1e308)),
        r"metrics\.json.*miou\.present=1e",
    ),
    "a class without a number": (scores(per_class={"wall": NAN}), r"metrics\.json.*per_class\.wall=nan"),
    "no classes": (scores(per_class=None), r"metrics\.json.*per_class is not a table"),
    "scores that are a list": (text("metrics.json", [1]), r"metrics\.json.*it has no miou"),
    "parts of another kind": (scores(parts=[1]), r"metrics\.json.*parts is not a table"),
    "a bin beyond 1": (scores(calibration=[BIN | {"accuracy": 2}]), r"metrics\.json.*calibration\.0\.accuracy=2"),
    "half a point": (
        scores(calibration=[BIN | {"points": 0.5}]),
        r"metrics\.json.*calibration\.0\.points=0\.5",
    ),
    "bins that are a table": (scores(calibration=BIN), r"metrics\.json.*calibration is not a list"),
    "half a file": (text("metrics.json", "{"), r"metrics\.json is damaged"),
    "an infinite step": (log("step", "1e308"), r"metrics\.csv.*step=1e308"),
    "a step that is none": (log("step", "nan"), r"metrics\.csv.*step=nan"),
    "an infinite epoch": (log("epoch", "inf"), r"metrics\.csv.*epoch=inf"),
    "a validation beyond 1": (log("val_miou", "1e308"), r"metrics\.csv.*val_miou=1e308"),
    "points that are NaN": (array("collapse.npz", "train_counts", K, NAN), r"collapse\.npz.*train_counts"),
    "points that are infinite": (array("collapse.npz", "train_counts", K, INF), r"collapse\.npz.*train_counts"),
    "points below 0": (array("confusion.npz", "counts", (K, K + 1), -1), r"confusion\.npz.*counts"),
    "points beyond all": (
        array("confusion.npz", "counts", (K, K + 1), 2**64 - 1, np.uint64),
        r"confusion\.npz.*counts",
    ),
    "a scene of 400 digits": (text("scenes.json", {"a": 10**400}), r"scenes\.json.*a=1000"),
    "a scene that is NaN": (text("scenes.json", {"a": NAN}), r"scenes\.json.*a=nan"),
    "scenes that are a list": (text("scenes.json", [1]), r"scenes\.json.*not a table"),
    "an environment of another kind": (text("environment.json", [["a", 1]]), r"environment\.json.*not a table"),
    "a voxel size of 400 digits": (
        text("evaluation.json", {"split": "val", "views": [], "voxel_size": 10**400}),
        r"evaluation\.json.*voxel_size=1000",
    ),
    "no split": (text("evaluation.json", {"views": []}), r"evaluation\.json.*no split"),
    "a voxel size that is none": (config("voxel_size", ".nan"), r"config\.yaml.*voxel_size=nan"),
    "a name of two lines": (config("name", '"a\\nb"'), r"config\.yaml has no name in one line"),
    "a folder in the place of the page": (lambda run: (run / "report.html").mkdir(), r"report\.html is a folder"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_one_line_with_the_file_and_the_key(run_command, tmp_path, what):
    damage, message = DAMAGE[what]
    run = write_run(tmp_path / "run")
    (run / "checkpoints").mkdir()
    damage(run)
    before = sorted(path.name for path in run.iterdir())
    outcome = run_command("report", f"run={run}")
    assert outcome.code == 2
    assert re.fullmatch(rf"error: .*{message}.*\n", outcome.err), outcome.err
    assert sorted(path.name for path in run.iterdir()) == before


@pytest.mark.parametrize("value", ["1e308", "-1.7976931348623157e308", "5e-324", "1e300", "inf"])
@pytest.mark.parametrize("column", ["loss", "lr", "grad_norm", "val_nc1", "seconds"])
def test_values_at_the_ends_of_the_numbers_are_drawn(tmp_path, column, value):
    run = write_run(tmp_path)
    write_log(run, seconds=True)
    log(column, value)(run)
    check_page(write_run_report(run, None).read_text(), run)


def test_axes_of_the_largest_numbers_have_labels():
    points = np.array([[1, -1e308], [2, 0], [3, 1e308]])
    chart = training_charts({"loss": points})
    labels = re.findall(r'<span style="top:([\d.]+)%">([^<]*)</span>', chart)
    assert [label for _, label in labels] == ["-1e308", "-5e307", "0", "5e307", "1e308"]
    assert float(dict(map(reversed, labels))["0"]) == pytest.approx(50)
    assert re.search(r'd="M0\.0 954\.5L500\.0 500\.0L1000\.0 45\.5"', chart)


def test_names_are_text(run_command, tmp_path):
    run = write_run(tmp_path / "run", name="$x_{ [red] <b>")
    environment = {"command": "train a\udcff \u202eb", "\x1b[31m": 1, "folder": "a\0b"}
    (run / "environment.json").write_text(json.dumps(environment))
    assert run_command("report", f"run={run}").code == 0
    page = (run / "report.html").read_text()
    check_page(page, run)
    assert r"train a\udcff \u202eb" in page
    assert "<h1>$x_{ [red] &lt;b&gt; on rooms200 tiny seed 0, training seed 0</h1>" in page


@pytest.mark.parametrize("name", ["s" * 5000, "../../run", "/etc", "a\0b", "\udcff"])
def test_names_of_scenes_are_no_paths(tmp_path, name):
    """The best scene is not there, whatever it is called; the other one is drawn."""
    run, data = write_run(tmp_path / "run"), tmp_path / "data"
    for place in (data / "val/scene0", run):
        place.mkdir(parents=True, exist_ok=True)
        (place / "coord.npy").write_bytes(b"")
    (run / "checkpoints").mkdir()
    (run / "checkpoints/best.pt").write_bytes(b"")
    (run / "scenes.json").write_text(json.dumps({name: 0.9, "scene0": 0.5}))
    content = yaml.safe_load((run / "config.yaml").read_text())
    content["dataset"]["root"] = str(data)
    _, reason = scene_pictures(run, content, "", read_config(run).space, torch.device("cpu"))
    assert "best.pt: an empty file" in reason  # it got as far as the network


def test_files_from_the_far_future_have_no_date(tmp_path):
    run = write_run(tmp_path, scored=False)
    for path in run.iterdir():
        os.utime(path, (2**40, 2**40))
    assert "Not finished" in write_run_report(run, None).read_text()
