"""Docstrings on the documentation's site: columns of names and texts become lists."""

from __future__ import annotations

import re
from typing import Any

import griffe

ITEM = re.compile(r"^(\S.*?)  +(\S.*)$")


class AsMarkdown(griffe.Extension):
    """Rewrites the docstring of every object before it is rendered."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """See griffe.Extension."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """Paragraphs whose lines are "name   text" as lists; indented lines go on with the item above them."""
    return "\n\n".join(_as_list(paragraph) for paragraph in text.split("\n\n"))


def _as_list(paragraph: str) -> str:
    lines = paragraph.splitlines()
    if not lines or not ITEM.match(lines[0]):
        return paragraph
    items: list[str] = []
    for line in lines:
        found = ITEM.match(line)
        if found:
            items.append(f"- **{found[1]}**: {found[2]}")
        elif line.startswith(" "):
            items[-1] += " " + line.strip()
        else:
            return paragraph
    return "\n".join(items)
