"""Figures of neural collapse: what they show, and what happens if a file of a run is missing."""

import csv
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from ceco3d.data.labels import label_space
from ceco3d.losses import simplex_etf
from ceco3d.reports.neural_collapse_figures import GREEN, draw_classes, draw_cosines, draw_training, write_figures
from ceco3d.reports.neural_collapse_geometry import TETRAHEDRON, choose_classes, class_groups, project
from ceco3d.reports.neural_collapse_runs import read_runs
from ceco3d.utils.errors import UserError
from ceco3d.visualization.plain_figure import plain_figures

SPACE = label_space("scannet200")
DIM = 220


def write_run(
    folder: Path, loss: str = "ceco", noise: float = 0.0, absent: tuple[int, ...] = (), seed: int = 0
) -> Path:
    """A run folder whose centers and classifiers are a simplex ETF of all classes, moved by ``noise``.

    Class k has 1000 - k training and 500 - k validation points, and an IoU of k / 1000 + noise.
    """
    rng = np.random.default_rng(seed)
    frame, k = simplex_etf(len(SPACE), DIM, seed).double().numpy(), np.arange(len(SPACE))
    centers = 3 * frame + 0.5 + noise * rng.normal(size=frame.shape)
    counts = 500 - k
    counts[list(absent)] = 0
    labels = np.repeat(k[counts > 0], 3)
    features = centers[labels] + 0.01 * rng.normal(size=(len(labels), DIM))
    centers[counts == 0] = np.nan
    folder.mkdir(parents=True)
    np.savez(
        folder / "collapse.npz",
        centers=centers,
        classifiers=(5 * frame + noise * rng.normal(size=frame.shape)).astype(np.float32),
        counts=counts,
        train_counts=1000 - k,
        features=features.astype(np.float32),
        feature_labels=labels,
    )
    per_class = {name: min(i / 1000 + noise, 1.0) if counts[i] else None for i, name in enumerate(SPACE.names)}
    (folder / "metrics.json").write_text(json.dumps({"miou": {"present": 0.1}, "per_class": per_class}))
    (folder / "config.yaml").write_text(f"name: {loss}\ndataset: {{label_space: scannet200}}\n")
    with (folder / "metrics.csv").open("w", newline="") as file:
        columns = ("step", "epoch", "loss", "val_miou", "val_equiangularity", "val_separation")
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        for epoch in (1, 2, 3):
            writer.writerow({"step": 10 * epoch, "epoch": epoch, "loss": 1.0})
            values = {"val_miou": 0.1, "val_equiangularity": noise / epoch, "val_separation": noise / 2 / epoch}
            writer.writerow({"step": 10 * epoch, "epoch": epoch, **values})
    return folder


@pytest.fixture
def pair(tmp_path) -> list[Path]:
    """A run far from the simplex and one near it."""
    return [write_run(tmp_path / "a", "ce", noise=0.5), write_run(tmp_path / "b", "ceco", noise=0.01, seed=1)]


def test_command_writes_every_picture_twice_and_the_same_again(run_command, pair, tmp_path):
    names = ["classes", "cosines-ce", "cosines-ceco", "sticks-ce", "sticks-ceco", "training"]
    contents = []
    for out in (tmp_path / "first", tmp_path / "second"):
        outcome = run_command("visualize", f"runs=[{pair[0]},{pair[1]}]", f"out={out}")
        assert outcome.code == 0, outcome.err
        files = sorted(out.iterdir())
        assert [file.name for file in files] == [f"{name}.{kind}" for name in names for kind in ("png", "svg")]
        assert {str(file) for file in files} == set(outcome.out.split())
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]
    for content in contents[0]:
        assert content.startswith((b"\x89PNG", b"<?xml"))
        assert len(content) > 5000


def test_one_run_has_no_comparison_and_labels_name_the_files(run_command, pair, tmp_path):
    outcome = run_command("visualize", f"runs=[{pair[1]}]", "labels=[CE + CeCo]", f"out={tmp_path / 'out'}")
    assert outcome.code == 0, outcome.err
    found = sorted(file.name for file in (tmp_path / "out").glob("*.svg"))
    assert found == ["cosines-CE-CeCo.svg", "sticks-CE-CeCo.svg", "training.svg"]


def test_runs_of_the_same_loss_are_told_apart(tmp_path):
    runs = read_runs([write_run(tmp_path / "a"), write_run(tmp_path / "b"), write_run(tmp_path / "c", "ce")])
    assert [run.label for run in runs] == ["ceco a", "ceco b", "ce"]


