"""Label spaces: classes, their raw ids, names, colors and frequency groups."""

from ceco3d.data.labels.class_file import read_classes, write_classes
from ceco3d.data.labels.label_space import GROUPS, IGNORE, LabelSpace, frequency_groups
from ceco3d.data.labels.shipped import class_rows, label_space, restored_space, stored_space

__all__ = [
    "GROUPS",
    "IGNORE",
    "LabelSpace",
    "class_rows",
    "frequency_groups",
    "label_space",
    "read_classes",
    "restored_space",
    "stored_space",
    "write_classes",
]
