"""From the command line to a checked configuration, and from errors to one line and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ceco3d.utils.allocator import keep_freed_memory, let_segments_grow
from ceco3d.utils.errors import UserError

Task = Callable[[DictConfig], Any]

# What a machine does to a program: disk full, quota, read-only, not permitted, device or network file system gone.
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


def compose_config(name: str, overrides: list[str]) -> DictConfig:
    """The configuration of another command, ``conf/<name>.yaml`` with ``overrides``; inside of a command or without.

    UserError when an override names nothing that exists.
    """
    try:
        if GlobalHydra.instance().is_initialized():
            return hydra.compose(name, overrides)
        with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
            return hydra.compose(name, overrides)
    except HydraException as error:
        raise UserError(str(error)) from error


def command(config_name: str) -> Callable[[Task], Callable[[], None]]:
    """Make a function of the configuration ``conf/<config_name>.yaml`` a command.

    Exit codes: 0 done, 2 with one line on bad input or usage, 130 on Ctrl-C. Anything else is a defect and keeps its
    traceback.
    """

    def decorate(task: Task) -> Callable[[], None]:
        @wraps(task)
        def guarded(cfg: DictConfig) -> None:
            try:
                task(cfg)
            except (UserError, OmegaConfBaseException) as error:
                fail(error)
            except OSError as error:
                if error.errno not in MACHINE_ERRORS:
                    raise
                fail(error)

        entry = hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=config_name)(guarded)

        def main() -> None:
            keep_freed_memory()
            let_segments_grow()
            os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors instead of printing them
            try:
                entry()
            except (HydraException, OmegaConfBaseException) as error:
                fail(error)
            except KeyboardInterrupt:
                print("interrupted", file=sys.stderr)
                sys.exit(130)

        return main

    return decorate


def fail(error: Exception) -> NoReturn:
    """Print ``error`` as one line and exit with 2."""
    text = str(error).split("Config search path:")[0]
    if "\nOriginal Traceback" in text:  # raised in a loader process: the last line is "module.Class: message"
        text = text.rstrip().splitlines()[-1].partition(": ")[2]
    lines = [line.strip().rstrip(".:") for line in text.splitlines() if line.strip()]
    print("error: " + "; ".join(line for line in lines if not line.startswith("object_type=")), file=sys.stderr)
    sys.exit(2)


def number(cfg: DictConfig, key: str, above: float = 0.0, whole: bool = False) -> Any:
    """The number at ``key``; UserError when it is not one or not greater than ``above``."""
    value = OmegaConf.select(cfg, key)
    kinds = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not value > above:
        raise UserError(f"{key}={value}: must be a{' whole' if whole else ''} number greater than {above:g}")
    return value


def check_lists(cfg: DictConfig, keys: Sequence[str]) -> None:
    """UserError where one of ``keys`` holds something else than a list or null."""
    for key in keys:
        if cfg[key] is not None and not isinstance(cfg[key], ListConfig):
            raise UserError(f"{key}={cfg[key]}: must be a list, e.g. {key}=[{cfg[key]}]")
