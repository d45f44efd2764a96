"""Every command line in the documents, help texts and comments is one that works."""

from __future__ import annotations

import re
import subprocess
from importlib.util import find_spec

import pytest

from ceco3d.__main__ import COMMANDS
from ceco3d.utils.errors import UserError
from tests.helpers.commands import KINDS, settings_of
from tests.helpers.documented import Documented, documented_commands, markdown_files
from tests.helpers.source import ROOT

ALL = documented_commands()
# Those with options of a user's own are run in test_extensions; "minkowski" takes a program and its arguments.
CONFIGURED = [
    one
    for one in ALL
    if one.command not in (None, "minkowski") and not {"--config-dir", "--help", "--cfg"} & set(one.words)
]


def settings(one: Documented, overrides: list[str]) -> None:
    """Turn the overrides into settings; where "..." leaves something out, fill in what is mandatory."""
    if {"experiment=finetune", "experiment=retrain_classifier"} & set(overrides):  # they read a checkpoint
        overrides = ["init=pretrained" if word.startswith("init=") else word for word in overrides]
    while True:
        try:
            settings_of(one.command, *overrides)
            return
        except UserError as error:
            missing = re.match(r"([\w.]+) is not set: pass", str(error))
            if not (missing and one.abridged):
                raise
            overrides = [*overrides, f"{missing[1]}=SOMETHING"]


@pytest.mark.parametrize("one", CONFIGURED, ids=[one.place for one in CONFIGURED])
def test_a_documented_command_has_valid_settings(one):
    assert one.command in COMMANDS, f"{one.place}: no command {one.command}"
    if one.command in KINDS and one.overrides:  # without any, the text only names the command
        settings(one, list(one.overrides))


def test_an_unknown_key_is_noticed():
    wrong = Documented("here:1", ("python",), "train", ("trainer.epohcs=3",))
    with pytest.raises(UserError, match="epohcs"):
        settings(wrong, list(wrong.overrides))


def test_commands_are_found_in_all_kinds_of_places():
    places = {one.place.partition(":")[0] for one in CONFIGURED}
    assert {"README.md", "data/README.md", "docs/gpu.md", "docs/docker.md", "conf/train.yaml"} <= places
    lines = [" ".join(one.words) for one in ALL]
    assert any(line.startswith("torchrun ") for line in lines)
    assert any("scripts/docker_run.sh" in line for line in lines)
    assert any("scripts/demo.sh" in line for line in lines)


@pytest.mark.parametrize("document", markdown_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_that_a_document_names_exist(document):
    for name in re.findall(r"\bscripts/\w+\.\w+", document.read_text()):
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("document", markdown_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_that_a_document_runs_exist(document):
    for name in re.findall(r"python -m ((?:ceco3d|examples|tests)[\w.]*\w)", document.read_text()):
        assert find_spec(name) is not None, name


@pytest.mark.parametrize("script", sorted((ROOT / "scripts").glob("*.s[hb]*")), ids=lambda path: path.name)
def test_a_script_is_valid_bash(script):
    subprocess.run(["bash", "-n", script], check=True)
