"""Preprocess raw data sets into processed scenes.

``scannet``   reads one raw scene of ScanNet's layout
``pipeline``  preprocesses all scenes of a raw root in parallel
"""

from ceco3d.preprocessing.pipeline import Summary, preprocess_scenes, summary_lines
from ceco3d.preprocessing.scannet import LabelTable, read_label_table, read_scene, read_splits

__all__ = [
    "LabelTable",
    "Summary",
    "preprocess_scenes",
    "read_label_table",
    "read_scene",
    "read_splits",
    "summary_lines",
]
