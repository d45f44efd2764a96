"""Turn a composed configuration into typed settings. No layer below this one uses OmegaConf."""

from __future__ import annotations

from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError
from pydantic import TypeAdapter, ValidationError

from ceco3d.cli.components import with_components
from ceco3d.cli.messages import explain
from ceco3d.cli.overrides import flat_keys
from ceco3d.utils.errors import UserError

S = TypeVar("S")


def plain(cfg: DictConfig) -> dict[str, Any]:
    """``cfg`` as dicts, lists and values, interpolations resolved; UserError for a mandatory key that is not set."""
    try:
        for key in sorted(OmegaConf.missing_keys(cfg)):
            raise UserError(f"{key} is not set: pass {key}=..., see --help")
        content = OmegaConf.to_container(cfg, resolve=True)
    except InterpolationResolutionError as error:
        raise _of_resolver(error) from None
    assert isinstance(content, dict)
    return {str(name): value for name, value in content.items()}


def _of_resolver(error: BaseException) -> BaseException:
    """The UserError of a resolver, such as ``of_setup``, that OmegaConf wraps; ``error`` itself if there is none."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, UserError):
        inner = inner.__cause__ or inner.__context__
    return inner or error


def to_settings(kind: type[S], content: dict[str, Any]) -> S:
    """``content`` as settings of ``kind`` (``utils.settings``): names, types and ranges are checked here, once.

    ``_target_`` nodes become components; a field ``config`` of ``kind`` receives ``content`` as it is. UserError names
    the first key that is wrong, its value and what is allowed.
    """
    fields = getattr(kind, "__dataclass_fields__", {})
    parts = with_components(content) | ({"config": dict(content)} if "config" in fields else {})
    try:
        return TypeAdapter(kind).validate_python(parts)
    except ValidationError as error:
        raise UserError(explain(error, known=flat_keys(content))) from error
