"""The reader of metrics.csv: whatever columns a log has, and what damage it refuses or drops."""

import csv
import io
import math

import pytest

from ceco3d.runs.folder import read_curves, read_log
from ceco3d.runs.metrics_csv import curves, moment, phase, read_complete_rows, read_rows, seconds_until
from ceco3d.utils.errors import UserError
from tests.helpers.source import ROOT


def test_rows_hold_the_numbers_of_any_columns_and_skip_empty_cells(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,my_term,val_miou\n1,2.5,\n,,\n2,,0.25\n3,1e-05,nan\n")
    rows = read_rows(path)
    assert rows[:2] == [{"step": 1, "my_term": 2.5}, {"step": 2, "val_miou": 0.25}]
    assert rows[2]["my_term"] == 1e-05
    assert math.isnan(rows[2]["val_miou"])


def test_curves_pair_steps_with_finite_values(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,my_term,other\n1,2.5,inf\n2,1.5,\n4,nan,7\n")
    found = curves(read_rows(tmp_path / "metrics.csv"))
    assert {name: points.tolist() for name, points in found.items()} == {
        "step": [[1, 1], [2, 2], [4, 4]],
        "my_term": [[1, 2.5], [2, 1.5]],
        "other": [[4, 7]],
    }


@pytest.mark.parametrize("text", ["0.1", "1e-05", "3", "-2", "nan", "inf", "0.30000000000000004", "1234567.0"])
def test_a_row_written_again_is_the_same_text(tmp_path, text):
    written = f"step,value\n7,{text}\n"
    (tmp_path / "metrics.csv").write_text(written)
    again = io.StringIO()
    writer = csv.DictWriter(again, ("step", "value"), lineterminator="\n")
    writer.writeheader()
    writer.writerows(read_complete_rows(tmp_path / "metrics.csv"))
    assert again.getvalue() == written


@pytest.mark.parametrize("row", ["2,0.5,1,9", "2,half,1", "two,0.5,1", ",0.5,1"])
def test_damaged_rows_are_refused_by_name_and_dropped_on_resuming(tmp_path, row):
    path = tmp_path / "metrics.csv"
    path.write_text(f"step,loss,lr\n1,1.5,1\n{row}\n")
    with pytest.raises(ValueError, match=r"row|convert"):
        read_rows(path)
    with pytest.raises(UserError, match=r"metrics\.csv is damaged"):
        read_curves(tmp_path)
    assert read_complete_rows(path) == [{"step": 1, "loss": 1.5, "lr": 1}]


def test_a_row_cut_short_is_read_but_not_complete(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss,lr\n1,1.5,1\n2,1.")
    assert read_rows(path)[1] == {"step": 2, "loss": 1.0}
    assert [row["step"] for row in read_complete_rows(path)] == [1]


def test_a_run_without_a_log_has_no_curves(tmp_path):
    assert read_log(tmp_path) == []
    assert read_curves(tmp_path) == {}


def test_the_phase_is_read_past_and_can_be_told_from_the_names(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,phase,seconds,loss,val_miou\n4,train,1.5,2.5,\n4,val,2.25,,0.5\n")
    rows = read_rows(path)
    assert rows == [{"step": 4, "seconds": 1.5, "loss": 2.5}, {"step": 4, "seconds": 2.25, "val_miou": 0.5}]
    assert [phase(row) for row in rows] == ["train", "val"]
    assert [moment(row) for row in rows] == [4, 4.5]


def test_the_clock_goes_on_from_the_checkpoint(tmp_path):
    path = tmp_path / "metrics.csv"
    assert seconds_until(path, 4) == 0
    path.write_text("step,phase,seconds,loss,val_miou\n2,train,1.5,2.5,\n4,train,3.5,2.5,\n4,val,9,,0.5\n5,train,")
    assert [seconds_until(path, start) for start in (0, 2, 4, 4.5, 99)] == [0, 1.5, 3.5, 9, 9]
    path.write_text("step,loss\n2,1.5\n")  # of an older version
    assert seconds_until(path, 4) == 0


@pytest.mark.parametrize("log", sorted((ROOT / "docs/results").rglob("metrics.csv")), ids=lambda path: path.parent.name)
def test_logs_of_older_versions_are_read(log):
    found = read_curves(log.parent)
    assert {"loss", "val_miou"} <= found.keys()
    assert "phase" not in found
