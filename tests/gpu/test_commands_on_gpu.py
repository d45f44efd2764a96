"""The commands with ``device=cuda`` on small rooms, and that their results are those of the CPU."""

import json

import pytest

from tests.helpers.gpu import DEVICE, ENGINE, ON_GPU, cases
from tests.helpers.thin import MODEL

NETWORK = ["model=minkunet14a", "model.stem_kernel=3"] if ON_GPU else MODEL
RUN = [*NETWORK, "voxel_size=0.25", "trainer.epochs=1", "trainer.batch_size=7"]


def run(run_command, *arguments):
    outcome = run_command(*arguments)
    assert outcome.code == 0, outcome.err
    return outcome


@cases("precision", ["fp32"], ["fp32", "bf16"], slow=True)
def test_a_network_is_trained_scored_exported_and_reported(run_command, tiny, tiny_raw, tmp_path, precision):
    here = [f"device={DEVICE.type}", f"precision={precision}"]
    run(run_command, "train", *tiny, *RUN, *here, f"engine={ENGINE}", f"run_dir={tmp_path}/run")
    checkpoint = f"checkpoint={tmp_path}/run/checkpoints/last.pt"
    scores = {}
    for name, device in (("here", DEVICE.type), ("cpu", "cpu")):
        out = tmp_path / name
        run(run_command, "evaluate", checkpoint, *tiny, f"device={device}", f"out={out}")
        scores[name] = json.loads((out / "metrics.json").read_text())
    assert scores["here"]["accuracy"] == pytest.approx(scores["cpu"]["accuracy"], abs=1e-2)
    run(run_command, "export", checkpoint, *tiny, *here, "split=val", "tta=none", f"out={tmp_path}/export")
    exported = json.loads((tmp_path / "export/scores.json").read_text())
    assert exported["accuracy"] == pytest.approx(scores["here"]["accuracy"], abs=1e-2)
    scan = next((tiny_raw / "scans_test").glob("*/*_vh_clean_2.ply"))
    run(run_command, "predict", checkpoint, *here, f"input={scan}", f"out={tmp_path}/predict")
    points = json.loads((tmp_path / f"predict/{scan.stem}.summary.json").read_text())["points"]
    assert len((tmp_path / f"predict/{scan.stem}.labels.txt").read_text().split()) == points
    run(run_command, "report", f"run={tmp_path}/run")
    assert (tmp_path / "run/report.html").stat().st_size > 10_000


@cases("method", ["csc", "lground"], ["csc", "lground"], slow=True)
def test_pretraining_runs(run_command, tiny, tmp_path, method):
    here = [f"device={DEVICE.type}", f"engine={ENGINE}", "precision=bf16" if ON_GPU else "precision=fp32"]
    options = [*RUN, "trainer.repeat=1", "trainer.batch_size=4", "trainer.log_every=1"]
    run(run_command, "pretrain", *tiny, *options, *here, f"method={method}", f"run_dir={tmp_path}")
    summary = json.loads((tmp_path / "metrics.json").read_text())
    assert summary["steps"] > 0
    assert summary["loss_last"] > 0
