"""The overrides that a command line stands for: those of presets come first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

VALUE = "value"
PARTS = "dataset.parts"  # of dataset=joint


def presets(folders: Sequence[Path], name: str, arguments: Sequence[str]) -> list[str]:
    """The override that chooses ``preset/DATASET.yaml`` and ``DATASET_METHOD.yaml``, where a folder has such files.

    Of a joint data set the first part decides.
    Only for commands that take presets, and not where the user chooses some. Hydra itself cannot do it: a group chosen
    by interpolation may not override others.
    """
    content = yaml.safe_load((folders[0] / f"{name}.yaml").read_text(encoding="utf-8"))
    lines = [line for line in content["defaults"] if isinstance(line, dict)]
    choices = {group: option for line in lines for group, option in line.items()}
    given = dict(argument.lstrip("+").split("=", 1) for argument in arguments if "=" in argument)
    if "preset" not in choices or "preset" in given:
        return []
    dataset, method = (given.get(group, choices.get(group)) for group in ("dataset", "method"))
    dataset = next((choice for key, choice in given.items() if key.startswith(f"dataset@{PARTS}.")), dataset)
    wanted = [f"{dataset}", f"{dataset}_{method}"]
    found = [option for option in wanted if any((folder / "preset" / f"{option}.yaml").is_file() for folder in folders)]
    return [f"preset=[{','.join(found)}]"] if found else []


def beside_groups(folders: Sequence[Path], name: str, arguments: Sequence[str]) -> list[str]:
    """``arguments``, with a value that Hydra would take for the choice of a group as the mapping {VALUE: value}.

    Hydra takes every folder of conf/ for a group: ``conf/scheduler`` hides the key ``scheduler`` of another command.
    """
    own = yaml.safe_load((folders[0] / f"{name}.yaml").read_text(encoding="utf-8"))
    made = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        hidden = equals and key in own and any((folder / key).is_dir() for folder in folders)
        made.append(f"{key}={{{VALUE}:{value}}}" if hidden else argument)
    return made


def with_parts(arguments: Sequence[str]) -> list[str]:
    """``arguments`` with ``dataset.parts=[a,b]`` as Hydra takes it: the choice of each part, of ``conf/dataset``.

    Without a voxel size for all parts, it is that of the first.
    """
    made: list[str] = []
    for word in arguments:
        names = listed(word.removeprefix(f"{PARTS}=")) if word.startswith(f"{PARTS}=[") else []
        made += [f"+dataset@{PARTS}.{name}={name}" for name in names] or [word]
        if names and not any(other.lstrip("+").startswith("dataset.voxel_size=") for other in arguments):
            made.append(f"dataset.voxel_size=${{{PARTS}.{names[0]}.voxel_size}}")
    return made


def listed(text: str) -> list[str]:
    """The names in ``[a,b]``."""
    return [name.strip().strip("'\"") for name in text.strip("[]").split(",") if name.strip()]


def flat_keys(config: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names of all keys of nested mappings."""
    if isinstance(config, Mapping):
        for name, value in config.items():
            yield f"{prefix}{name}"
            yield from flat_keys(value, f"{prefix}{name}.")