def test_a_simplex_is_projected_onto_the_tetrahedron(tmp_path):
    cosines = TETRAHEDRON @ TETRAHEDRON.T
    np.testing.assert_allclose(cosines, np.full((4, 4), -1 / 3) + np.eye(4) * 4 / 3, atol=1e-12)
    (run,) = read_runs([write_run(tmp_path / "run")])
    sticks = project(run, np.array([3, 70, 199, 11]))
    np.testing.assert_allclose(sticks.centers, TETRAHEDRON, atol=1e-5)
    np.testing.assert_allclose(sticks.classifiers, TETRAHEDRON, atol=1e-5)
    np.testing.assert_allclose(sticks.features, TETRAHEDRON[sticks.feature_classes], atol=0.05)
    assert np.bincount(sticks.feature_classes).tolist() == [3, 3, 3, 3]


def test_the_projection_keeps_angles_and_lengths(tmp_path):
    (run,) = read_runs([write_run(tmp_path / "run", noise=1.0)])
    classes = np.array([0, 50, 100, 150])
    centered = run.centers[classes] - run.centers[classes].mean(0)
    projected = project(run, classes).centers
    scale = np.linalg.norm(centered, axis=1).mean()
    np.testing.assert_allclose(projected @ projected.T, centered @ centered.T / scale**2, atol=1e-9)
    assert np.abs(projected - TETRAHEDRON).max() > 0.01
    # No rotation or reflection brings them nearer to the tetrahedron.
    best = np.linalg.svd(projected.T @ TETRAHEDRON, compute_uv=False).sum()
    assert np.trace(projected.T @ TETRAHEDRON) == pytest.approx(best)


def test_default_classes_are_frequent_and_of_every_group(tmp_path):
    most = {group: [k for k in members if k not in (0, 1)] for group, members in SPACE.groups.items()}
    runs = read_runs([write_run(tmp_path / "a", absent=(0,)), write_run(tmp_path / "b", "ce", absent=(1,))])
    expected = [most["head"][0], *most["common"][:2], most["tail"][0]]
    assert choose_classes(runs).tolist() == expected
    names = ["clock", "door", "wall", "chair"]
    assert choose_classes(read_runs([write_run(tmp_path / "c")]), names).tolist() == [
        SPACE.names.index(n) for n in names
    ]


def test_without_tail_classes_others_fill_up(tmp_path):
    (run,) = read_runs([write_run(tmp_path / "run", absent=SPACE.groups["tail"])])
    head, common = SPACE.groups["head"], SPACE.groups["common"]
    filled = min(k for k in (*head, *common) if k not in (head[0], *common[:2]))
    assert choose_classes([run]).tolist() == [head[0], *common[:2], filled]


def test_matrix_is_ordered_by_group_and_separated(tmp_path):
    absent = (*SPACE.groups["head"][:5], *SPACE.groups["tail"][:7])
    (run,) = read_runs([write_run(tmp_path / "run", noise=0.3, absent=absent)])
    groups = class_groups(run)
    assert list(groups) == ["head", "common", "tail"]
    for name, members in groups.items():
        assert members.tolist() == sorted(set(SPACE.groups[name]) - set(absent))  # class k is the k-th most frequent
    order = np.concatenate(list(groups.values()))
    axes, bar = draw_cosines(run).axes
    centered = run.centers[order] - run.centers[order].mean(0)
    unit = centered / np.linalg.norm(centered, axis=1, keepdims=True)
    np.testing.assert_allclose(axes.images[0].get_array(), unit @ unit.T, atol=1e-12)
    assert axes.images[0].get_clim() == (-1, 1)
    ends = np.cumsum([len(members) for members in groups.values()])[:-1] - 0.5
    horizontal = [line.get_ydata()[0] for line in axes.lines if line.get_ydata()[0] == line.get_ydata()[1]]
    vertical = [line.get_xdata()[0] for line in axes.lines if line.get_xdata()[0] == line.get_xdata()[1]]
    assert horizontal == vertical == ends.tolist()
    (mark,) = [line for line in bar.lines if line.get_color() == GREEN]
    assert mark.get_ydata()[0] == pytest.approx(-1 / (len(order) - 1))


