"""What a command does before it imports torch: answer ``--help``, ``--version`` and wrong keys at once."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path

import ceco3d
from ceco3d.cli.arguments import DASHES, checked, is_checkable, option_value, repeated
from ceco3d.cli.catalog import config_dir, read_catalog
from ceco3d.cli.endings import catch_interrupts, fail
from ceco3d.cli.help import help_page
from ceco3d.cli.streams import open_streams
from ceco3d.utils.errors import UserError


def config_dirs(arguments: Sequence[str]) -> list[Path]:
    """The configuration folder, and the user's own (``--config-dir``)."""
    own = option_value(arguments, "--config-dir", "-cd")
    return [config_dir()] if own is None else [config_dir(), Path(own).expanduser()]


def check(name: str, arguments: Sequence[str]) -> list[str]:
    """The arguments of the command ``name`` with known keys only, see ``checked``.

    Prints and exits for ``--help`` and ``--version``.
    """
    if "--version" in arguments:
        print(f"ceco3d {ceco3d.__version__}")
        sys.exit(0)
    folders = config_dirs(arguments)
    if not all(folder.is_dir() for folder in folders):
        raise UserError(f"--config-dir {folders[-1]}: no such folder")
    catalog = read_catalog(name, folders)
    if any(word in ("--help", "-h") or word.lstrip(DASHES) == "help" for word in arguments):
        print(help_page(name, catalog, [word for word in arguments if word[:1] not in DASHES]))
        sys.exit(0)
    return checked(arguments, catalog, name) if is_checkable(arguments) else list(arguments)


def warn_of_repeats(arguments: Sequence[str]) -> None:
    """Say which value counts of keys that are given several times."""
    for key, values in repeated(arguments).items():
        print(f"warning: {key} is given {len(values)} times; {key}={values[-1]} counts", file=sys.stderr)


def spelled_out(arguments: Sequence[str], first: str | None) -> list[str]:
    """``arguments`` with a bare first word as the value of the key ``first``: ``report table`` is ``what=table``."""
    if first is not None and arguments and arguments[0].isidentifier():
        return [f"{first}={arguments[0]}", *arguments[1:]]
    return list(arguments)


def start(name: str, first: str | None = None) -> None:
    """Begin the command ``name``: check its arguments; from here on Ctrl-C ends it with one line.

    Commands call it before their other imports, which take seconds. ``first``: see ``spelled_out``. Printing cannot
    fail from here on, see ``open_streams``. Garbage is collected again once ``end_of_imports`` is called.
    """
    gc.disable()  # what is imported stays: searching it for garbage would take a quarter of that time
    open_streams()
    catch_interrupts()
    try:
        check(name, spelled_out(sys.argv[1:], first))
    except UserError as error:
        fail(error)


def end_of_imports() -> None:
    """Collect garbage again, if ``start`` has stopped that, but not among the objects that exist by now."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
