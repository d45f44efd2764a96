"""What conf/ offers to a command: keys, groups, choices, and the comments beside them, read from the YAML files alone.

Reading takes a tenth of a second; composing with Hydra takes several, because classes have to be imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from ceco3d.utils.components import TARGET
from ceco3d.utils.errors import UserError

# Members of the MinkUNet family (models.minkunet.VARIANTS, which needs torch): choices of model= beside conf/model.
MINKUNETS = ("14A", "14B", "14C", "14D", "18A", "18B", "18D", "34A", "34B", "34C", "34D", "50", "101")


def config_dir() -> Path:
    """The configuration folder: ``conf/`` of the checkout, or its copy inside an installed package."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


@dataclass(frozen=True)
class Key:
    """A key as a YAML file has it. ``heading`` is the comment line above it, where one begins a section."""

    name: str
    value: str
    comment: str = ""
    heading: str = ""
    is_leaf: bool = True


@dataclass(frozen=True)
class Document:
    """One YAML file: its keys with full names, and the choices in its defaults list."""

    keys: Sequence[Key] = ()
    defaults: Sequence[Any] = ()
    overrides: dict[str, Any] = field(default_factory=dict)  # choices of other groups that it sets
    comments: dict[str, str] = field(default_factory=dict)  # beside the lines of the defaults list, by group


@dataclass(frozen=True)
class Catalog:
    """The keys and groups of one command.

    own     keys of ``conf/<command>.yaml``, then those of ``conf/common.yaml``
    groups  of the defaults list: the file of each choice
    chosen  the default choice of each group
    about   the comment beside each group
    """

    own: Sequence[Key]
    groups: dict[str, dict[str, Document]]
    chosen: dict[str, Any]
    about: dict[str, str]

    @property
    def reads_voxel_size(self) -> bool:
        """Whether the command takes ``dataset.voxel_size``; others have a voxel size of their own, or none."""
        return any("${dataset.voxel_size}" in key.value for key in self.own)

    def names(self) -> list[str]:
        """Keys of the command and of every choice of every group, and the groups."""
        documents = [document for choices in self.groups.values() for document in choices.values()]
        keys = [key.name for key in self.own] + [key.name for document in documents for key in document.keys]
        return list(dict.fromkeys([*keys, *self.groups]))

    def holders(self, key: str) -> list[str]:
        """The choices that have ``key``, such as "loss=ceco"."""
        return [
            f"{group}={name}"
            for group, choices in self.groups.items()
            for name, document in choices.items()
            if any(found.name == key for found in document.keys)
        ]


def read_catalog(command: str, folders: Sequence[Path]) -> Catalog:
    """The catalog of ``conf/<command>.yaml``; the choices in all ``folders`` count, the first has the command."""
    main = read_document(folders[0] / f"{command}.yaml", "")
    common = read_document(folders[0] / "common.yaml", "")
    chosen: dict[str, Any] = {}
    for line in main.defaults:
        if isinstance(line, dict) and not any(name.startswith("override ") for name in line):
            chosen |= line
    groups: dict[str, dict[str, Document]] = {}
    for group in chosen:
        files = [path for folder in folders for path in sorted((folder / group).glob("*.yaml"))]
        read = {path.stem: read_document(path, group) for path in files}
        groups[group] = {name: _with_bases(name, read) for name in read}
    if "model" in groups and "minkunet" in groups["model"]:
        minkunet = groups["model"].pop("minkunet")
        names = [f"minkunet{name.lower()}" for name in MINKUNETS]
        groups["model"] = dict.fromkeys(names, minkunet) | groups["model"]
    return Catalog([*main.keys, *common.keys], groups, chosen, main.comments)


def _with_bases(name: str, documents: dict[str, Document]) -> Document:
    """The document ``name`` with the keys of the choices of the same group that it extends."""
    own = documents[name]
    keys = {key.name: key for key in own.keys}
    overrides = dict(own.overrides)
    for base in own.defaults:
        if isinstance(base, str) and base in documents and base != name:
            inherited = _with_bases(base, documents)
            for key in inherited.keys:
                mine = keys.get(key.name, key)
                keys[key.name] = replace(mine, comment=mine.comment or key.comment)
            overrides = inherited.overrides | overrides
    return replace(own, keys=list(keys.values()), overrides=overrides)


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml, ten times as fast, where PyYAML has it


def read_document(path: Path, group: str) -> Document:
    """Read one file of conf/; ``group`` precedes its keys unless the file sets another package."""
    try:
        text = path.read_text(encoding="utf-8")
        loader = LOADER(text)
        node = loader.get_single_node()
        content = {} if node is None else loader.construct_document(node)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not isinstance(node, yaml.MappingNode):
        return Document()
    package = re.search(r"^#\s*@package\s+(\S+)", text, re.MULTILINE)
    prefix = package[1].replace("_group_", group) if package else group
    prefix = "" if prefix == "_global_" else prefix
    lines = text.splitlines()
    # `hydra` is Hydra's own; its keys are not checked here.
    node.value = [pair for pair in node.value if pair[0].value not in ("defaults", "hydra")]
    keys = list(_keys(node, lines, text, f"{prefix}." if prefix else ""))
    listed = content.get("defaults") or []
    overrides = {
        str(name).removeprefix("override ").strip("/"): choice
        for line in listed
        if isinstance(line, dict)
        for name, choice in line.items()
        if str(name).startswith("override ")
    }
    comments = {
        name: found[1]
        for line in lines
        for name in _default_name(line)
        if (found := re.search(r"\s#\s+(.*)$", line)) is not None
    }
    return Document(keys, listed, overrides, comments)


def _default_name(line: str) -> list[str]:
    return re.findall(r"^\s+- (\w+):", line)


def _keys(node: yaml.MappingNode, lines: Sequence[str], text: str, prefix: str) -> Iterator[Key]:
    for name, value in node.value:
        is_map = isinstance(value, yaml.MappingNode) and not value.flow_style
        is_block = is_map or (isinstance(value, yaml.SequenceNode) and not value.flow_style)
        source = "" if is_block else text[value.start_mark.index : value.end_mark.index]
        number = name.start_mark.line
        heading = lines[number - 1].removeprefix("# ") if number and lines[number - 1].startswith("# ") else ""
        starts = number < 2 or not lines[number - 2].strip()
        comment = "" if isinstance(value, yaml.ScalarNode) and value.style == "|" else _comment(lines, name, value)
        yield Key(f"{prefix}{name.value}", source, comment, heading if starts else "", not is_block)
        if isinstance(value, yaml.MappingNode):
            yield from _keys(value, lines, text, f"{prefix}{name.value}.")


def _comment(lines: Sequence[str], name: yaml.Node, value: yaml.Node) -> str:
    """The comment behind a key, with the lines that continue it."""
    is_block = isinstance(value, yaml.CollectionNode) and not value.flow_style
    mark = name.end_mark if is_block else value.end_mark
    number, column = mark.line, mark.column
    found = re.search(r"(?:^|\s)#\s*(.*)$", lines[number][column:])
    parts = [found[1]] if found else []
    while found and number + 1 < len(lines):
        number += 1
        more = re.fullmatch(r"\s+#\s*(.*)", lines[number])
        if not more:
            break
        parts.append(more[1])
    return " ".join(part.strip() for part in parts)


def components(catalog: Catalog) -> set[str]:
    """Keys whose value is a class with arguments, so that keys which no file names may be right."""
    return {name.removesuffix(f".{TARGET}") for name in catalog.names() if name.endswith(f".{TARGET}")}
