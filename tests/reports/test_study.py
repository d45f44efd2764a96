"""The table of a study from the files of its runs."""

import json
import re

import pytest
from omegaconf import OmegaConf

from ceco3d.reports.study import mean_and_deviation, paired_difference, read_study
from tests.helpers.commands import settings_of


def write_run(folder, loss, seed, tail, miou=0.1):
    run = folder / f"{loss}-{seed}"
    run.mkdir(parents=True)
    OmegaConf.save({"name": loss, "seed": seed, "dataset": {"label_space": "scannet200"}}, run / "config.yaml")
    means = {"miou": miou, "head": 0.2, "common": 0.05, "tail": tail}
    scores = {key: dict.fromkeys(("present", "union", "zero_filled"), value) for key, value in means.items()}
    (run / "metrics.json").write_text(json.dumps(scores))
    frame = {"equinorm": 0.1, "equiangularity": 0.3, "separation": 0.2}
    measures = {"nc1": 5.0, "self_duality": 1.0, "nearest_center": 0.5, "centers": {"centred": frame, "raw": frame}}
    (run / "neural_collapse.json").write_text(json.dumps({"all": measures}))


def test_mean_deviation_and_paired_interval_by_hand():
    assert mean_and_deviation([1.0, 2.0, 3.0]) == (2.0, 1.0)
    runs = {seed: {"tail": value} for seed, value in enumerate((1.0, 3.0, 4.0))}
    baseline = {seed: {"tail": value} for seed, value in enumerate((0.0, 1.0, 1.0))}
    mean, low, high = paired_difference(runs, baseline, "tail")
    # differences 1, 2, 3: deviation 1, t(0.975, 2) = 4.302653
    assert (mean, low, high) == pytest.approx((2.0, 2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), rel=1e-5)
    assert paired_difference({0: {"tail": 1.0}}, baseline, "tail") is None


def test_report_makes_the_table_from_the_runs(run_command, tmp_path):
    for seed, (plain, centered) in enumerate([(0.01, 0.02), (0.02, 0.04), (0.03, 0.03)]):
        write_run(tmp_path, "ce", seed, plain)
        write_run(tmp_path, "ceco", seed, centered)
    write_run(tmp_path, "ceco", 7, 0.5)  # no partner in the baseline: counts in the mean alone
    (tmp_path / "unfinished").mkdir()
    outcome = run_command("report", f"study={tmp_path}")
    assert outcome.code == 0, outcome.err
    table = (tmp_path / "study.md").read_text()
    assert "| ce | 3 | 10.00 ± 0.00 | 20.00 ± 0.00 | 5.00 ± 0.00 | 2.00 ± 1.00 |" in table
    assert "| ceco | 4 | " in table
    assert "+1.00 [-1.48, +3.48] |" in table
    assert "| ceco | 5.000 ± 0.000 | 0.300 ± 0.000 | 0.200 ± 0.000 |" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "study is not set"),
        (["study={tmp}/none"], "no finished runs"),
        (["study={tmp}", "baseline=focal"], "baseline=focal is not among.*ceco"),
        (["study={tmp}", "convention=mean"], "present, union or zero_filled"),
    ],
)
def test_bad_arguments(run_command, tmp_path, arguments, message):

    write_run(tmp_path, "ceco", 0, 0.1)
    outcome = run_command("report", *(argument.format(tmp=tmp_path) for argument in arguments))
    assert outcome.code == 2
    assert re.search(message, outcome.err)


def test_a_seed_twice_is_refused(tmp_path):
    write_run(tmp_path, "ce", 0, 0.1)
    (tmp_path / "ce-0").rename(tmp_path / "again")
    write_run(tmp_path, "ce", 0, 0.1)
    with pytest.raises(Exception, match="second run of name=ce seed=0"):
        read_study(tmp_path)


def test_the_experiment_overrides_what_train_says():
    cfg = settings_of("train", "experiment=longtail", "loss=ce", "seed=3")
    assert (str(cfg.run_dir), cfg.resume, cfg.voxel_size, cfg.model.name) == (
        "outputs/longtail/ce-3",
        "auto",
        0.1,
        "MinkUNet14A",
    )


@pytest.mark.parametrize(
    ("file", "text"), [("config.yaml", "a: 1\na: 2"), ("config.yaml", "seed: 0"), ("metrics.json", "{")]
)
def test_a_damaged_run_is_one_line(run_command, tmp_path, file, text):
    write_run(tmp_path, "ce", 0, 0.1)
    (tmp_path / "ce-0" / file).write_text(text)
    outcome = run_command("report", f"study={tmp_path}")
    assert outcome.code == 2
    assert re.fullmatch(r"error: .*ce-0: not a finished run .*\n", outcome.err)
