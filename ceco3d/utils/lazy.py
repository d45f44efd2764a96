"""Package exports that are imported on first use (PEP 562).

Preprocessing workers import modules of several packages and start many times faster without torch, so no package on
their way may import torch eagerly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_exports(package: str, modules: Mapping[str, Sequence[str]]) -> tuple[Callable[[str], Any], list[str]]:
    """``__getattr__`` and ``__all__`` of ``package``, which re-exports the names listed for each of its modules.

    A name must not be the name of a module of the package. For type checkers, import the same names under
    ``TYPE_CHECKING``.
    """
    home = {name: module for module, names in modules.items() for name in names}

    def load(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{home[name]}"), name)

    return load, sorted(home)
