"""The leaderboard: read from run folders, ranked, written three ways."""

import csv
import json
import re

import pytest
from omegaconf import OmegaConf

from ceco3d.data.labels import label_space
from ceco3d.reports.leaderboard import read_leaderboard
from ceco3d.utils.errors import UserError

SPACE = label_space("scannet200")


def write_run(folder, name, miou, dataset="rooms200", **classes):
    folder.mkdir(parents=True)
    data = {"name": dataset, "label_space": "scannet200", "size": "small", "seed": 0}
    OmegaConf.save({"name": name, "dataset": data}, folder / "config.yaml")
    write_scores(folder, miou, **classes)
    return folder


def write_scores(folder, miou, **classes):
    folder.mkdir(exist_ok=True)
    means = {"miou": miou, "head": 2 * miou, "common": miou, "tail": None}
    scores = {
        key: {"present": value and 1.25 * value, "union": value and 1.1 * value, "zero_filled": value}
        for key, value in means.items()
    }
    scores["per_class"] = {name: classes.get(name) for name in SPACE.names}
    (folder / "metrics.json").write_text(json.dumps(scores))


@pytest.fixture
def runs(tmp_path):
    return [
        write_run(tmp_path / "a", "First", 0.10, wall=0.5, chair=0.25),
        write_run(tmp_path / "b", "Second", 0.20, wall=0.75, chair=0.25),
        write_run(tmp_path / "c", "Third <b>", 0.15, wall=0.25),
    ]


def test_ranks_per_column_ties_and_gaps(runs):
    board = read_leaderboard(runs)
    assert [row.name for row in board.rows] == ["Second", "Third <b>", "First"]
    second, third, first = board.rows
    assert [row.ranks["wall"] for row in (first, second, third)] == [2, 1, 3]
    assert (first.ranks["chair"], second.ranks["chair"]) == (1, 1)
    assert "chair" not in third.values
    assert "tail" not in first.values
    assert first.values["head"] == pytest.approx(20.0)
    assert [row.name for row in board.published] == ["CeCo", "LGround", "Minkowski 34D", "CSC-Pretrain"]
    assert board.published[1].values["ball"] == pytest.approx(21.8)
    assert board.published[1].ranks["ball"] == 1


def test_an_evaluation_counts_more_than_the_end_of_training(runs):
    write_scores(runs[0] / "evaluate-val", 0.3, wall=0.9)
    assert read_leaderboard(runs).rows[0].values["miou"] == pytest.approx(30.0)


def test_command_writes_page_table_and_csv(run_command, runs, tmp_path):
    out = tmp_path / "out"
    outcome = run_command("report", "table", f"runs=[{','.join(map(str, runs))}]", f"out={out}")
    assert outcome.code == 0, outcome.err
    assert "| Second | 20.0 (1) | 40.0 (1) | 20.0 (1) | - | 25.0 (1) |" in outcome.out
    assert "| CeCo | 34.0 (1) | 55.1 (1) | 24.7 (1) | 18.1 (1) | - | published, ScanNet200 test, union;" in outcome.out
    assert "| wall | 75.0 (1) | 25.0 (3) | 50.0 (2) | - | - | - | - |" in (out / "leaderboard.md").read_text()
    page = (out / "leaderboard.html").read_text()
    assert "Third &lt;b&gt;" in page
    assert page.count("<tr>") == 1 + 3 + 1 + 4
    assert "http" not in page.replace("http-equiv", "")
    with (out / "leaderboard.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["data"] for line in lines] == ["run"] * 3 + ["published"] * 4
    assert (float(lines[0]["miou"]), float(lines[0]["miou_present"]), float(lines[0]["wall"])) == (0.2, 0.25, 0.75)
    assert float(lines[3]["miou"]) == 0.34
    assert [line["convention"] for line in lines] == ["zero_filled"] * 3 + ["union"] * 4
    assert ["test protocol" in line["evaluation"] for line in lines] == [False] * 3 + [True] + [False] * 3
    assert lines[2]["tail"] == ""


def test_the_mean_of_pointcept_leads_with_the_other_beside_it(runs):
    boards = {name: read_leaderboard(runs, name) for name in ("zero_filled", "present", "union")}
    assert read_leaderboard(runs) == boards["zero_filled"]
    found = {name: board.rows[0].values for name, board in boards.items()}
    assert found["zero_filled"]["miou"] == found["present"]["miou_zero_filled"] == pytest.approx(20)
    assert found["zero_filled"]["miou_present"] == found["present"]["miou"] == pytest.approx(25)
    assert (found["union"]["miou"], found["union"]["miou_present"]) == (pytest.approx(22), pytest.approx(25))
    assert all(board.title.endswith(name) for name, board in boards.items())


def test_equal_names_are_told_apart_by_folder(tmp_path):
    folders = [write_run(tmp_path / name, "Same", 0.1) for name in ("x-0", "x-1")]
    assert {row.name for row in read_leaderboard(folders).rows} == {"Same (x-0)", "Same (x-1)"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["table"], "runs is not set"),
        (["table", "runs={tmp}"], "must be a list"),
        (["table", "runs=[{tmp}/none]"], "config.yaml is missing"),
        (["table", "runs=[{tmp}/a]", "labels=[x,y]"], "2 labels for 1 runs"),
        (["table", "runs=[{tmp}/a]", "convention=mean"], "present, union or zero_filled"),
        (["table", "runs=[{tmp}/a,{tmp}/other]"], "different datasets.*rooms200.*scannet200"),
        (["tabel"], "choose run, study or table"),
    ],
)
def test_bad_arguments(run_command, tmp_path, arguments, message):
    write_run(tmp_path / "a", "First", 0.1)
    write_run(tmp_path / "other", "Other", 0.1, dataset="scannet200")
    outcome = run_command("report", *(argument.format(tmp=tmp_path) for argument in arguments))
    assert outcome.code == 2
    assert re.search(message, outcome.err)
    assert outcome.err.count("\n") == 1


