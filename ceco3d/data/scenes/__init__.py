"""Scenes in memory, label spaces, and processed scenes on disk."""

from typing import TYPE_CHECKING

from ceco3d.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from ceco3d.data.scenes.cache import ArrayCache as ArrayCache
    from ceco3d.data.scenes.colors import GRAY as GRAY
    from ceco3d.data.scenes.colors import has_colors as has_colors
    from ceco3d.data.scenes.device_cache import DeviceCache as DeviceCache
    from ceco3d.data.scenes.frequency import class_frequency as class_frequency
    from ceco3d.data.scenes.instance_bank import InstanceBank as InstanceBank
    from ceco3d.data.scenes.missing import warn_missing as warn_missing
    from ceco3d.data.scenes.normals import estimate_normals as estimate_normals
    from ceco3d.data.scenes.processed import list_scenes as list_scenes
    from ceco3d.data.scenes.processed import read_labels as read_labels
    from ceco3d.data.scenes.processed import read_scene as read_scene
    from ceco3d.data.scenes.processed import write_scene as write_scene
    from ceco3d.data.scenes.scene import Scene as Scene
    from ceco3d.data.scenes.scene import concatenate as concatenate

__getattr__, __all__ = lazy_exports(
    __name__,
    {
        "cache": ("ArrayCache",),
        "colors": ("GRAY", "has_colors"),
        "device_cache": ("DeviceCache",),
        "frequency": ("class_frequency",),
        "instance_bank": ("InstanceBank",),
        "missing": ("warn_missing",),
        "normals": ("estimate_normals",),
        "processed": ("list_scenes", "read_labels", "read_scene", "write_scene"),
        "scene": ("Scene", "concatenate"),
    },
)