def test_curves_and_class_changes_are_the_runs_own(pair):
    first, last = read_runs(pair)
    for axes, factor in zip(draw_training([first, last]).axes, (1, 0.5), strict=True):
        assert axes.lines[0].get_xdata().tolist() == [1, 2, 3]
        np.testing.assert_allclose(axes.lines[0].get_ydata(), 0.5 * factor / np.array([1, 2, 3]))
    figure = draw_classes(first, last)
    points = np.concatenate([collection.get_offsets() for collection in figure.axes[0].collections])
    assert sorted(points[:, 0]) == list(range(801, 1001))
    np.testing.assert_allclose(points[:, 1], -49)
    assert "tail (66), mean \N{MINUS SIGN}49.0" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_names_of_runs_are_no_formulas_and_all_are_in_the_legend(tmp_path):
    names = ["_ce $x_{", "CE $^$"]
    runs = [write_run(tmp_path / str(k), noise=0.1 * k + 0.1, seed=k) for k in range(2)]
    found = read_runs(runs, names)
    paths = write_figures(found, choose_classes(found), tmp_path / "out")
    assert len(paths) == 12
    with plain_figures():
        figure = draw_training(found)
        assert [text.get_text() for text in figure.legends[0].get_texts()] == names
        figure = draw_classes(*found)
        figure.canvas.draw()
        labels = [label.get_text() for label in figure.axes[0].get_xticklabels(which="both")]
    assert any(labels)
    assert all(re.fullmatch(r"[1-9][0,]*", label) for label in labels if label)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("classifiers", np.nan, "classifiers has values that are infinite"),
        ("features", np.inf, "features has values that are infinite"),
        ("features", 1e20, "features has values that are infinite"),
        ("counts", -1, "counts has values that are no numbers of points"),
        ("train_counts", np.nan, "train_counts has values that are infinite"),
        ("centers", 1e300, "the figures need finite centers"),
        ("centers", 0, "centers of classes coincide"),
        ("classifiers", 0, "coincide"),
    ],
)
def test_damaged_arrays_are_one_line(run_command, tmp_path, name, value, message):
    run = write_run(tmp_path / "run")
    with np.load(run / "collapse.npz") as file:
        arrays = dict(file)
    arrays[name] = arrays[name].astype(np.float64)
    arrays[name][...] = np.where(value == 0, 0, arrays[name])
    arrays[name].flat[0] = value
    np.savez(run / "collapse.npz", **arrays)
    outcome = run_command("visualize", f"runs=[{run}]", f"out={tmp_path / 'out'}")
    assert outcome.code == 2
    assert re.fullmatch(rf"error: .*{message}.*\n", outcome.err), outcome.err


def drop_column(folder: Path) -> None:
    path = folder / "metrics.csv"
    path.write_text(path.read_text().replace("val_separation", "other"))


def drop_array(folder: Path) -> None:
    with np.load(folder / "collapse.npz") as file:
        arrays = {name: file[name] for name in file.files if name != "counts"}
    np.savez(folder / "collapse.npz", **arrays)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda run: (run / "collapse.npz").unlink(),
            r"collapse.npz is missing: finish the run with `python -m ceco3d.train ",
        ),
        (
            lambda run: (run / "metrics.json").unlink(),
            r"metrics.json is missing: finish the run with `python -m ceco3d.train ",
        ),
        (lambda run: (run / "metrics.csv").unlink(), r"metrics.csv is missing: finish the run with `"),
        (lambda run: (run / "config.yaml").unlink(), r"config.yaml is missing: finish the run with `"),
        (lambda run: (run / "config.yaml").write_text("seed: 0"), r"config.yaml has no name"),
        (lambda run: (run / "collapse.npz").write_text("no"), r"collapse.npz is damaged: finish the run with `"),
        (lambda run: (run / "metrics.json").write_text("{"), r"metrics.json is damaged: finish the run with `"),
        (drop_column, r"metrics.csv has no values of val_separation"),
        (drop_array, r"collapse.npz is damaged: .*no array counts"),
    ],
)
def test_what_a_run_lacks_is_named_with_the_remedy(tmp_path, damage, message):
    run = write_run(tmp_path / "run")
    damage(run)
    with pytest.raises(UserError, match=f"^{re.escape(str(run))}/{message}.*$"):
        read_runs([run])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs=[{tmp}/none]"], r"none: no such run folder"),
        (["runs=[]"], r"runs=\[\]: name at least one run folder"),
        (["runs={tmp}/run"], r"runs=.*/run: must be a list"),
        (["classes=[wall,flor,door,clock]"], r"'flor' not in scannet200"),
        (["classes=[wall,wall,door,clock]"], r"needs four different classes"),
        (["classes=[wall,chair,door,clock]"], r"no validation points of chair"),
        (["labels=[a,b]"], r"2 labels for 1 run"),
        (["runs=[{tmp}/run,{tmp}/run]", "labels=[a,A]"], r"file names need them to differ"),
        (["out={tmp}/run/config.yaml"], r"cannot write there"),
    ],
)
def test_bad_input_gives_one_line_and_no_files(run_command, tmp_path, arguments, message):
    run = write_run(tmp_path / "run", absent=(SPACE.names.index("chair"),))
    given = {"runs": f"runs=[{run}]", "out": f"out={tmp_path / 'out'}"}
    given |= {argument.split("=")[0]: argument.format(tmp=tmp_path) for argument in arguments}
    outcome = run_command("visualize", *given.values())
    assert outcome.code == 2
    assert re.fullmatch(rf"error: .*{message}.*\n", outcome.err), outcome.err
    assert not (tmp_path / "out").exists()


def test_missing_matplotlib_is_named(run_command, pair, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "ceco3d.reports.neural_collapse_figures")
    outcome = run_command("visualize", f"runs=[{pair[0]}]")
    assert outcome.code == 2
    assert "error: pictures need matplotlib: pip install 'ceco3d[plot]'" in outcome.err
