"""From the command line to typed settings.

Exports are imported on first use: help, ``--version`` and wrong keys are answered without Hydra and torch.
"""

from typing import TYPE_CHECKING

from ceco3d.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from ceco3d.cli.app import command as command
    from ceco3d.cli.app import compose as compose
    from ceco3d.cli.settings import to_settings as to_settings

__getattr__, __all__ = lazy_exports(__name__, {"app": ("command", "compose"), "settings": ("to_settings",)})
