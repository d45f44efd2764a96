"""Typed settings: frozen dataclasses that check names, types and ranges on creation.

A value out of range is a ``ValueError`` (pydantic's ``ValidationError``) that names the field; the command line turns
it into one line with the full key (``ceco3d.cli.settings``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

import pydantic
from pydantic import BeforeValidator, ConfigDict, Field
from typing_extensions import dataclass_transform

from ceco3d.utils.components import Component

T = TypeVar("T")

Count = Annotated[int, Field(strict=True, ge=1)]
Index = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Number = Annotated[float, Field(strict=True)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Factory = Callable[..., Any]


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _as_path(value: Any) -> Any:
    text = _as_text(value)
    if text == "":
        raise ValueError("must be a path")  # Path("") is the current folder
    return Path(text).expanduser() if isinstance(text, str) else text


def as_texts(value: Any) -> list[str] | None:
    """One value or a list as a list of text; None stays None."""
    return None if value is None else [str(entry) for entry in (value if isinstance(value, list | tuple) else [value])]


# A name such as 2026 is a number in YAML.
Text = Annotated[str, BeforeValidator(_as_text)]
FilePath = Annotated[Path, BeforeValidator(_as_path)]


def _build(value: Any) -> Any:
    return value() if isinstance(value, Component) else value


# Annotated[X, BUILT]: the field holds the object that a component builds, not the component.
BUILT = BeforeValidator(_build)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def settings(cls: type[T]) -> type[T]:
    """Make ``cls`` a frozen, keyword-only dataclass that rejects unknown names, wrong types and values out of range."""
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    made: Any = pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=config)(cls)
    return cast(type[T], made)


@settings
class CommonSettings:
    """Settings of every command (conf/common.yaml)."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] | None = None
    seed: Index = 0
    workers: Count | None = None
    log_level: Literal["debug", "info", "warning"] = "info"
