"""Commands that are called like functions: ``ceco3d.train("trainer.epochs=3", dataset="rooms200")``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike, fspath
from types import ModuleType
from typing import Any, TypeVar

from ceco3d.cli import logs
from ceco3d.cli.app import compose
from ceco3d.cli.catalog import config_dir
from ceco3d.cli.quoting import quote
from ceco3d.cli.settings import to_settings
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import read_yaml

S = TypeVar("S")
WORD = re.compile(r"[A-Za-z]\w*", re.ASCII)  # as the names of choices, which have no quotes
CONSTANTS = ("true", "false", "null", "nan", "inf")


def settings_from(name: str, kind: type[S], overrides: tuple[str, ...], keys: Mapping[str, Any]) -> S:
    """The settings of the command ``name``, and its messages on the terminal.

    overrides  as on the command line: "trainer.epochs=3"
    keys       the same as keyword arguments; mappings stand for keys with dots: ``trainer={"epochs": 3}``
    UserError if a key does not exist or a value makes no sense.
    """
    if not all(isinstance(word, str) and "=" in word for word in overrides):
        raise UserError(f"{name}: arguments without a name are written key=value, such as 'trainer.epochs=3'")
    words = [*overrides, *_words(keys)]
    _refuse_sweeps(words)
    settings = to_settings(kind, compose(name, words))
    logs.install(getattr(settings, "log_level", "info"))
    return settings


def _refuse_sweeps(words: Sequence[str]) -> None:
    """UserError for a study, whose many runs only the command line starts."""
    for word in words:
        key, _, value = word.partition("=")
        path = config_dir() / "experiment" / f"{value}.yaml"
        if key == "experiment" and path.is_file() and "hydra" in read_yaml(path):
            raise UserError(f"{word}: a study of several runs; start it with python -m ceco3d.train {word}")


def _words(keys: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in keys.items():
        if isinstance(value, Mapping):
            yield from _words(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={_text(key, value)}"


def _text(key: str, value: Any) -> str:
    """A value as Hydra writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | PathLike):
        text = fspath(value)
        return text if WORD.fullmatch(text) and text.lower() not in CONSTANTS else quote(text)
    if isinstance(value, list | tuple):
        return f"[{','.join(_text(key, entry) for entry in value)}]"
    raise UserError(f"{key}: a {type(value).__name__} cannot be a setting; pass text, a number, a list or a dict")


def callable_module(name: str, function: Callable[..., Any]) -> None:
    """Let a call of the module ``name`` be a call of ``function``.

    ``ceco3d.train`` is the module that ``python -m ceco3d.train`` runs; an attribute of the same name would be replaced
    by it as soon as anything imports it.
    """

    class Command(ModuleType):
        __call__ = staticmethod(function)

    sys.modules[name].__class__ = Command
