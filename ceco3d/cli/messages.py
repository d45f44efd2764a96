"""Explain a bad setting on one line: the key, the value, and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from ceco3d.cli.hints import suggestion

# By pydantic's error type; pydantic fills in the placeholders.
TEXTS = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "choose {expected}",
    "string_type": "must be text",
    "path_type": "must be a path",
    "missing": "is not set",
    "too_short": "must have at least {min_length}",
}
LISTS = ("list_type", "tuple_type", "sequence_str")
MEMBERS = ("bool", "float", "int", "str")  # names that pydantic gives to the members of a union
MAPPINGS = ("dataclass_type", "dict_type", "mapping_type")


def explain(error: ValidationError, prefix: str = "", known: Iterable[str] = ()) -> str:
    """The first problem of ``error`` on one line; ``prefix`` precedes its key, hints come from the ``known`` keys."""
    problem = error.errors(include_url=False)[0]
    key = _key(problem["loc"], prefix)
    kind, value = problem["type"], problem["input"]
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{key}: no such key{suggestion(key, known)}"
    if kind == "missing":
        return f"{key}: is not set; pass {key}=..."
    if kind in LISTS or (kind == "is_instance_of" and problem["ctx"]["class"] == "Sequence"):
        return f"{key}={_shown(value)}: must be a list, e.g. {key}=[{_shown(value)}]"
    if kind in MAPPINGS:
        return f"{key}={_shown(value)}: must have keys of its own, see --help"
    text = TEXTS.get(kind)
    context = problem.get("ctx", {})
    if kind == "literal_error":
        context = {"expected": str(context["expected"]).replace("'", "")}
    reason = text.format(**context) if text else problem["msg"].removeprefix("Value error, ")
    return f"{key}: {reason}" if isinstance(value, Mapping) else f"{key}={_shown(value)}: {reason}"


def _key(place: tuple[int | str, ...], prefix: str) -> str:
    key = prefix
    for part in place:
        if isinstance(part, int):
            key += f"[{part}]"
        elif part in MEMBERS or not part.replace("_", "").isalnum():
            continue  # a member of a union
        else:
            key += f".{part}" if key else part
    return key


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