def test_unfinished_and_damaged_runs(runs):
    (runs[0] / "metrics.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        read_leaderboard(runs)
    (runs[0] / "metrics.json").unlink()
    with pytest.raises(UserError, match="not finished"):
        read_leaderboard(runs)


def record(folder, split="val", views=1, voxel_size=0.02, **more):
    content = {"split": split, "voxel_size": voxel_size, "precision": "float32", "views": [{}] * views, **more}
    (folder / "evaluation.json").write_text(json.dumps(content))


def test_each_row_says_which_evaluation_it_took(run_command, runs, tmp_path):
    record(runs[0])
    write_scores(runs[1] / "evaluate-val", 0.3)
    record(runs[1] / "evaluate-val", views=4, voxel_size=0.04)
    board = read_leaderboard(runs)
    assert {row.name: row.how for row in board.rows} == {
        "First": "end of training, val, 1 view, 2 cm",
        "Second": "evaluate, val, 4 views, 4 cm",
        "Third <b>": "end of training, val, 1 view",  # of an older version
    }
    outcome = run_command("report", "table", f"runs=[{','.join(map(str, runs))}]", f"out={tmp_path / 'out'}")
    assert "|  | mIoU % | head % | common % | tail % | mIoU % (present) | evaluation |" in outcome.out
    assert "| 37.5 (1) | evaluate, val, 4 views, 4 cm |" in outcome.out
    assert "evaluated in different ways" in outcome.out
    assert "evaluated in different ways" in (tmp_path / "out/leaderboard.html").read_text()
    with (tmp_path / "out/leaderboard.csv").open(newline="") as file:
        assert next(line["evaluation"] for line in csv.DictReader(file)) == "evaluate, val, 4 views, 4 cm"


@pytest.mark.parametrize(("fragments", "said"), [(1, ""), (None, ", fragments"), (4, ", 4 fragments at most")])
def test_each_row_says_whether_it_has_fragments(runs, fragments, said):
    record(runs[0], fragments=fragments)
    assert {row.how for row in read_leaderboard(runs[:1]).rows} == {f"end of training, val, 1 view{said}, 2 cm"}


def test_runs_that_were_evaluated_alike_need_no_note(runs):
    for run in runs:
        record(run)
    assert read_leaderboard(runs).note == ""


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"split": 1, "views": [], "voxel_size": 1}', '{"split": "val", "views": [], "fragments": "many"}'],
)
def test_a_damaged_record_of_an_evaluation_is_named(runs, text):
    (runs[0] / "evaluation.json").write_text(text)
    with pytest.raises(UserError, match=r"evaluation\.json is damaged"):
        read_leaderboard(runs)
