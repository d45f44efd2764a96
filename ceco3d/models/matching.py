"""Find a network's weights among the tensors of a file, by the names they share.

Wrappers put a prefix before the names (``module.``, ``_orig_mod.``, ``model.backbone.``), and checkpoints nest them
under a key (``state_dict``, ``network``). No list of such words is used: the prefix is the one under which most of the
network's names are found with the right shapes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

HEAD = "final."  # the classifier of a Network: the part that may differ
OPTIONAL = "num_batches_tracked"  # older checkpoints have none, and it does not affect results
MAX_DEPTH = 10  # of containers
MAX_TENSORS = 100_000
MAX_NAME = 500  # characters
# Words for copies of a network that training keeps beside it.
COPIES = {"ema", "teacher", "average", "averaged", "avg", "mean", "swa", "momentum", "target", "shadow", "slow", "k"}


@dataclass
class Tensors:
    """The tensors of a file by dotted names, and the names by the container that they lie in."""

    by_name: dict[str, Tensor] = field(default_factory=dict)
    containers: dict[str, str] = field(default_factory=dict)  # name -> dotted name of its container

    def within(self, name: str) -> str:
        """A name within its container."""
        return name.removeprefix(self.containers[name]).removeprefix(".")

    def without(self, prefixes: Sequence[str]) -> Tensors:
        """Without those whose whole name, or name within its container, starts with one of ``prefixes``."""
        left = tuple(prefixes)
        kept = [n for n in self.by_name if not n.startswith(left) and not self.within(n).startswith(left)]
        return Tensors({n: self.by_name[n] for n in kept}, {n: self.containers[n] for n in kept})


def collect_tensors(content: Mapping[str, Any]) -> Tensors:
    """All tensors in nested containers. Of a checkpoint of ceco3d.train, only those of its network."""
    if {"setup", "model"} <= content.keys():
        content = {"model": content["model"]}
    found, seen = Tensors(), set[int]()

    def walk(entries: Iterable[tuple[Any, Any]], path: str, depth: int) -> None:
        for key, value in entries:
            if not isinstance(value, Tensor | dict | list | tuple) or len(path) + len(str(key)) > MAX_NAME:
                continue
            name = f"{path}.{key}" if path else str(key)
            if isinstance(value, Tensor):
                if name not in found.by_name and len(found.by_name) < MAX_TENSORS:
                    found.by_name[name], found.containers[name] = value, path
            elif id(value) not in seen and depth < MAX_DEPTH:
                seen.add(id(value))
                walk(value.items() if isinstance(value, dict) else enumerate(value), name, depth + 1)

    walk(content.items(), "", 0)
    return found


@dataclass(frozen=True)
class Match:
    """A prefix, and how well the network's names fit under it.

    body, head  names found with the right shape, of the network and of its classifier
    names       names found
    """

    body: int
    head: int
    names: int
    prefix: str

    @property
    def label(self) -> str:
        """The prefix, for messages."""
        return self.prefix.rstrip(".") or "the names without a prefix"

    @property
    def words(self) -> set[str]:
        """The words in the prefix."""
        return set(re.split(r"[._\d]+", self.prefix.lower()))

    @property
    def rank(self) -> tuple[int, int, int]:
        """Matches of the same rank fit equally."""
        return self.body, self.head, self.names


def find_matches(tensors: Tensors, expected: Mapping[str, Tensor]) -> list[Match]:
    """The prefixes that fit the network best without its classifier, the best first; none without any name.

    There are several when the same network lies in the file more than once, with other values.
    """
    matches = [_match(tensors, expected, prefix) for prefix in _prefixes(tensors, expected)]
    best = [match for match in matches if match.body == max(other.body for other in matches)]
    best.sort(key=lambda match: (-match.head, -match.names, len(match.prefix), match.prefix))
    different: list[Match] = []
    for match in best:
        if not any(_same(tensors, expected, match.prefix, other.prefix) for other in different):
            different.append(match)
    return different


def originals(matches: Sequence[Match]) -> list[Match]:
    """The best of the matches that are no copies, by the words in which they differ; several if they fit equally."""
    shared = set.intersection(*(match.words for match in matches))
    found = [match for match in matches if not COPIES & (match.words - shared)]
    return [match for match in found if match.rank == found[0].rank]


def is_required(name: str) -> bool:
    """Whether weights of a network must have this name."""
    return not name.endswith(OPTIONAL) and not name.startswith(HEAD)


def _prefixes(tensors: Tensors, expected: Mapping[str, Tensor]) -> list[str]:
    """The prefixes under which the most names are found, those with less than half as many left out."""
    depth = max(name.count(".") for name in expected) + 1 if expected else 0
    found: Counter[str] = Counter()
    for name in tensors.by_name:
        parts = name.split(".")
        for start in range(max(0, len(parts) - depth), len(parts)):
            if ".".join(parts[start:]) in expected:
                found[".".join([*parts[:start], ""])] += 1
    most = max(found.values(), default=0)
    return [prefix for prefix, count in found.items() if 2 * count >= most]


def _match(tensors: Tensors, expected: Mapping[str, Tensor], prefix: str) -> Match:
    found = {name: tensors.by_name[prefix + name] for name in expected if prefix + name in tensors.by_name}
    fitting = [name for name, value in found.items() if value.shape == expected[name].shape]
    return Match(
        body=sum(map(is_required, fitting)),
        head=sum(name.startswith(HEAD) for name in fitting),
        names=sum(not name.endswith(OPTIONAL) for name in found),
        prefix=prefix,
    )


def _same(tensors: Tensors, expected: Mapping[str, Tensor], first: str, second: str) -> bool:
    """Whether two prefixes hold the same values."""
    pairs = [(tensors.by_name.get(first + name), tensors.by_name.get(second + name)) for name in expected]
    return all(
        a is b or (a is not None and b is not None and a.dtype == b.dtype and torch.equal(a, b)) for a, b in pairs
    )
