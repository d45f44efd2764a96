"""Label spaces: classes, their raw ids, names, colors and frequency groups."""

from ceco3d.data.labels.class_file import read_classes, write_classes
from ceco3d.data.labels.label_blocks import LabelBlock, is_joint, label_blocks, restored_blocks, stored_blocks
from ceco3d.data.labels.label_space import GROUPS, IGNORE, LabelSpace, frequency_groups
from ceco3d.data.labels.shipped import class_rows, label_space, restored_space, stored_space

__all__ = [
    "GROUPS",
    "IGNORE",
    "LabelBlock",
    "LabelSpace",
    "class_rows",
    "frequency_groups",
    "is_joint",
    "label_blocks",
    "label_space",
    "read_classes",
    "restored_blocks",
    "restored_space",
    "stored_blocks",
    "stored_space",
    "write_classes",
]
