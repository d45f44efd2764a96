"""Turn YAML nodes with a ``_target_`` into components: import the class and check its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from ceco3d.cli.hints import suggestion
from ceco3d.cli.messages import explain
from ceco3d.utils.components import TARGET, Component
from ceco3d.utils.errors import UserError


def with_components(node: Any, key: str = "") -> Any:
    """``node`` (plain dicts, lists and values) with a Component in place of every mapping that has a ``_target_``.

    UserError for a target that cannot be imported, an argument it does not take, or one of the wrong type.
    """
    if isinstance(node, list):
        return [with_components(item, f"{key}[{number}]") for number, item in enumerate(node)]
    if not isinstance(node, Mapping):
        return node
    parts = {name: with_components(value, f"{key}.{name}" if key else str(name)) for name, value in node.items()}
    if TARGET not in parts:
        return parts
    target = find_target(f"{key}.{TARGET}", parts.pop(TARGET))
    named = "name" in inspect.signature(target).parameters
    name = str(parts.get("name") if named else parts.pop("name", target.__name__))
    return Component(key, target, checked_arguments(key, target, parts), name)


def find_target(key: str, path: Any) -> Callable[..., Any]:
    """The class or function at the dotted ``path``; UserError if there is none."""
    module, _, name = str(path).rpartition(".")
    try:
        target = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{key}={path}: cannot be imported ({error}); give the dotted path of a class") from error
    if not callable(target):
        raise UserError(f"{key}={path}: is not a class or function")
    return target


def checked_arguments(key: str, target: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """``arguments`` converted to the types in the signature of ``target``; UserError names the key that is wrong."""
    parameters = inspect.signature(target).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        for name in arguments:
            if name not in parameters:
                raise UserError(f"{key}.{name}: {target.__name__} has no such setting{suggestion(name, parameters)}")
    hints = _hints(target)
    return {name: _checked(f"{key}.{name}", hints.get(name, Any), value) for name, value in arguments.items()}


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    try:
        if inspect.isclass(target) and not is_dataclass(target):
            return get_type_hints(target.__init__, include_extras=True)
        return get_type_hints(target, include_extras=True)
    except (NameError, TypeError):  # annotations that exist for type checkers only
        return {}


def _checked(key: str, hint: Any, value: Any) -> Any:
    if isinstance(value, Component) or hint is Any or _holds_components(value):
        return value
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # a dataclass brings its own configuration
        adapter = TypeAdapter(hint)
    except PydanticSchemaGenerationError:
        return value
    try:
        checked = adapter.validate_python(value)
    except ValidationError as error:
        raise UserError(explain(error, key)) from error
    if isinstance(checked, Path):
        checked = checked.expanduser()
    if isinstance(value, bool) and not isinstance(checked, bool):  # pydantic takes true for 1
        raise UserError(f"{key}={str(value).lower()}: must be a number")
    return checked


def _holds_components(value: Any) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(isinstance(item, Component) for item in items)
