"""Shared by every package: atomic and untrusted files, processes, devices, random streams, errors."""

from typing import TYPE_CHECKING

from ceco3d.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from ceco3d.utils.atomic import check_writable as check_writable
    from ceco3d.utils.atomic import retry_on_disk_error as retry_on_disk_error
    from ceco3d.utils.atomic import whole_file as whole_file
    from ceco3d.utils.atomic import write_bytes as write_bytes
    from ceco3d.utils.atomic import write_json as write_json
    from ceco3d.utils.atomic import write_text as write_text
    from ceco3d.utils.device import choose_device as choose_device
    from ceco3d.utils.device import choose_precision as choose_precision
    from ceco3d.utils.errors import UserError as UserError
    from ceco3d.utils.parallel import run_parallel as run_parallel
    from ceco3d.utils.progress import StepDisplay as StepDisplay
    from ceco3d.utils.progress import track as track
    from ceco3d.utils.random import Stream as Stream
    from ceco3d.utils.random import chance as chance
    from ceco3d.utils.random import points_generator as points_generator
    from ceco3d.utils.random import seeded_generator as seeded_generator
    from ceco3d.utils.random import uniform as uniform
    from ceco3d.utils.untrusted import one_line as one_line
    from ceco3d.utils.untrusted import read_json as read_json
    from ceco3d.utils.untrusted import read_npy as read_npy
    from ceco3d.utils.untrusted import read_npz as read_npz
    from ceco3d.utils.untrusted import read_yaml as read_yaml

__getattr__, __all__ = lazy_exports(
    __name__,
    {
        "atomic": ("check_writable", "retry_on_disk_error", "whole_file", "write_bytes", "write_json", "write_text"),
        "device": ("choose_device", "choose_precision"),
        "errors": ("UserError",),
        "parallel": ("run_parallel",),
        "progress": ("StepDisplay", "track"),
        "random": ("Stream", "chance", "points_generator", "seeded_generator", "uniform"),
        "untrusted": ("one_line", "read_json", "read_npy", "read_npz", "read_yaml"),
    },
)
