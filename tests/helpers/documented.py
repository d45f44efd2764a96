"""The command lines that documents, help texts and comments show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ceco3d.__main__ import COMMANDS
from tests.helpers.source import ROOT

FENCE = re.compile(r"^[ \t]*```(\w*)[^\n]*\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`]+)`")
SHELL = {"", "bash", "sh", "console"}
# A command line: variables and programs may come before what is ceco3d's.
START = re.compile(
    r"(\w+=\S+ )*"
    r"(python3? (-\w+ )*-m ceco3d|(torchrun|docker|sbatch) .*(ceco3d|scripts/)|ceco3d \w|(python )?scripts/\w+\.\w)"
)
# Scripts that pass their arguments on, and the command that takes them.
FORWARDING = {"scripts/demo.sh": "train", "scripts/slurm.sbatch": "train", "scripts/export_benchmark.sh": "export"}


@dataclass(frozen=True)
class Documented:
    """One command line: where it is, its words, and the command of ceco3d with the overrides in it, if any."""

    place: str
    words: tuple[str, ...]
    command: str | None
    overrides: tuple[str, ...] = ()

    @property
    def abridged(self) -> bool:
        """Whether "..." stands for further arguments."""
        return "..." in self.words

    @property
    def scripts(self) -> list[str]:
        """The scripts that it names."""
        return [word for word in self.words if re.fullmatch(r"scripts/[\w.]+", word)]


def markdown_files() -> list[Path]:
    """Documents for users."""
    folders = (ROOT, ROOT / "docs", ROOT / "docs/results", ROOT / "data", ROOT / "tests")
    files = [path for folder in folders for path in sorted(folder.glob("*.md"))]
    return files + sorted((ROOT / "examples").rglob("*.md"))


def documented_commands() -> list[Documented]:
    """All different command lines, each where it appears first."""
    found: dict[tuple[str, ...], Documented] = {}
    sources = [(path, _markdown(path.read_text())) for path in markdown_files()]
    sources += [(path, _yaml(path.read_text())) for path in sorted((ROOT / "conf").rglob("*.yaml"))]
    for path, lines in sources:
        for number, line in lines:
            for words in _commands(line):
                place = f"{path.relative_to(ROOT)}:{number}"
                found.setdefault(words, _parsed(place, words))
    return list(found.values())


def _markdown(text: str) -> Iterator[tuple[int, str]]:
    """(line number, command line), from code blocks and inline code."""
    for block in FENCE.finditer(text):
        if block[1] in SHELL:
            content = re.sub(r"\\\n\s*", " ", block[2])
            first = text.count("\n", 0, block.start(2)) + 1
            yield from ((first + i, line.strip()) for i, line in enumerate(content.splitlines()) if START.match(line))
    prose = FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)
    yield from _inline(prose)


def _inline(text: str) -> Iterator[tuple[int, str]]:
    for code in INLINE.finditer(text):
        line = " ".join(code[1].split())
        if START.match(line):
            yield text.count("\n", 0, code.start()) + 1, line


def _yaml(text: str) -> Iterator[tuple[int, str]]:
    """From help texts, where a description follows after two spaces, and from comments."""
    for number, line in enumerate(text.splitlines(), start=1):
        usage = re.match(r"# (python -m ceco3d\.\w+) ?(.*)", line)
        if usage:
            for choice in usage[2].replace("[key=value ...]", "").split(" | "):
                yield number, f"{usage[1]} {choice}"
        bare = line.strip()
        if START.match(bare) and not bare.startswith("_target_"):
            yield number, re.split(r"\s{2,}", bare)[0].replace("$$", "$")
    comments = re.sub(r"^\s*[\w.]*:?.*?#", "", text, flags=re.MULTILINE)
    yield from _inline(comments)


def _commands(line: str) -> Iterator[tuple[str, ...]]:
    """The words of each command of a line of shell, without comments and redirections."""
    words: list[str] = []
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    for word in lexer:
        if set(word) <= set(";&|"):
            yield tuple(words)
            words = []
        else:
            words.append(word)
    if ">" in words:
        words = words[: words.index(">")]
    yield tuple(words)


def _parsed(place: str, words: tuple[str, ...]) -> Documented:
    name, rest = _called(words)
    if name is None:
        return Documented(place, words, None)
    overrides = [_filled(word) for word in rest if word != "..." and not word.startswith("-")]
    if name == "report" and overrides and overrides[0].isidentifier():
        overrides[0] = f"what={overrides[0]}"
    return Documented(place, words, name, tuple(overrides))


def _called(words: tuple[str, ...]) -> tuple[str | None, list[str]]:
    """The command of ceco3d that the words call, and its arguments."""
    for place, word in enumerate(words):
        rest = list(words[place + 1 :])
        if word == "-m" and rest and rest[0].split(".")[0] == "ceco3d":
            name = rest[0].partition(".")[2]
            return (name, rest[1:]) if name else _named(rest[1:])
        if word == "ceco3d" or (word == "scripts/docker_run.sh" and rest and rest[0] in COMMANDS):
            return _named(rest)
        if word in FORWARDING:
            if word == "scripts/export_benchmark.sh" and rest and "=" not in rest[0]:
                rest[0] = f"checkpoint={rest[0]}"
            return FORWARDING[word], rest
    return None, []


def _named(rest: list[str]) -> tuple[str | None, list[str]]:
    return (rest[0], rest[1:]) if rest and rest[0].isidentifier() else (None, [])


def _filled(word: str) -> str:
    """``word`` with a value for what a reader has to fill in."""
    word = word.replace("=...", "=SOMETHING").replace("=i/n", "=1/2")
    return re.sub(r"\$\{?\w+\}?|<\w+>", "1", word)
