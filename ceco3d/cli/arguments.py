"""Check a command line before Hydra reads it: options, words without ``=``, unknown keys and choices."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ceco3d.cli.catalog import Catalog, components
from ceco3d.cli.hints import among, suggestion
from ceco3d.cli.overrides import PARTS
from ceco3d.utils.components import TARGET
from ceco3d.utils.errors import UserError

DASHES = "-\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}\N{NON-BREAKING HYPHEN}"
FLAGS = ("--help", "-h", "--version", "--multirun", "-m", "--resolve", "--run", "-r", "--hydra-help")
SHELL_FLAGS = ("--shell-completion", "-sc")
INFO = ("--info", "-i")
INFO_KINDS = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
FILES = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp")
VALUED = ("--cfg", "-c", "--package", "-p", *FILES, "--experimental-rerun")
FREE = ("--config-name", "-cn", "--config-path", "-cp", "--experimental-rerun", "--shell-completion", "-sc")
NAME = re.compile(r"[\w$][\w.$-]*(\[\d+\][\w.]*)*")


def option_value(arguments: Sequence[str], *names: str) -> str | None:
    """The value of an option of Hydra, given as ``--name value`` or ``--name=value``."""
    for place, word in enumerate(arguments):
        name, equals, value = word.partition("=")
        if name in names:
            return value if equals else next(iter(arguments[place + 1 :]), None)
    return None


def repeated(arguments: Sequence[str]) -> dict[str, list[str]]:
    """The values of keys that are given several times with different ones; Hydra takes the last in silence."""
    given: dict[str, list[str]] = {}
    for word in arguments:
        key, equals, value = word.partition("=")
        if equals and key[:1] not in DASHES:
            given.setdefault(key.strip().lstrip("+"), []).append(value.strip())
    return {key: values for key, values in given.items() if len(set(values)) > 1}


def is_checkable(arguments: Sequence[str]) -> bool:
    """Whether the files of conf/ have all keys: not where the user brings other files in ways that only Hydra knows."""
    return not any(
        word.partition("=")[0] in FREE or word.lstrip("+").startswith("hydra.searchpath") for word in arguments
    )


def checked(arguments: Sequence[str], catalog: Catalog, command: str) -> list[str]:
    """``arguments`` with every key known to exist, as Hydra wants them.

    A ``+`` is neither needed nor a way around the check. UserError for anything else than options of Hydra and
    ``key=value``.
    """
    made: list[str] = []
    free = _free_parents(arguments, catalog)
    place = 0
    while place < len(arguments):
        word, rest = arguments[place], arguments[place + 1 :]
        name = word.partition("=")[0]
        if name in VALUED or name in INFO:
            takes = "=" not in word and rest and (name in VALUED or rest[0] in INFO_KINDS)
            made += [word, rest[0]] if takes else [word]
            place += 2 if takes else 1
            continue
        place += 1
        if word in FLAGS or word in SHELL_FLAGS:
            made.append(word)
        elif word[:1] in DASHES:
            raise UserError(_wrong_option(word, rest, catalog))
        elif "=" not in word and not word.startswith("~"):
            raise UserError(_wrong_word(word, arguments[: place - 1], rest, catalog))
        else:
            made.append(_checked_override(word, rest, catalog, command, free))
    return made


def _checked_override(word: str, rest: Sequence[str], catalog: Catalog, command: str, free: Iterable[str]) -> str:
    written, equals, value = word.partition("=")
    sign, key = re.fullmatch(r"\s*(\+\+|\+|~)?\s*(.*?)\s*", written, re.DOTALL).groups("")  # type: ignore[union-attr]
    value = value.strip()
    if key.split(".")[0].split("/")[0] == "hydra":  # Hydra's own settings
        return word
    name = key.partition("@")[0].replace("[", ".").replace("]", "")
    if not re.fullmatch(r"[\w.$/-]+", name):
        raise UserError(f"{word}: starts with no key; write key=value, see --help")
    group = name in catalog.groups
    known = group or name in catalog.names()
    if not known and not _is_open(name, free):
        raise UserError(f"{key}: no such key{suggestion(name, catalog.names()) or ', see --help'}")
    if equals and not value:
        raise UserError(_empty(key, rest))
    if group and sign != "~":
        value = _checked_choice(name, value, catalog)
    if name == PARTS and value[:1] == "[":
        _checked_choice("dataset", value, catalog)
    if name == "dataset.voxel_size" and not catalog.reads_voxel_size:
        own = "voxel_size" in catalog.names()
        raise UserError(f"{key}: {command} does not read it; {f'write voxel_size={value}' if own else 'leave it out'}")
    if sign == "~":
        return word.strip()
    return f"{key}={value}" if known else f"++{key}={value}"


def _empty(key: str, rest: Sequence[str]) -> str:
    if rest and "=" not in rest[0] and rest[0][:1] not in DASHES:
        return f"{key}= {rest[0]}: no blanks around =; write {key}={rest[0]}"
    return f"{key}=: no value; write {key}=VALUE, or {key}=null for none"


def _is_open(name: str, free: Iterable[str]) -> bool:
    """Whether ``name`` may be an argument of a class, which only the class knows."""
    return any(name.startswith(f"{parent}.") or name == parent for parent in free)


def _free_parents(arguments: Sequence[str], catalog: Catalog) -> set[str]:
    """Components, and what the arguments make one, such as ``logger.mine._target_=my_package.Logger``."""
    own = {
        word.lstrip("+").partition("=")[0].removesuffix(f".{TARGET}")
        for word in arguments
        if word.partition("=")[0].endswith(f".{TARGET}") and word.lstrip("+").split(".")[0] in catalog.groups
    }
    return components(catalog) | own


def _checked_choice(group: str, value: str, catalog: Catalog) -> str:
    """``value`` as Hydra takes it. UserError for a name that ``group`` lacks, also in a list or a sweep."""
    text = value[1:-1] if value[:1] + value[-1:] in ("[]", "''", '""') else value
    choices = list(catalog.groups[group])
    if value == "null" and (catalog.chosen[group] is None or isinstance(catalog.chosen[group], list)):
        return "[]"
    if re.fullmatch(r"[+-]?[\d.]+|true|false", text, re.IGNORECASE):
        raise UserError(f"{group}={value}: a group is chosen by a name, not a number; choose {among(choices)}")
    names = [name.strip().strip("'\"") for name in text.split(",")] if re.fullmatch(r"[\w\s,'\"-]*", text) else []
    for name in names:
        if name and name not in choices:
            close = difflib.get_close_matches(name, choices, 1, 0.7)
            hint = f"did you mean {group}={close[0]}? " if close else ""
            raise UserError(f"{group}={name}: no such choice; {hint}choose {among(choices)}")
    return value


def _spelled(word: str, catalog: Catalog) -> str | None:
    """The known key that ``word`` stands for, if one is close."""
    name = word.strip(DASHES).replace("-", "_")
    names = catalog.names()
    if name in names:
        return name
    hint = re.search(r"did you mean (\S+?)\??( or .*)?$", suggestion(name, names))
    return hint[1] if hint else None


def _wrong_option(word: str, rest: Sequence[str], catalog: Catalog) -> str:
    flag, equals, value = word.partition("=")
    given = value if equals else next((after for after in rest[:1] if "=" not in after and after[0] not in DASHES), "")
    shown = word if equals or not given else f"{word} {given}"
    key = _spelled(flag, catalog) if len(flag.strip(DASHES)) > 1 else None
    if key is not None:
        return f"{shown}: keys are written without dashes and with =; write {key}={given or '...'}"
    plain = "--" + flag.strip(DASHES) if len(flag.strip(DASHES)) > 1 else "-" + flag.strip(DASHES)
    known = (*FLAGS, *VALUED, *INFO)
    close = [plain] if plain in known else difflib.get_close_matches(plain, known, 1, 0.75)
    hint = f"did you mean {close[0]}?" if close else "keys are written as key=value, see --help"
    return f"{shown}: no such option; {hint}"


def _wrong_word(word: str, before: Sequence[str], rest: Sequence[str], catalog: Catalog) -> str:
    after = rest[0] if rest else ""
    key = _spelled(word, catalog) if NAME.fullmatch(word) else None
    if after.startswith("="):
        value = after[1:] or next(iter(rest[1:]), "...")
        return f"{word} = {value}: no blanks around =; write {key or word}={value}"
    if key is not None:
        given = after if after and "=" not in after and after[0] not in DASHES else ""
        return f"{f'{word} {given}'.strip()}: not key=value; write {key}={given or '...'}"
    if before and "=" in before[-1] and before[-1][:1] not in DASHES:
        return f"{word}: not key=value; if it belongs to the value before, quote both: '{before[-1]} {word}'"
    for name, suffixes in (("checkpoint", (".pt", ".pth")), ("input", ()), ("run", ())):
        own = any(known.name == name for known in catalog.own)
        if own and (word.endswith(suffixes) if suffixes else Path(word).exists()):
            return f"{word}: not key=value; write {name}={word}"
    return f"{word}: not key=value, see --help"
