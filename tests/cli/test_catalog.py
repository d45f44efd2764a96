"""What the YAML files of conf/ tell about keys, and the help that is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ceco3d.cli.app import compose
from ceco3d.cli.arguments import checked, repeated
from ceco3d.cli.catalog import MINKUNETS, components, config_dir, read_catalog
from ceco3d.cli.help import help_page
from ceco3d.models.minkunet import VARIANTS

TRAIN = read_catalog("train", [config_dir()])


@pytest.fixture
def own_conf(tmp_path: Path) -> Path:
    """A user's folder with a data set and its preset."""
    text = (config_dir() / "dataset/rooms200.yaml").read_text().replace("name: rooms200", "name: mine")
    for name, content in (
        ("dataset/mine.yaml", text),
        ("preset/mine.yaml", "# @package _global_\ntrainer:\n  epochs: 77  # ours\n"),
        ("model/ours.yaml", "defaults: [minkunet, _self_]\nname: MinkUNet14A\nnovel: 1  # of ours\n"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def test_the_names_of_the_networks_are_those_of_the_family():
    assert [*(f"MinkUNet{name}" for name in MINKUNETS), "SpUNet34C"] == list(VARIANTS)


def test_keys_of_all_choices_are_known_not_only_those_of_the_default():
    assert {"loss.lovasz_weight", "logger.wandb.project", "transforms.paste.count", "pretrain.method"} <= set(
        TRAIN.names()
    )
    assert {"loss", "loss.point", "loss.center", "dataset", "logger.wandb"} <= components(TRAIN)


def test_choices_have_the_keys_of_those_that_they_extend():
    names = ["balanced_focal_ceco", "ceco", "ceco_2d", "cecol", "logit_adjustment_ceco", "modern_ceco"]
    assert TRAIN.holders("loss.center.dim") == [f"loss={name}" for name in names]


def test_comments_are_read_with_the_lines_that_continue_them():
    key = next(key for key in read_catalog("export", [config_dir()]).own if key.name == "out")
    assert key.comment.startswith("folder for submission.zip")
    assert key.comment.endswith("default: RUN_DIR/export-<split>")


def test_a_folder_of_ones_own_adds_choices_keys_and_presets(own_conf, run_command):
    catalog = read_catalog("train", [config_dir(), own_conf])
    assert "mine" in catalog.groups["dataset"]
    assert "model.novel" in catalog.names()
    page = help_page("train", catalog, ["dataset=mine"])
    assert "trainer.epochs=77" in page
    outcome = run_command("train", "--config-dir", own_conf, "dataset=mine", "--cfg", "job")
    assert outcome.code == 0, outcome.err
    assert "epochs: 77" in outcome.out


@pytest.mark.parametrize(
    ("command", "shown", "hidden"),
    [
        ("predict", ["max_voxels=500000", "tta=none", "voxel_size=null"], ["seed=", "workers=", "dataset="]),
        ("evaluate", ["dataset=rooms200", "voxel_size=null"], ["dataset.voxel_size", "trainer."]),
        ("report", ["device=auto"], ["precision=", "workers="]),
        ("train", ["dataset.voxel_size=0.07", "trainer.epochs=10 ", "loss.center.dim=512"], ["tta", "_target_"]),
        ("serve", ["port=8000", "checkpoint=pretrained", "device=auto"], ["seed=", "workers="]),
        ("doctor", ["data=data", "warm=false", "precision=null"], ["device=", "seed="]),
    ],
)
def test_help_shows_the_keys_that_apply_with_their_values(command, shown, hidden):
    lines = help_page(command, read_catalog(command, [config_dir()])).splitlines()
    keys = [line for line in lines if line.startswith("  ") and "python" not in line]
    assert not [text for text in shown if not any(line.startswith(f"  {text}") for line in keys)]
    assert not [text for text in hidden if any(line.startswith(f"  {text}") for line in keys)]
    assert max(map(len, lines)) <= 120


def test_help_follows_the_choices_before_it():
    assert "loss.center.dim" not in help_page("train", TRAIN, ["loss=ce"])
    assert "trainer.epochs=600 " in help_page("train", TRAIN, ["dataset=scannet200"])


@pytest.mark.parametrize(
    "argument", ["experiment=null", "+experiment=null", "recipe=null", "logger=null", "preset=null"]
)
def test_groups_that_may_be_empty_take_null(argument):
    assert checked([argument], TRAIN, "train")[0].endswith("=[]")
    assert compose("train", [argument])


@pytest.mark.parametrize("argument", ["+experiment=ceco", "++loss=ce", "+trainer.epochs=3"])
def test_a_plus_before_a_known_key_changes_nothing(argument):
    assert checked([argument], TRAIN, "train") == [argument.lstrip("+")]


@pytest.mark.parametrize(
    "argument",
    [
        "optimizer.betas=[0.9,0.95]",
        "dataset.sizes.mine={train: 3}",
        "logger.mine._target_=os.path.join",
        "hydra.verbose=1",
    ],
)
def test_arguments_of_classes_are_left_to_the_classes(argument):
    assert checked([argument], TRAIN, "train")[0].lstrip("+") == argument


def test_several_keys_of_a_group_may_come_as_a_mapping():
    trainer = compose("train", ["trainer={epochs: 3, batch_size: 1}"])["trainer"]
    assert (trainer["epochs"], trainer["batch_size"], trainer["log_every"]) == (3, 1, 10)


def test_keys_given_twice_with_different_values_are_told():
    given = ["seed=1", "+seed=2", "loss=ce", "loss=ce", "--config-dir=a", "--config-dir=b"]
    assert repeated(given) == {"seed": ["1", "2"]}
