"""Command-line overrides: lists of overrides inside a list, and hints for misspelled keys."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

OPENING, CLOSING, QUOTES = "[{(", "]})", "'\""


def quote_nested(argument: str) -> str:
    """Quote the elements of a list that are overrides themselves, which Hydra's grammar does not read.

    ``train=[dataset=rooms200,seed=1]`` becomes ``train=['dataset=rooms200','seed=1']``; anything else stays as it is.
    """
    key, equals, value = argument.partition("=")
    if not equals or not (value.startswith("[") and value.endswith("]")):
        return argument
    elements = [_quoted(element.strip()) for element in _split(value[1:-1])]
    return f"{key}=[{','.join(elements)}]"


def _quoted(element: str) -> str:
    if "=" not in element or element[:1] in (*OPENING, *QUOTES):
        return element
    # A backslash is special before a quote only.
    return "'" + re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + found[2].replace("'", r"\'"), element) + "'"


def _split(text: str) -> Iterator[str]:
    """The parts of ``text`` between commas that are in no bracket and no quotes."""
    depth, quote, start, escaped = 0, "", 0, False
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote and not escaped else quote
            escaped = letter == "\\" and not escaped
        elif letter in QUOTES:
            quote = letter
        elif letter in OPENING:
            depth += 1
        elif letter in CLOSING:
            depth -= 1
        elif letter == "," and depth == 0:
            yield text[start:place]
            start = place + 1
    if text:
        yield text[start:]


def presets(folder: Path, name: str, arguments: Sequence[str]) -> list[str]:
    """The override that chooses ``conf/preset/DATASET.yaml`` and ``DATASET_METHOD.yaml``, where there are such files.

    Only for commands that take presets, and not where the user chooses some. Hydra itself cannot do it: a group chosen
    by interpolation may not override others.
    """
    lines = [
        line for line in yaml.safe_load((folder / f"{name}.yaml").read_text())["defaults"] if isinstance(line, dict)
    ]
    choices = {group: option for line in lines for group, option in line.items()}
    given = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    if "preset" not in choices or "preset" in given:
        return []
    dataset, method = (given.get(group, choices.get(group)) for group in ("dataset", "method"))
    wanted = [f"{dataset}", f"{dataset}_{method}"]
    found = [option for option in wanted if (folder / "preset" / f"{option}.yaml").is_file()]
    return [f"preset=[{','.join(found)}]"] if found else []


def flat_keys(config: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names of all keys of nested mappings."""
    if isinstance(config, Mapping):
        for name, value in config.items():
            yield f"{prefix}{name}"
            yield from flat_keys(value, f"{prefix}{name}.")


def suggestion(key: str, known: Iterable[str]) -> str:
    """ "; did you mean ...?" with the known keys closest to ``key``, or nothing."""
    known = [name for name in dict.fromkeys(known) if name != key]
    close = difflib.get_close_matches(key, known, n=2, cutoff=0.75)
    last = key.rpartition(".")[2]
    close = close or [name for name in known if name.rpartition(".")[2] == last][:2]
    return f"; did you mean {' or '.join(close)}?" if close else ""
