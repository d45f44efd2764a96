"""Files of point clouds and meshes in any common format, unit and orientation; one reader per format."""

from typing import TYPE_CHECKING

from ceco3d.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from ceco3d.data.pointclouds.axes import METERS as METERS
    from ceco3d.data.pointclouds.axes import UP_ROTATIONS as UP_ROTATIONS
    from ceco3d.data.pointclouds.files import find_scans as find_scans
    from ceco3d.data.pointclouds.files import read_scan as read_scan
    from ceco3d.data.pointclouds.normals import vertex_normals as vertex_normals
    from ceco3d.data.pointclouds.ply import PlyFile as PlyFile
    from ceco3d.data.pointclouds.ply import mapped_triangles as mapped_triangles
    from ceco3d.data.pointclouds.ply import read_triangles as read_triangles
    from ceco3d.data.pointclouds.ply_open import open_ply as open_ply
    from ceco3d.data.pointclouds.ply_write import extend_ply as extend_ply
    from ceco3d.data.pointclouds.ply_write import write_ply as write_ply
    from ceco3d.data.pointclouds.scan import Scan as Scan
    from ceco3d.data.pointclouds.scan_to_scene import to_scene as to_scene

__getattr__, __all__ = lazy_exports(
    __name__,
    {
        "axes": ("METERS", "UP_ROTATIONS"),
        "files": ("find_scans", "read_scan"),
        "normals": ("vertex_normals",),
        "ply": ("PlyFile", "mapped_triangles", "read_triangles"),
        "ply_open": ("open_ply",),
        "ply_write": ("extend_ply", "write_ply"),
        "scan": ("Scan",),
        "scan_to_scene": ("to_scene",),
    },
)
