"""Show a segmented scene in a desktop window (Open3D), with its panels side by side in space."""

from __future__ import annotations

import os
import sys
from types import ModuleType

import numpy as np

from ceco3d.utils.errors import UserError
from ceco3d.visualization.render import without_ceiling
from ceco3d.visualization.segmented import SegmentedScene

SYSTEM = "libgl1 libegl1 libx11-6 libusb-1.0-0 libidn2-0 libudev1 libgomp1"  # Debian packages that Open3D links to
GAP = 1.15  # distance between panels in widths of the scene


def load_open3d() -> ModuleType:
    """Import Open3D; UserError says what to install if it is missing or does not load."""
    try:
        import open3d
    except ModuleNotFoundError as error:
        raise UserError(f"window=true needs {error.name}: pip install 'ceco3d[view]'") from error
    except (ImportError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"window=true: Open3D does not load ({reason}); apt-get install {SYSTEM}") from error
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        raise UserError("window=true: no display (DISPLAY is not set); open the page instead")
    module: ModuleType = open3d
    return module


def show(scene: SegmentedScene) -> None:
    """Show original, ground truth and predictions from left to right; return when the window closes."""
    open3d = load_open3d()
    kept = without_ceiling(scene.coord)
    coord = scene.coord[kept].astype(float)
    step = GAP * np.ptp(coord[:, 0])
    window = open3d.visualization.Visualizer()
    titles = ", ".join(["Original", *(panel.title for panel in scene.panels)])
    if not window.create_window(window_name=f"{scene.name}: {titles}"):
        raise UserError("window=true: the display has no OpenGL; open the page instead")
    for i, colors in enumerate([scene.original, *(scene.palette[panel.labels] for panel in scene.panels)]):
        cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(coord + np.array([i * step, 0, 0])))
        cloud.colors = open3d.utility.Vector3dVector(colors[kept] / 255)
        window.add_geometry(cloud)
    window.get_view_control().set_zoom(0.35)
    window.run()
    window.destroy_window()
