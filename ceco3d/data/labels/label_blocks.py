"""The label spaces of a joint training, side by side: each has a block of the classifier's outputs.

A joint index is a training index of one label space, plus the start of its block. Labels of -1 stay -1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ceco3d.data.labels.label_space import IGNORE, MAX_CLASSES, LabelSpace
from ceco3d.data.labels.shipped import restored_space, stored_space

# torch is not imported here: preprocessing workers start many times faster without it.
if TYPE_CHECKING:
    from torch import Tensor

JOINT = "joint"  # in checkpoints: the key of the list of blocks
PART_NAME = re.compile(r"\w[\w-]{0,60}")


@dataclass(frozen=True)
class LabelBlock:
    """The label space ``space`` of the part ``name``; its classes have the joint indices from ``start`` on."""

    name: str
    space: LabelSpace
    start: int

    @property
    def outputs(self) -> slice:
        """Its outputs of the classifier."""
        return slice(self.start, self.start + len(self.space))

    def joint(self, labels: Tensor) -> Tensor:
        """Training indices -> joint indices."""
        return labels + self.start * (labels >= 0)

    def own(self, labels: Tensor) -> Tensor:
        """Joint indices -> training indices, -1 for those of other blocks."""
        return (labels - self.start).where(self.covers(labels), IGNORE)

    def covers(self, labels: Tensor) -> Tensor:
        """Whether each joint index belongs to this block: (N,) bool."""
        return (labels >= self.start) & (labels < self.outputs.stop)


def label_blocks(spaces: Mapping[str, LabelSpace]) -> tuple[LabelBlock, ...]:
    """The blocks of label spaces by part, in their order. ValueError if there are too many classes."""
    blocks: list[LabelBlock] = []
    for name, space in spaces.items():
        if not PART_NAME.fullmatch(name):
            raise ValueError(f"{name!r:.80} is not the name of a part: letters, digits, _ and -")
        blocks.append(LabelBlock(name, space, blocks[-1].outputs.stop if blocks else 0))
    if not blocks or blocks[-1].outputs.stop > MAX_CLASSES:
        raise ValueError(f"there must be 1 to {MAX_CLASSES} classes in all parts together")
    return tuple(blocks)


def stored_blocks(blocks: Sequence[LabelBlock]) -> dict[str, Any]:
    """What a checkpoint holds of ``blocks``, in the place of one label space."""
    return {JOINT: [{"part": block.name, "space": stored_space(block.space)} for block in blocks]}


def is_joint(stored: Any) -> bool:
    """Whether ``stored`` is what ``stored_blocks`` returns, and not what ``stored_space`` does."""
    return isinstance(stored, Mapping) and JOINT in stored


def restored_blocks(stored: Any) -> tuple[LabelBlock, ...]:
    """The blocks that ``stored_blocks`` stored; ValueError, KeyError or TypeError if it did not."""
    parts = [(part["part"], part["space"]) for part in stored[JOINT]]
    if len({name for name, _ in parts}) != len(parts):
        raise ValueError("names of parts repeat")
    return label_blocks({name: restored_space(space) for name, space in parts})
