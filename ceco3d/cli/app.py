"""Turn a command line into typed settings, and errors into one line and an exit code."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ceco3d.cli import logs
from ceco3d.cli.overrides import flat_keys, presets, quote_nested, suggestion
from ceco3d.cli.settings import plain, to_settings
from ceco3d.models.minkunet import VARIANTS
from ceco3d.utils.allocator import keep_freed_memory, let_segments_grow
from ceco3d.utils.errors import UserError

S = TypeVar("S")

# Faults of the machine, not of the program: disk full, quota, read-only, not permitted, device or network disk gone.
MACHINE_ERRORS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ESTALE,
)


def config_dir() -> Path:
    """The configuration folder: ``conf/`` of the checkout, or its copy inside an installed package."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


def offer_models() -> None:
    """Offer ``model=minkunet34c`` and the rest of the family: ``conf/model/minkunet.yaml`` with that name."""
    for name in VARIANTS:
        if not (config_dir() / "model" / f"{name.lower()}.yaml").is_file():
            node = {"defaults": ["minkunet", "_self_"], "name": name}
            ConfigStore.instance().store(group="model", name=name.lower(), node=node)


def prepare(name: str, arguments: Sequence[str]) -> list[str]:
    """``arguments`` of a command as Hydra needs them: nested lists quoted, the presets of the data set added."""
    offer_models()
    arguments = [quote_nested(argument) for argument in arguments]
    # argparse wants overrides side by side, so the presets go before the first one: ``--cfg job loss=ce``.
    first = next((i for i, text in enumerate(arguments) if "=" in text and text[0] != "-"), len(arguments))
    return [*arguments[:first], *presets(config_dir(), name, arguments), *arguments[first:]]


def compose(name: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The configuration of a command, ``conf/<name>.yaml`` with ``overrides``, as plain values.

    Works inside and outside a command. UserError if an override names something that does not exist.
    """
    overrides = prepare(name, overrides)
    try:
        if GlobalHydra.instance().is_initialized():
            return plain(hydra.compose(name, overrides))
        with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
            return plain(hydra.compose(name, overrides))
    except HydraException as error:
        raise UserError(one_line(error)) from error


def command(name: str, kind: type[S]) -> Callable[[Callable[[S], Any]], Callable[[], None]]:
    """Make a function of settings of ``kind`` the command that ``conf/<name>.yaml`` configures.

    A field ``config`` of ``kind`` receives the whole configuration as plain values.
    Exit codes: 0 done, 2 with one line on bad input or usage, 130 on Ctrl-C. Anything else is a bug and keeps its
    traceback.
    """

    def decorate(task: Callable[[S], Any]) -> Callable[[], None]:
        def run(cfg: DictConfig) -> None:
            try:
                content = plain(cfg)
                settings = to_settings(kind, content)
                logs.install(getattr(settings, "log_level", "info"))
                task(settings)
            except (UserError, OmegaConfBaseException) as error:
                fail(error)
            except OSError as error:
                if error.errno not in MACHINE_ERRORS:
                    raise
                fail(error)

        entry = hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=name)(run)

        @wraps(task)
        def main() -> None:
            keep_freed_memory()
            let_segments_grow()
            os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors instead of printing them
            sys.argv[1:] = prepare(name, sys.argv[1:])
            try:
                entry()
            except (HydraException, OmegaConfBaseException) as error:
                fail(UserError(unknown_key(error, name) or one_line(error)))
            except ValueError as error:
                if not str(error).startswith("Config group override"):  # Hydra's, of trainer=5
                    raise
                fail(UserError(f"a group is chosen by a name, not a number ({one_line(error)}); see --help"))
            except KeyboardInterrupt:
                print("interrupted", file=sys.stderr)
                sys.exit(130)

        return main

    return decorate


def unknown_key(error: Exception, name: str) -> str | None:
    """The message for an override of a key that the command ``name`` does not have; None for other errors."""
    found = re.match(r"Could not override '([^']+)'", str(error))
    if not found:
        return None
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        keys = flat_keys(OmegaConf.to_container(hydra.compose(name), resolve=False))
        groups = GlobalHydra.instance().config_loader().list_groups("")
    return f"{found[1]}: no such key{suggestion(found[1], [*keys, *groups]) or ', see --help'}"


def one_line(error: Exception) -> str:
    """The text of an error on one line, without what Hydra adds for developers."""
    text = str(error).split("Config search path:")[0]
    if "\nOriginal Traceback" in text:  # raised in a loader process: the last line is "module.Class: message"
        text = text.rstrip().splitlines()[-1].partition(": ")[2]
    lines = [line.strip().rstrip(".:") for line in text.splitlines() if line.strip()]
    return "; ".join(line for line in lines if not line.startswith("object_type="))


def fail(error: Exception) -> NoReturn:
    """Print ``error`` as one line and exit with 2."""
    print(f"error: {one_line(error)}", file=sys.stderr)
    sys.exit(2)
