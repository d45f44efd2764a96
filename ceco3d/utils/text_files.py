"""Decode text files that were saved on any system."""

from __future__ import annotations

import codecs
from pathlib import Path

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path, errors: str = "strict") -> str:
    """The text of a file in UTF-8, or in UTF-16 as its byte order mark says; without that mark, line ends as they are.

    errors  see ``bytes.decode``; UnicodeDecodeError by default
    """
    data = path.read_bytes()
    return data.decode("utf-16" if data.startswith(UTF16) else "utf-8-sig", errors)
