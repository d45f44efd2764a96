"""Labeled scans of any layout: find them, check them, make processed scenes of them.

``layout``    what a layout is: which scans there are, and how one is read with its labels
``folder``    the layout of ``dataset=folder``: any files, labels in columns or beside the scans
``check``     what is in the scans, and what is wrong
``pipeline``  processed scenes, in parallel
``dataset``   data sets of labeled scans
"""

from ceco3d.preprocessing.labeled.check import Check
from ceco3d.preprocessing.labeled.dataset import Folder, LabeledScans
from ceco3d.preprocessing.labeled.folder import FolderLayout
from ceco3d.preprocessing.labeled.layout import LabeledPoints, Layout, RawScan
from ceco3d.preprocessing.labeled.splits import SplitRule

__all__ = ["Check", "Folder", "FolderLayout", "LabeledPoints", "LabeledScans", "Layout", "RawScan", "SplitRule"]
