"""The page that ``--help`` shows: an introduction, then the keys with the comments of the YAML files."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from ceco3d.cli.catalog import LOADER, Catalog, Document, Key, config_dir
from ceco3d.utils.components import TARGET

WIDTH, COLUMN = 120, 28
COMMON = "The machine"
# Keys that every command accepts and these do not use: conf/common.yaml.
UNUSED = {
    "preprocess": ("device", "precision", "seed"),
    "evaluate": ("seed",),
    "diagnose": ("seed",),
    "export": ("seed",),
    "predict": ("seed", "workers"),
    "serve": ("seed", "workers"),
    "visualize": ("workers",),
    "report": ("precision", "seed", "workers"),
    "doctor": ("device", "seed"),
}


def help_page(command: str, catalog: Catalog, overrides: Sequence[str] = ()) -> str:
    """The help of ``command``, with the values that its groups, as ``overrides`` choose them, give to the keys."""
    chosen = _chosen(catalog, overrides)
    values = _values(catalog, chosen)
    lines = [_introduction(command)]
    for heading, keys in _sections(command, catalog, chosen):
        if keys:
            lines += ["", heading, *(line for key in keys for line in _row(key, values))]
    lines += ["", f"Values of everything: python -m ceco3d.{command} --cfg job     The files behind it: {config_dir()}"]
    return "\n".join(lines)


def _introduction(command: str) -> str:
    content = yaml.load((config_dir() / f"{command}.yaml").read_text(encoding="utf-8"), LOADER)
    return str(content["hydra"]["help"]["template"]).replace("$$", "$").rstrip()


def _chosen(catalog: Catalog, overrides: Sequence[str]) -> dict[str, list[str]]:
    """The choices of every group: the defaults, what the data set and the method change, what the user chooses."""
    given = {key: value for key, _, value in (word.lstrip("+").partition("=") for word in overrides)}
    chosen = {group: given.get(group, choice) for group, choice in catalog.chosen.items()}
    if "preset" in chosen and "preset" not in given:
        names = [str(chosen["dataset"]), f"{chosen['dataset']}_{chosen.get('method')}"]
        chosen["preset"] = [name for name in names if name in catalog.groups["preset"]]
    listed = {group: _listed(choice) for group, choice in chosen.items()}
    for group in catalog.groups:
        for document in _documents(catalog, group, listed):
            listed |= {name: _listed(value) for name, value in document.overrides.items() if name not in given}
    return listed


def _listed(choice: Any) -> list[str]:
    names = choice if isinstance(choice, list) else str("" if choice is None else choice).strip("[]").split(",")
    return [str(name).strip("'\" ") for name in names if str(name) not in ("", "null")]


def _documents(catalog: Catalog, group: str, chosen: dict[str, list[str]]) -> list[Document]:
    return [catalog.groups[group][name] for name in chosen.get(group, ()) if name in catalog.groups[group]]


def _values(catalog: Catalog, chosen: dict[str, list[str]]) -> dict[str, str]:
    late = ("schedule", "experiment")  # after the keys of the command
    values: dict[str, str] = {}
    for group in catalog.groups:
        if group not in late:
            values |= {key.name: key.value for document in _documents(catalog, group, chosen) for key in document.keys}
    values |= {key.name: key.value for key in catalog.own}
    for group in late:
        for document in _documents(catalog, group, chosen) if group in catalog.groups else ():
            values |= {key.name: key.value for key in document.keys}
    return values


def _sections(command: str, catalog: Catalog, chosen: dict[str, list[str]]) -> Iterator[tuple[str, list[Key]]]:
    sections: dict[str, list[Key]] = {}
    heading = "Keys"
    for key in catalog.own:
        heading = key.heading if "." not in key.name and key.heading else heading
        if key.is_leaf and key.name not in UNUSED.get(command, ()):
            sections.setdefault(heading, []).append(key)
    machine = sections.pop(COMMON, [])
    yield from sections.items()
    offered = [group for group, choices in catalog.groups.items() if choices]
    yield "Choices, each with keys of its own", [_group(catalog, group, chosen) for group in offered]
    for group in catalog.groups:
        documents = _documents(catalog, group, chosen) if group not in ("preset", "schedule", "experiment") else []
        keys = {key.name: key for document in documents for key in document.keys if _is_shown(key, group)}
        if not catalog.reads_voxel_size:
            keys.pop("dataset.voxel_size", None)
        yield f"Of {group}={','.join(chosen.get(group, ()))}", list(keys.values())
    yield COMMON, machine


def _is_shown(key: Key, group: str) -> bool:
    """Values that a user may change: those with a comment."""
    return key.is_leaf and bool(key.comment) and key.name.startswith(f"{group}.") and TARGET not in key.name


def _group(catalog: Catalog, group: str, chosen: dict[str, list[str]]) -> Key:
    names = chosen.get(group, [])
    is_list = isinstance(catalog.chosen[group], list)
    value = f"[{','.join(names)}]" if is_list else ",".join(names) or "null"
    about = catalog.about.get(group)
    names = list(catalog.groups[group])
    return Key(group, value, ": ".join(filter(None, (about, " | ".join(names) if len(names) > 1 else ""))))


def _row(key: Key, values: dict[str, str]) -> Iterator[str]:
    value = re.sub(r"\s*([,:\[\]{}])\s*", r"\1", values.get(key.name, key.value))
    value = "..." if value == "???" else value
    left = f"  {key.name}={value}"
    if not key.comment:
        yield left
        return
    first = f"{left:{COLUMN - 2}}  "
    indent = " " * COLUMN
    yield from textwrap.wrap(
        key.comment,
        WIDTH,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
