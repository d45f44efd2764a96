"""Show segmentations of a scene side by side: as a picture, as a page for the browser, in a desktop window.

``visualization.picture`` needs matplotlib and ``visualization.window`` needs Open3D; import them by module.
"""

from ceco3d.visualization.camera import Camera
from ceco3d.visualization.depth_buffer import DepthBuffer
from ceco3d.visualization.labeled_scenes import find_scene, read_labeled, segment_scene
from ceco3d.visualization.page import viewer_page
from ceco3d.visualization.segmented import Panel, SegmentedScene

__all__ = [
    "Camera",
    "DepthBuffer",
    "Panel",
    "SegmentedScene",
    "find_scene",
    "read_labeled",
    "segment_scene",
    "viewer_page",
]
