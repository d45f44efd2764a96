"""The style and scripts that the pages of reports share, read from the files beside this module."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


def asset(name: str) -> str:
    """Return the text of a style sheet or a script of this package."""
    return (HERE / name).read_text(encoding="utf-8")
