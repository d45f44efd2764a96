"""Show text from files and names as text: nothing in it moves a cursor, turns the reading direction or is markup."""

from __future__ import annotations

import html
import unicodedata

LINES = "\n\t"


def visible(value: object, keep: str = "") -> str:
    """``value`` as text with escapes, as in \\x1b, for control characters, marks of direction and lone surrogates.

    keep  characters that stay, such as LINES
    """
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() or c in keep else _escape(c) for c in text)


def _escape(character: str) -> str:
    if unicodedata.category(character) == "Zs":  # a blank of another width
        return " "
    return character.encode("unicode_escape").decode()


def html_text(value: object, keep: str = "") -> str:
    """``value`` as text of an HTML page or of an attribute in quotes."""
    return html.escape(visible(value, keep))
