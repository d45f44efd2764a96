"""conf/: help texts name keys that exist, defaults are stated once, every choice is valid."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from ceco3d.cli.app import compose
from ceco3d.cli.catalog import MINKUNETS, config_dir, read_catalog
from ceco3d.cli.help import help_page
from ceco3d.cli.overrides import flat_keys
from ceco3d.predict import PredictSettings
from ceco3d.report import ReportSettings
from ceco3d.training.settings import PasteSettings, TrainerSettings
from ceco3d.utils.settings import CommonSettings
from ceco3d.visualize import VisualizeSettings
from tests.helpers.commands import KINDS, settings_of

CONF = config_dir()
MANDATORY = {
    "evaluate": ["checkpoint=x"],
    "export": ["checkpoint=x"],
    "predict": ["checkpoint=x", "input=x", "out=x"],
}
NAMED = re.compile(r"(?:^|\s{2,})([a-z][a-z_]*(?:\.[a-z_]+)*)=(\[[^\]]*\]|[^\s,;:|)]*)")  # key=value


def template(command: str) -> str:
    """What --help prints."""
    return help_page(command, read_catalog(command, [CONF]))


def named_keys(command: str) -> list[tuple[str, str]]:
    """(key, value) that the help text explains; the lines with commands are tested in test_documented_commands."""
    lines = [line for line in template(command).splitlines() if "ceco3d" not in line]
    return [(found[1], found[2]) for line in lines for found in NAMED.finditer(line)]


def groups() -> dict[str, set[str]]:
    """The names that each group offers; conf/model/minkunet.yaml is only the base of the MinkUNets."""
    found = {folder.name: {path.stem for path in folder.glob("*.yaml")} for folder in CONF.iterdir() if folder.is_dir()}
    return found | {"model": found["model"] - {"minkunet"} | {f"minkunet{name.lower()}" for name in MINKUNETS}}


def test_the_help_of_train_fits_a_few_screens_and_has_groups(run_command):
    lines = run_command("train", "--help").out.splitlines()
    assert len(lines) <= 145
    headings = [a for a, b in pairwise(lines) if a and a[0] != " " and NAMED.match(b)]
    assert len(headings) >= 5
    assert not any(line.startswith(("dataset:", "hydra")) for line in lines)


@pytest.mark.parametrize("command", sorted(KINDS))
def test_a_help_text_fits_a_few_screens(command):
    assert len(template(command).splitlines()) <= (145 if command in ("train", "pretrain") else 100)


@pytest.mark.parametrize("command", sorted(KINDS))
def test_every_key_in_a_help_text_exists(command):
    given = MANDATORY.get(command, [])
    known = {*flat_keys(compose(command, given)), *groups()}
    if command == "pretrain":  # keys that only one method has
        known |= {key for method in groups()["method"] for key in flat_keys(compose(command, [f"method={method}"]))}
    keys = named_keys(command)
    assert keys
    assert not [key for key, _ in keys if key not in known]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "pretrain"])
def test_every_value_in_a_help_text_is_valid(command):
    for key, value in named_keys(command):
        if value and not re.search(r"[A-Z<$]|\.\.\.", value) and not key.startswith("method."):
            settings_of(command, f"{key}={value}")


@pytest.mark.parametrize(
    "group", ["dataset", "loss", "transforms", "optimizer", "scheduler", "logger", "experiment", "recipe"]
)
def test_the_help_of_train_names_every_choice_of_a_group(group):
    text = template("train")
    explained = text[text.index(f"\n  {group}=") :].partition("\n\n")[0]
    assert not [name for name in groups()[group] if not re.search(rf"\b{name}\b", explained)]


CHOICES = [
    *((group, name) for group in ("dataset", "loss", "model", "transforms", "optimizer") for name in groups()[group]),
    *((group, name) for group in ("scheduler", "recipe", "experiment") for name in groups()[group]),
]


@pytest.mark.parametrize(("group", "name"), sorted(CHOICES))
def test_every_choice_of_a_group_is_valid(group, name):
    needed = {"joint": ["dataset.parts=[rooms200,folder]"], "as_init": ["init=pretrained"]}
    needed["retrain_classifier"] = needed["as_init"]
    settings_of("train", f"{group}={name}", *needed.get(name, []))


def defaults(kind: type) -> dict[str, object]:
    return {field.name: field.default for field in fields(kind) if field.default is not MISSING}


def read(name: str, *keys: str) -> dict[str, object]:
    content = yaml.safe_load((CONF / name).read_text())
    for key in keys:
        content = content[key]
    return content


# Fields whose default in Python differs on purpose.
DIFFERENT = {"workers": "loader processes: a training in Python starts none unless told to"}


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (TrainerSettings, read("trainer/default.yaml")),
        (CommonSettings, read("common.yaml")),
        (PasteSettings, read("transforms/lground_tail.yaml", "paste")),
        (PredictSettings, read("predict.yaml")),
        (ReportSettings, read("report.yaml")),
        (VisualizeSettings, read("visualize.yaml")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_defaults_in_python_are_those_of_the_configuration(kind, content):
    here = defaults(kind)
    shared = content.keys() & here.keys()
    assert shared
    for name in shared:
        python = list(here[name]) if isinstance(here[name], tuple) else here[name]
        if not (kind is TrainerSettings and name in DIFFERENT):
            assert content[name] == python, f"{kind.__name__}.{name}"


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(Path(path).relative_to(CONF)))
def test_no_file_only_redirects_to_another(path):
    content = yaml.safe_load(path.read_text())
    chosen = [entry for entry in content.get("defaults", []) if entry != "_self_"]
    assert not (content.keys() == {"defaults"} and len(chosen) == 1)


def test_names_that_look_like_numbers_are_names():
    settings = settings_of("visualize", "runs=[2026,7]", "labels=[1,2]", "out=3", "scene=4")
    assert (settings.scene, settings.out, list(settings.labels)) == ("4", Path("3"), ["1", "2"])
    assert list(settings.runs) == [Path("2026"), Path("7")]
    assert settings_of("train", "run_dir=5", "name=6").run_dir == Path("5")
