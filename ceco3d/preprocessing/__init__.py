"""Preprocess raw data sets into processed scenes.

``scannet``      reads one raw scene of ScanNet's layout
``label_table``  ids of the names that annotators gave
``pipeline``     preprocesses all scenes of a raw root in parallel
``record``       what a processed scene was made from
"""

from ceco3d.preprocessing.label_table import LabelTable, read_label_table
from ceco3d.preprocessing.pipeline import preprocess_scenes
from ceco3d.preprocessing.scannet import read_scene
from ceco3d.preprocessing.split_lists import read_splits
from ceco3d.preprocessing.summary import Summary, summary_lines

__all__ = [
    "LabelTable",
    "Summary",
    "preprocess_scenes",
    "read_label_table",
    "read_scene",
    "read_splits",
    "summary_lines",
]
