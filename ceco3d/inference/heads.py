"""Which outputs of a network are meant: those of one part of a joint training, or all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ceco3d.data.labels import LabelBlock, LabelSpace, is_joint, restored_blocks, restored_space
from ceco3d.utils.errors import UserError


def choose_head(path: Path | str, stored: Any, head: str | None, space: LabelSpace | None) -> tuple[slice, LabelSpace]:
    """The outputs and classes of the checkpoint ``path`` that are wanted.

    stored  label space in its setup
    head    name of a part; None: the only part with the classes of ``space``

    UserError if there is no such part, or more than one.
    """
    if not is_joint(stored):
        if head is not None:
            raise UserError(f"head={head}: {path} was trained on one data set and has one classifier; leave head= out")
        return slice(None), restored_space(stored)
    blocks = restored_blocks(stored)
    wanted = [block for block in blocks if block.name == head or (head is None and _fits(block, space))]
    if len(wanted) != 1:
        raise UserError(f"{path}: {_reason(blocks, wanted, head, space)}")
    return wanted[0].outputs, wanted[0].space


def _fits(block: LabelBlock, space: LabelSpace | None) -> bool:
    return space is None or block.space.same_classes(space)


def _reason(
    blocks: Sequence[LabelBlock], wanted: Sequence[LabelBlock], head: str | None, space: LabelSpace | None
) -> str:
    parts = ", ".join(f"{block.name} ({len(block.space)} classes of {block.space.name})" for block in blocks)
    if head is not None:
        return f"has no part {head!r:.60}; choose head= out of {parts}"
    if wanted:
        return f"trained on several data sets; choose one with head=, out of {parts}"
    assert space is not None  # otherwise all are wanted
    return f"predicts {parts}, but the data set has {len(space)} others of {space.name}; choose another dataset="
