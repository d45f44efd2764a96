"""Build networks by name: the MinkUNet family, or a class of your own."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from ceco3d.models.minkunet import VARIANTS, MinkUNet
from ceco3d.models.network import Network
from ceco3d.sparse import load_engine
from ceco3d.sparse.engine import choices
from ceco3d.utils.components import TARGET


def build_model(
    name: str,
    in_channels: int,
    out_channels: int,
    stem_kernel: int = 5,
    bn_momentum: float = 0.1,
    engine: str = "auto",
) -> MinkUNet:
    """A network of the MinkUNet family by name, e.g. ``MinkUNet34C``.

    engine  see ``load_engine``

    ValueError for an unknown name and an engine that is unknown or not installed.
    """
    if name not in VARIANTS:
        raise ValueError(f"unknown model {name!r}; {choices(name, VARIANTS)}")
    return MinkUNet(VARIANTS[name], in_channels, out_channels, stem_kernel, bn_momentum, load_engine(engine))


def build_network(settings: Mapping[str, Any], in_channels: int, out_channels: int, engine: str = "auto") -> Network:
    """The network that ``settings`` describe.

    settings  arguments of ``build_model``, or ``{"_target_": "package.module.Class", **arguments}`` for a subclass of
              Network

    ValueError when the name, the class, its arguments or the engine are wrong.
    """
    if TARGET not in settings:
        return build_model(**settings, in_channels=in_channels, out_channels=out_channels, engine=engine)
    arguments = dict(settings)
    path = arguments.pop(TARGET)
    kind = find_network(path)
    if "engine" in inspect.signature(kind).parameters:
        arguments["engine"] = load_engine(engine)
    try:
        model = kind(**arguments, in_channels=in_channels, out_channels=out_channels)
    except TypeError as error:
        raise ValueError(f"model {path}: {error}") from error
    missing = [name for name in ("feature_channels", "final") if not hasattr(model, name)]
    if missing:
        raise ValueError(f"model {path}: its __init__ does not set {' and '.join(missing)}")
    return model


def find_network(path: object) -> type[Network]:
    """The subclass of Network at a dotted path, which may come from an untrusted file.

    Imports its module, but nothing of the standard library, and calls nothing. ValueError unless the path names a
    subclass of Network.
    """
    parts = path.split(".") if isinstance(path, str) else []
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise ValueError(f"model {path!r}: not the dotted path of a class, such as mypackage.module.MyNetwork")
    # Importing a __main__ module runs a program; the one that runs already is harmless.
    if parts[0] in sys.stdlib_module_names or "__main__" in parts[1:]:
        raise ValueError(f"model {path}: not a subclass of ceco3d.models.Network")
    module, _, name = ".".join(parts).rpartition(".")
    try:
        found = getattr(import_module(module), name, None)
    except ImportError as error:
        raise ValueError(f"model {path}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Network)):
        raise ValueError(f"model {path}: not a subclass of ceco3d.models.Network")
    return found
