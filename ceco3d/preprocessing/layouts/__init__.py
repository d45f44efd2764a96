"""Public data sets in the layouts in which they are downloaded (docs/datasets.md), one module each.

``public``         what they have in common
``s3dis``          rooms of six areas, as a text file for each object
``scannetpp``      meshes with segments and groups of segments
``labelmaker``     ARKit LabelMaker: meshes with automatic labels
``semantickitti``  sweeps of a laser scanner on a car
"""

from ceco3d.preprocessing.layouts.labelmaker import LabelMaker
from ceco3d.preprocessing.layouts.s3dis import S3DIS
from ceco3d.preprocessing.layouts.scannetpp import ScanNetPP
from ceco3d.preprocessing.layouts.semantickitti import SemanticKITTI

__all__ = ["S3DIS", "LabelMaker", "ScanNetPP", "SemanticKITTI"]
