"""The Content-Security-Policy of pages that are one file: they load nothing, and run their own scripts only."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape


def policy_tag(scripts: Sequence[str]) -> str:
    """Return the ``meta`` tag, which must precede the scripts. ``scripts`` are the texts between their tags.

    Style sheets, ``style`` attributes and images of the page itself are allowed.
    """
    return f'<meta http-equiv="Content-Security-Policy" content="{escape(policy(scripts), quote=False)}">'


def policy(scripts: Sequence[str], *more: str) -> str:
    """Return the policy itself, with ``more`` rules."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts
    )
    rules = ("default-src 'none'", f"script-src {hashes}", "style-src 'unsafe-inline'", "img-src data:")
    return "; ".join((*rules, "base-uri 'none'", "form-action 'none'", *more))
