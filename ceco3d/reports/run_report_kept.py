"""Keep sections of an earlier report whose data are gone: read them from the page, and write only what is harmless."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser
from pathlib import Path

from ceco3d.utils.plain_text import html_text
from ceco3d.utils.untrusted import reading

MAX_BYTES = 64 << 20  # of an earlier page
_TAGS = """p div span b i small ul li dl dt dd table thead tbody tr th td figure figcaption img svg path button details
summary h3 input label output code"""
_NAMES = """class alt title role tabindex scope colspan type value checked placeholder hidden d viewbox
preserveaspectratio aria-hidden aria-label aria-pressed data-chart data-k data-value"""
TAGS, NAMES = frozenset(_TAGS.split()), frozenset(_NAMES.split())
SILENT = frozenset(("h2", "script", "style", "title", "textarea"))  # their text is dropped; titles are written anew
EMPTY = frozenset(("img", "path", "input"))
STYLE = re.compile(r"(?:(?:background:#[0-9a-f]{6}|(?:left|top|width|--v):-?\d+(?:\.\d+)?%?);?)*")
IMAGE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]*")
NOTHING = '<p class="nothing">'  # begins a section that says why it is empty


@dataclass
class EarlierPage:
    """A report that is about to be replaced.

    meta      what ``meta_tags`` wrote
    sections  content by the id of the section, without its title
    """

    meta: dict[str, str] = field(default_factory=dict)
    sections: dict[str, str] = field(default_factory=dict)


def read_page(path: Path) -> EarlierPage:
    """Return the page at ``path``; an empty one if there is none, or none that can be read."""
    reader = _Reader()
    try:
        if path.stat().st_size > MAX_BYTES:
            return EarlierPage()
        with reading():
            reader.feed(path.read_text(encoding="utf-8"))
            reader.close()
    except (OSError, ValueError):
        return EarlierPage()
    return EarlierPage(reader.meta, {name: "".join(parts).strip() for name, parts in reader.sections.items()})


def meta_tags(meta: Mapping[str, str]) -> str:
    """Return the tags by which a later report knows which run and when this one is of."""
    return "".join(f'<meta name="ceco3d-{name}" content="{html_text(text)}">' for name, text in meta.items())


def identity(config: Mapping[str, object], title: str) -> str:
    """Return what must be equal for two reports to be of the same run."""
    names = ("name", "seed", "dataset", "model", "loss", "voxel_size", "features")
    content = {"title": title} | {name: config.get(name) for name in names}
    try:
        return json.dumps(content, sort_keys=True, default=str)
    except (TypeError, ValueError):  # keys that are no texts, values within themselves
        return ascii(content)


def worth(content: str) -> bool:
    """Whether a section says more than why it is empty."""
    return bool(content) and not content.startswith(NOTHING)


def keep(content: str, written: str, reason: str) -> str:
    """Return the section ``content`` of the page of the time ``written`` with a note of where it is from and why."""
    if content.startswith('<p class="kept">'):  # kept before: the first date counts
        return content
    when = f"the report of {written}" if written else "an earlier report"
    return f'<p class="kept">Kept from {html_text(when)}: {html_text(reason)}.</p>{content}'


class _Reader(HTMLParser):
    """Collect the sections of a page, rebuilt from known tags and attributes only; scripts and handlers are dropped."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.meta: dict[str, str] = {}
        self.sections: dict[str, list[str]] = {}
        self._section: list[str] | None = None
        self._dropped = ""  # the tag whose content is dropped
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "meta" and given.get("name", "").startswith("ceco3d-"):
            self.meta[given["name"].removeprefix("ceco3d-")] = given.get("content", "")
        elif tag == "section":
            self._section = self.sections.setdefault(given.get("id", ""), [])
            self._open = []
        elif self._section is not None and not self._dropped:
            if tag in TAGS:
                self._section.append(f"<{tag}{''.join(map(_attribute, given, given.values()))}>")
                self._open += [] if tag in EMPTY else [tag]
            elif tag in SILENT:
                self._dropped = tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in EMPTY:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._dropped:
            self._dropped = "" if tag == self._dropped else self._dropped
        elif tag == "section":
            if self._section is not None:
                self._section += [f"</{name}>" for name in reversed(self._open)]
            self._section, self._open = None, []
        elif self._section is not None and tag in self._open:
            while True:
                name = self._open.pop()
                self._section.append(f"</{name}>")
                if name == tag:
                    break

    def handle_data(self, data: str) -> None:
        if self._section is not None and not self._dropped:
            self._section.append(escape(data, quote=False))


def _attribute(name: str, value: str) -> str:
    harmless = (
        name in NAMES
        or (name == "style" and STYLE.fullmatch(value) is not None)
        or (name == "src" and IMAGE.fullmatch(value) is not None)
    )
    return f' {name}="{escape(value)}"' if harmless else ""
