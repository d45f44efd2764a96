"""From the command line to typed settings."""

from ceco3d.cli.app import command, compose
from ceco3d.cli.settings import to_settings

__all__ = ["command", "compose", "to_settings"]
