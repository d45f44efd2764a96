"""A class or function together with the arguments it will be called with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ceco3d.utils.errors import UserError

TARGET = "_target_"  # names the class in YAML and in checkpoints


@dataclass(frozen=True)
class Component:
    """A deferred call of ``target(**arguments)``; the caller adds the arguments that only it knows.

    key        its name in error messages, such as "loss.center"
    target     a class or function
    arguments  by name; components among them, also inside lists and mappings, are called first
    name       its name in logs and tables

    Calling the component passes on only the keyword arguments that the target has parameters for: a loss that needs the
    number of classes declares ``num_classes``, others do not.
    """

    key: str
    target: Callable[..., Any]
    arguments: Mapping[str, Any]
    name: str = ""

    def __call__(self, **known: Any) -> Any:
        """Call the target. UserError if an argument is missing or the target raises ValueError."""
        parameters = inspect.signature(self.target).parameters
        takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
        offered = {name: value for name, value in known.items() if takes_all or name in parameters}
        arguments = offered | {name: _made(value, known) for name, value in self.arguments.items()}
        missing = [name for name in _required(parameters) if name not in arguments]
        if missing:
            raise UserError(f"{self.key}.{missing[0]} is not set: {self.target.__name__} needs it")
        try:
            return self.target(**arguments)
        except ValueError as error:
            raise UserError(f"{self.key}: {error}") from error


def _required(parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [name for name, item in parameters.items() if item.default is item.empty and item.kind not in variadic]


def _made(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, Component):
        return value(**known)
    if isinstance(value, list):
        return [_made(item, known) for item in value]
    if isinstance(value, dict):
        return {name: _made(item, known) for name, item in value.items()}
    return value
