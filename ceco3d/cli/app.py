"""Turn a command line into typed settings, and errors into one line and an exit code."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ceco3d.cli import logs
from ceco3d.cli.arguments import checked, is_checkable
from ceco3d.cli.catalog import MINKUNETS, config_dir, read_catalog
from ceco3d.cli.endings import fail, interrupted, one_line
from ceco3d.cli.hints import among, suggestion
from ceco3d.cli.overrides import beside_groups, presets, with_parts
from ceco3d.cli.quoting import quoted
from ceco3d.cli.settings import plain, to_settings
from ceco3d.cli.setup_values import offer_setup_values
from ceco3d.cli.start import check, config_dirs, end_of_imports, spelled_out, warn_of_repeats
from ceco3d.utils.allocator import keep_freed_memory, let_segments_grow
from ceco3d.utils.errors import UserError
from ceco3d.utils.open_files import allow_many_open_files

S = TypeVar("S")

# Faults of the machine or of a path, not of the program: disk full, quota, limits of the process, read-only, not
# permitted, device or network disk gone, a name too long, a file where a folder should be.
MACHINE_ERRORS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EMFILE,
    errno.ENFILE,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ESTALE,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
)


def offer_models() -> None:
    """Offer ``model=minkunet34c`` and the rest of the family: ``conf/model/minkunet.yaml`` with that name."""
    for name in MINKUNETS:
        if not (config_dir() / "model" / f"minkunet{name.lower()}.yaml").is_file():
            node = {"defaults": ["minkunet", "_self_"], "name": f"MinkUNet{name}"}
            ConfigStore.instance().store(group="model", name=f"minkunet{name.lower()}", node=node)


def prepare(name: str, arguments: Sequence[str], folders: Sequence[Path], kind: type | None = None) -> list[str]:
    """Checked ``arguments`` of a command as Hydra needs them: values quoted, the presets of the data set added."""
    offer_models()
    offer_setup_values()
    arguments = beside_groups(folders, name, quoted(with_parts(arguments), kind))
    # argparse wants overrides side by side, so the presets go before the first one: ``--cfg job loss=ce``.
    first = next((i for i, text in enumerate(arguments) if "=" in text and text[0] != "-"), len(arguments))
    return [*arguments[:first], *presets(folders, name, arguments), *arguments[first:]]


def search_path() -> list[Path]:
    """The configuration folders of the running command, or that of the package."""
    if not GlobalHydra.instance().is_initialized():
        return [config_dir()]
    places = [element.path for element in GlobalHydra.instance().config_loader().get_search_path().get_path()]
    own = [Path(place.removeprefix("file://")) for place in places if place and not place.startswith("pkg://")]
    return [config_dir(), *(path for path in own if path.is_dir() and path != config_dir())]


def compose(name: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The configuration of a command, ``conf/<name>.yaml`` with ``overrides``, as plain values.

    Works inside and outside a command. UserError if an override names something that does not exist.
    """
    folders = search_path()
    if is_checkable(overrides):
        overrides = checked(overrides, read_catalog(name, folders), name)
    overrides = prepare(name, overrides, folders)
    try:
        if GlobalHydra.instance().is_initialized():
            return plain(hydra.compose(name, overrides))
        with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
            return plain(hydra.compose(name, overrides))
    except HydraException as error:
        raise UserError(explain(error, name, folders)) from error


def command(name: str, kind: type[S], first: str | None = None) -> Callable[[Callable[[S], Any]], Callable[[], None]]:
    """Make a function of settings of ``kind`` the command that ``conf/<name>.yaml`` configures.

    A field ``config`` of ``kind`` receives the whole configuration as plain values. ``first``: see ``spelled_out``.
    Exit codes: 0 done, 2 with one line on bad input or usage, 130 on Ctrl-C. Anything else is a bug and keeps its
    traceback.
    """

    def decorate(task: Callable[[S], Any]) -> Callable[[], None]:
        def run(cfg: DictConfig) -> None:
            with errors_in_one_line(name):  # here, because Hydra goes on with the next run of a sweep
                settings = to_settings(kind, plain(cfg))
                logs.install(getattr(settings, "log_level", "info"))
                task(settings)

        entry = hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=name)(run)

        @wraps(task)
        def main() -> None:
            end_of_imports()
            with errors_in_one_line(name):
                allow_many_open_files()
                keep_freed_memory()
                let_segments_grow()
                os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors instead of printing them
                arguments = check(name, spelled_out(sys.argv[1:], first))
                warn_of_repeats(arguments)
                sys.argv[1:] = prepare(name, arguments, config_dirs(arguments), kind)
                entry()

        return main

    return decorate


@contextmanager
def errors_in_one_line(name: str) -> Iterator[None]:
    """End the process with one line when the body meets bad input, a fault of the machine, or Ctrl-C."""
    try:
        yield
    except UserError as error:
        fail(error)
    except (HydraException, OmegaConfBaseException) as error:
        fail(UserError(explain(error, name, config_dirs(sys.argv[1:]))))
    except OSError as error:
        if "No usable temporary directory" in f"{error} {error.__cause__}":
            fail(UserError("there is no writable folder for temporary files: set TMPDIR"))
        if error.errno not in MACHINE_ERRORS:
            raise
        fail(error)
    except KeyboardInterrupt:
        interrupted()


def explain(error: Exception, name: str, folders: Sequence[Path]) -> str:
    """An error of Hydra as one line, without its advice to add ``+``."""
    text = str(error)
    unknown = re.match(r"(?:Could not override|Could not append to|Could not delete from config\.) '?([^'\s]+)'?", text)
    if unknown:
        inner = re.search(r"full_key: (\S+)", text + str(error.__cause__))  # of a mapping that was given as the value
        key = unknown[1].lstrip("+~").partition("=")[0]
        key = inner[1] if inner and inner[1].startswith(f"{key}.") else key
        catalog = read_catalog(name, folders)
        holders = catalog.holders(key)
        if holders:
            return f"{key}: no such key here; {among(holders)} {'has' if len(holders) == 1 else 'have'} it"
        return f"{key}: no such key{suggestion(key, catalog.names()) or ', see --help'}"
    several = re.match(r"Ambiguous value for argument '([^=]+)=(.*)'", text)
    if several:
        key, value = several[1], several[2]
        chosen = read_catalog(name, folders).chosen
        one = key in chosen and not isinstance(chosen[key], list)
        remedy = "choose one" if one else f"write {key}=[{value}] for a list"
        return f"{key}={value}: several values; {remedy}, or add --multirun for a run with each"
    return one_line(error)
