"""A hook of mkdocs: the Markdown files outside docs/ become pages, and links between all of them hold on the site."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
# Page of the site: the file in the repository.
PAGES = {
    "index.md": "README.md",
    "data.md": "data/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "tests.md": "tests/README.md",
    "images-example.md": "examples/images/README.md",
}
LINK = re.compile(r"(\]\()([^)#\s:]+)((?:#[^)]*)?\))")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    for page, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_moved(text, source, page)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links of the pages in docs/ to files outside of it point to their pages."""
    name = page.file.src_uri
    return markdown if name in PAGES else _moved(markdown, f"docs/{name}", name)


def _moved(text: str, source: str, page: str) -> str:
    """The text with the links of the repository's file ``source`` as links of ``page``."""
    pages = {target: name for name, target in PAGES.items()}

    def link(match: re.Match[str]) -> str:
        target = os.path.normpath(PurePosixPath(source).parent / match[2])
        known = pages.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else None)
        if known is None:
            return match[0]
        return match[1] + os.path.relpath(known, PurePosixPath(page).parent) + match[3]

    return LINK.sub(link, text)
