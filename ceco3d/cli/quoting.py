"""Quote values that Hydra's grammar does not read as they are meant: paths, names, lists of overrides.

Hydra reads ``run=2026_11`` as 202611, and fails on ``=``, ``~``, brackets, umlauts in a path.
"""

from __future__ import annotations

import os
import re
import types
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from ceco3d.utils.errors import UserError

OPENING, CLOSING, QUOTES = "[{(", "]})", "'\""
ESCAPED = re.compile(r"\\[\s,=:()\[\]{}'\"]")  # Hydra's own way to write special characters


def text_keys(kind: type, prefix: str = "") -> dict[str, bool]:
    """Keys of settings of ``kind`` whose value is text or a path, True for lists of these."""
    found: dict[str, bool] = {}
    hints = get_type_hints(kind, include_extras=True)
    for item in fields(kind):
        for hint in _members(hints[item.name]):
            key = f"{prefix}{item.name}"
            if hint in (str, Path):
                found[key] = found.get(key, False)
            elif get_origin(hint) is Sequence:
                if {str, Path} & set(_members(get_args(hint)[0])):
                    found[key] = True
            elif isinstance(hint, type) and is_dataclass(hint):
                found |= text_keys(hint, f"{key}.")
    return found


def _members(hint: Any) -> Iterator[Any]:
    """The types in a union, without annotations."""
    if get_origin(hint) is Annotated:
        yield from _members(get_args(hint)[0])
    elif get_origin(hint) in (Union, types.UnionType):
        for member in get_args(hint):
            yield from _members(member)
    else:
        yield hint


def quoted(arguments: Sequence[str], kind: type | None = None) -> list[str]:
    """``arguments`` with quotes around what is text to settings of ``kind`` or what Hydra cannot read.

    UserError for a list or a mapping that nobody can read.
    """
    texts = {} if kind is None else text_keys(kind)
    sweeps = any(
        word in ("-m", "--multirun") or word.lstrip("+").startswith(("hydra.mode", "experiment=")) for word in arguments
    )
    return [_quoted_argument(word, texts, sweeps) for word in arguments]


def _quoted_argument(argument: str, texts: dict[str, bool], sweeps: bool) -> str:
    key, equals, value = argument.partition("=")
    if not equals or argument.startswith("-") or not value or _is_done(value):
        return argument
    name = key.lstrip("+~")
    if _is_listed(value) and texts.get(name) is not False:
        elements = [_quoted_element(element.strip(), name in texts) for element in _split(value[1:-1])]
        made = f"{key}=[{','.join(elements)}]"
        if _reads(made) or not os.path.lexists(value):
            return made if made != f"{key}={value}" else _readable(argument)
    if sweeps and _reads(argument):
        return argument
    if value[:1] == "[" and texts.get(name) and not os.path.lexists(value):
        return _readable(argument)
    if name in texts and not ESCAPED.search(value):
        commas = len(list(_split(value))) > 1
        if not (texts[name] and commas) or os.path.lexists(value):
            return f"{key}={quote(os.path.expanduser(value))}"
    return _readable(argument)


def _readable(argument: str) -> str:
    """``argument``, its value quoted if Hydra cannot read it."""
    key, _, value = argument.partition("=")
    if _reads(argument):
        return f"{key}={quote(value)}" if "," in value and os.path.lexists(value) else argument
    if value[:1] in "[{" and not os.path.lexists(value):
        raise UserError(
            f"{argument}: brackets or quotes do not match; a list is {key}=[a,b], a name with brackets {key}=\"'...'\""
        )
    return f"{key}={quote(os.path.expanduser(value))}"


def _reads(argument: str) -> bool:
    try:
        OverridesParser.create().parse_override(argument).value()
    except HydraException:
        return False
    return True


def _is_done(value: str) -> bool:
    """Whether ``value`` stands for something else than its letters, or has quotes already."""
    return value == "null" or (len(value) > 1 and value[0] in QUOTES and value[-1] == value[0])


def _is_listed(value: str) -> bool:
    """Whether ``value`` is one list, unlike the name ``[1] room [2]``."""
    matched = value.startswith("[") and value.endswith("]")
    return matched and not ("[" in value[1:] and value[1:].index("]") < value[1:].index("[") and os.path.lexists(value))


def _quoted_element(element: str, text: bool) -> str:
    if element[:1] in (*OPENING, *QUOTES) or element == "null":
        return element
    if "=" in element or (text and not ESCAPED.search(element)) or not _reads(f"key=[{element}]"):
        return quote(os.path.expanduser(element))
    return element


def quote(text: str) -> str:
    """``text`` in quotes as Hydra reads them: a backslash is special before a quote only."""
    return "'" + re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + found[2].replace("'", r"\'"), text) + "'"


def _split(text: str) -> Iterator[str]:
    """The parts of ``text`` between commas that are in no bracket and no quotes."""
    depth, mark, start, escaped = 0, "", 0, False
    for place, letter in enumerate(text):
        if mark:
            mark = "" if letter == mark and not escaped else mark
            escaped = letter == "\\" and not escaped
        elif letter in QUOTES:
            mark = letter
        elif letter in OPENING:
            depth += 1
        elif letter in CLOSING:
            depth -= 1
        elif letter == "," and depth == 0:
            yield text[start:place]
            start = place + 1
    if text:
        yield text[start:]
