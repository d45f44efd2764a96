"""The table of a study from the files of its runs."""

import json
import re

import numpy as np
import pytest
from omegaconf import OmegaConf
from scipy.stats import t as student

from ceco3d.data.labels import GROUPS, label_space
from ceco3d.reports.study import read_study, study_markdown
from ceco3d.reports.study_figures import draw_collapse, draw_losses
from ceco3d.reports.study_power import DRAWS, bootstrap, noise_rows
from ceco3d.reports.study_statistics import detectable, mean_and_deviation, paired_difference
from ceco3d.visualization.plain_figure import plain_figures
from tests.helpers.commands import settings_of


def write_run(folder, loss, seed, tail, miou=0.1, imbalance=None):
    run = folder / f"{loss}-{seed}" if imbalance is None else folder / f"{loss}-{imbalance}-{seed}"
    run.mkdir(parents=True)
    dataset = {"label_space": "scannet200"} | ({} if imbalance is None else {"imbalance": imbalance})
    OmegaConf.save({"name": loss, "seed": seed, "dataset": dataset}, run / "config.yaml")
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


def test_the_detectable_difference_is_found_in_four_of_five_studies():
    rng, pairs, deviation = np.random.default_rng(0), 12, 2.0
    true = detectable(np.array([-1.0, 1.0] * (pairs // 2)) * deviation * ((pairs - 1) / pairs) ** 0.5)
    studies = rng.normal(true, deviation, (4000, pairs))
    half = student.ppf(0.975, pairs - 1) * studies.std(1, ddof=1) / pairs**0.5
    assert (studies.mean(1) - half > 0).mean() == pytest.approx(0.8, abs=0.03)
    assert detectable([1.0]) is None


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


def write_diagnosis(run, tail):
    (run / "diagnose").mkdir()
    at = {"all": 0.3, "head": 0.4, "common": None, "tail": tail}
    (run / "diagnose/diagnosis.json").write_text(json.dumps({"sweep": {"0.0": at | {"tail": 0.0}, "1.0": at}}))


def test_adjusted_logits_have_their_own_tables(tmp_path):
    for seed in range(3):
        for loss, tail in (("ce", 0.20), ("ceco", 0.22), ("focal", 0.30)):
            write_run(tmp_path, loss, seed, 0.1)
            if loss != "focal":
                write_diagnosis(tmp_path / f"{loss}-{seed}", tail + 0.01 * seed * (loss == "ceco"))
    text = study_markdown(read_study(tmp_path))
    adjusted = text.split("With logits adjusted")[1].split("Smallest difference")[0]
    assert "| ce | 30.00 ± 0.00 | 40.00 ± 0.00 | - | 20.00 ± 0.00 |" in adjusted
    assert "| ceco | 30.00 ± 0.00 | 40.00 ± 0.00 | - | 23.00 ± 1.00 |" in adjusted
    assert "| ceco | +0.00 [+0.00, +0.00] | +0.00 [+0.00, +0.00] | - | +3.00 [+0.52, +5.48] |" in adjusted
    assert "focal" not in adjusted  # not diagnosed


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


def test_a_damaged_diagnosis_says_how_to_make_it_again(run_command, tmp_path):
    write_run(tmp_path, "ce", 0, 0.1)
    write_diagnosis(tmp_path / "ce-0", 2.0)
    outcome = run_command("report", f"study={tmp_path}")
    assert outcome.code == 2
    assert re.fullmatch(r"error: .*diagnosis.json is damaged: run `python -m ceco3d.diagnose` again.*\n", outcome.err)


SPACE = label_space("scannet200")


def write_rooms(run, right, rooms=20):
    """Write scores of rooms with 100 points of two classes of each group; ``right`` (rooms,) of each are correct."""
    classes = np.array(sorted(SPACE.groups[group][k] for group in GROUPS for k in range(2)))
    sums = np.full((rooms, 3, len(classes)), 100)
    sums[:, 0] = np.asarray(right)[:, None]
    np.savez(run / "confusion.npz", classes=classes, scenes=sums, counts=np.zeros((200, 201), np.int64))


def write_curves(run, last=0.5):
    """Write a log of 100 steps whose loss falls to ``last``, with four validations."""
    columns = [f"val_{name}_{group}" for name in ("equiangularity", "self_duality") for group in GROUPS]
    lines = [",".join(["step", "epoch", "loss", *columns])]
    for step in range(1, 101):
        lines.append(f"{step},1,{last + (100 - step) / 100}" + "," * len(columns))
        if step % 25 == 0:
            lines.append(f"{step},1,," + ",".join(["0.3"] * len(columns)))
    (run / "metrics.csv").write_text("\n".join(lines) + "\n")


def test_each_imbalance_has_its_tables_and_figures(run_command, tmp_path):
    for imbalance, gain in ((100, 0.02), (10, 0.01), ("scannet", 0.03)):
        for seed in range(3):
            for loss, tail in (("ce", 0.1), ("ceco", 0.1 + gain + 0.001 * seed)):
                write_run(tmp_path, loss, seed, tail, imbalance=imbalance)
                run = tmp_path / f"{loss}-{imbalance}-{seed}"
                write_rooms(run, np.arange(20) + 50 + 10 * (loss == "ceco"))
                write_curves(run)
    outcome = run_command("report", f"study={tmp_path}")
    assert outcome.code == 0, outcome.err
    text = (tmp_path / "study.md").read_text()
    headings = re.findall(r"## Imbalance (\w+)", text)
    assert headings == ["10", "100", "scannet"]
    parts = dict(zip(headings, text.split("## Imbalance")[1:], strict=True))
    for name, gain in (("10", 1.1), ("100", 2.1), ("scannet", 3.1)):
        assert f" {gain:+.2f} [" in parts[name]
        assert "Smallest difference from ce" in parts[name]
        assert "| ceco - ce | rooms | " in parts[name]
        assert "| ce | 0.545 | 0.645 | -15.5 |" in parts[name]  # the last tenth of the steps, and the one before
        for kind in ("training", "collapse"):
            assert (tmp_path / f"study-{kind}-{name}.png").read_bytes().startswith(b"\x89PNG")


def test_figures_name_groups_and_write_numbers_plainly(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path, "ce", seed, 0.1)
        write_curves(tmp_path / f"ce-{seed}", last=0.01)
    results = read_study(tmp_path)[""]
    with plain_figures():
        losses, collapse = draw_losses(results), draw_collapse(results)
        for figure in (losses, collapse):
            figure.canvas.draw()
        ticks = [tick.get_text() for tick in losses.axes[0].get_yticklabels()]
    assert "0.1" in ticks
    assert not any("$" in text for text in ticks)
    assert [axes.get_title() for axes in collapse.axes[:3]] == ["head", "common", "tail"]
    assert [axes.get_xlabel() for axes in collapse.axes[-3:]] == ["step"] * 3


def test_the_bootstrap_draws_the_same_rooms_for_all_runs(tmp_path):
    right = np.random.default_rng(0).integers(20, 80, 20)
    for loss, shift in (("ce", 0), ("ceco", 10)):
        for seed in (0, 1):
            write_run(tmp_path, loss, seed, 0.1, imbalance=100)
            write_rooms(tmp_path / f"{loss}-100-{seed}", right + shift)
    results = read_study(tmp_path)["100"]
    found = bootstrap(results["ce"]["0"])
    assert found.shape == (DRAWS, 4)
    iou = right.sum() / (2 * 20 * 100 - right.sum())
    assert found.mean(0) == pytest.approx(100 * iou, abs=0.5)
    deviation = 100 * np.std(right / 100) / 20**0.5 * (2 / (2 - right.mean() / 100) ** 2)  # of h / (2 - h)
    assert found.std(0) == pytest.approx(deviation, rel=0.1)
    rows = {(name, over): cells for name, over, *cells in noise_rows(results, "ce")}
    assert float(rows["ceco - ce", "rooms"][0]) < 0.2 * float(rows["ce", "rooms"][0])
    assert rows["ce", "seeds"] == ["0.00"] * 4


def test_runs_of_older_versions_have_tables_without_what_they_lack(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path, "ce", seed, 0.1)
    text = study_markdown(read_study(tmp_path))
    assert "Imbalance" not in text
    assert "Noise" not in text
    assert "Training loss" not in text
