"""recipe=: the effective configuration of each, and that nothing but the loss differs where nothing else may.

After a wanted change: ``python -m tests.helpers.write_recipes``; each file begins with the sources of its values.
"""

from pathlib import Path

import pytest
import yaml

from ceco3d.cli.app import config_dir
from tests.helpers.recipes import RECIPES, as_text, differences, effective

GOLDEN = Path(__file__).parent / "recipes"
NAMES = ["ceco_2d", "csc", "lground", "lground_ce", "ours", "pointcept_minkunet", "pointcept_spunet", "volt_teacher"]


def test_the_recipes():
    assert RECIPES == NAMES == sorted(path.stem for path in GOLDEN.glob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_effective_configuration_is_the_recorded_one(recipe):
    text = (GOLDEN / f"{recipe}.yaml").read_text()
    assert text.startswith("# Source: "), "no source"
    assert effective(recipe) == yaml.safe_load(text)
    assert text.endswith(as_text(effective(recipe)))


@pytest.mark.parametrize("recipe", ["pointcept_spunet", "pointcept_minkunet", "lground_ce", "csc"])
def test_cross_entropy_and_ceco_differ_in_the_loss_alone(recipe):
    keys = differences(effective(recipe, "loss=ce"), effective(recipe, "loss=ceco"))
    assert {key.split(".")[0] for key in keys} == {"name", "loss"}
    assert set(keys) == {"name", "loss.name", "loss.center", "loss.center_weight"}


def test_the_released_branch_of_ceco_is_the_whole_difference():
    keys = differences(effective("pointcept_minkunet"), effective("ceco_2d"))
    assert {key.split(".")[0] for key in keys} == {"name", "loss"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_the_same_on_every_data_set(recipe):
    """The presets of data sets, such as a short training for rooms200, do not reach into it."""
    rooms, scannet = (effective(recipe, f"dataset={name}") for name in ("rooms200", "scannet200"))
    keys = differences(rooms, scannet)
    assert not [key for key in keys if not key.startswith("pretrain.")]  # pretraining has presets of its own


def test_docs_name_every_recipe():
    text = (config_dir().parent / "docs/recipes.md").read_text()
    assert not [name for name in RECIPES if f"`{name}`" not in text]
