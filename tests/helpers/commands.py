"""Commands: their configuration and how they end."""

from dataclasses import dataclass

from omegaconf import DictConfig

from ceco3d.cli import app


def compose_config(name: str, *overrides: str) -> DictConfig:
    """The configuration of a command, as on its command line."""
    return app.compose_config(name, list(overrides))


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str
