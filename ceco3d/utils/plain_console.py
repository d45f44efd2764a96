"""A console for tables whose cells are text from files."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from ceco3d.utils.plain_text import LINES, visible


class PlainConsole(Console):
    """A rich console that prints titles and cells of tables as they are: no markup, no emoji codes, no escapes."""

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return ``text`` as rich lays it out."""
        return super().render_str(visible(text, LINES), **options)
