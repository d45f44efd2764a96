"""Carry the classifier of a checkpoint over to a network with other classes, by their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ceco3d.data.labels import LabelBlock, LabelSpace, is_joint, restored_blocks, restored_space
from ceco3d.data.labels.label_space import clean
from ceco3d.models.checkpoint_file import list_names
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line


def is_own(content: Mapping[str, Any]) -> bool:
    """Whether the content of a file is a checkpoint of ceco3d, which says what classes its network predicts."""
    return {"setup", "model"} <= content.keys()


def predicted_classes(path: Path, content: Mapping[str, Any]) -> tuple[LabelBlock, ...]:
    """The classes of a checkpoint of ceco3d, in one block or several; none if its network predicts no labels.

    The file is untrusted.
    """
    setup = content["setup"]
    stored = setup.get("label_space") if isinstance(setup, Mapping) else None
    try:
        if stored is None:
            return ()
        return restored_blocks(stored) if is_joint(stored) else (LabelBlock("", restored_space(stored), 0),)
    except (ValueError, TypeError, KeyError, UserError) as error:
        raise UserError(
            f"{path}: its classes are not readable ({one_line(error, 100)}); init_leave_out=[final] leaves its "
            "classifier out"
        ) from None


def match_classes(ours: Sequence[LabelBlock], theirs: Sequence[LabelBlock]) -> dict[int, int]:
    """Outputs of ``theirs`` by those of ``ours``, for the classes that have a name or alias in common.

    Names win over aliases, aliases count in their order, and among several blocks the one of the same name comes first.
    Ids do not count, nor do names that are mere numbers: class 3 is another thing in every data set.
    """
    matches: dict[int, int] = {}
    for block in ours:
        known: dict[str, int] = {}
        for other in sorted(theirs, key=lambda other: other.name != block.name):
            for word, index in _words(other.space):
                known.setdefault(word, other.start + index)
        for word, index in _words(block.space):
            if word in known:
                matches.setdefault(block.start + index, known[word])
    return dict(sorted(matches.items()))


def carry_over(
    fresh: Mapping[str, Tensor], found: Mapping[str, Tensor], matches: Mapping[int, int], count: int
) -> dict[str, Tensor] | None:
    """The classifier's tensors ``fresh`` with the values of ``found`` for the classes in ``matches``.

    Classes are the last dimension of every tensor, ``count`` of them in ``found``. None if the tensors of ``found`` do
    not fit, such as those of another feature width.
    """
    carried = {}
    for name, value in fresh.items():
        source = found.get(name)
        if source is None or source.shape != (*value.shape[:-1], count) or not source.is_floating_point():
            return None
        carried[name] = value.clone()
        carried[name][..., list(matches)] = source.to(value)[..., list(matches.values())]
    return carried


def carried_text(path: Path, ours: Sequence[LabelBlock], matches: Mapping[int, int]) -> str:
    """One line: how many classes have the values of the checkpoint, which, and which start fresh."""
    names = [name for block in ours for name in block.space.names]
    taken = [names[index] for index in matches]
    fresh = [name for index, name in enumerate(names) if index not in matches]
    text = f"classifier: {len(taken)} of {len(names)} classes taken from {path}"
    text += f" ({list_names(taken)})" if taken else ""
    return text + (f", {len(fresh)} start{'s' if len(fresh) == 1 else ''} fresh ({list_names(fresh)})" if fresh else "")


def _words(space: LabelSpace) -> Iterator[tuple[str, int]]:
    """All names, then all aliases that are text, each with its class."""
    aliases = [(raw, index) for raw, index in space.aliases.items() if isinstance(raw, str)]
    for text, index in [*zip(space.names, range(len(space)), strict=True), *aliases]:
        word = clean(text)
        if not word.lstrip("+-").isdecimal():
            yield word, index
