"""Say what a file is that was meant to be a checkpoint: an HTML page, a Git LFS pointer, a cut download, ..."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from ceco3d.utils.untrusted import one_line

ZIP = b"PK\x03\x04"
CUT = "cut off before its end; download or copy it again"
BEGINNING = 4096  # bytes that are looked at
QUOTED = 80  # characters of a text in a message
PICKLE = b"\x80"
# First bytes of files that are packed, and of files that are something else.
PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "RAR",
    b"\x28\xb5\x2f\xfd": "zstd",
}
OTHERS = {
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
    b"%PDF": "a PDF",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"ply\n": "a PLY file",
    b"ply\r": "a PLY file",
    b"LASF": "a LAS file",
    b"\x7fELF": "a program",
    b"SQLite": "a database",
}


def describe(path: Path) -> str | None:
    """What ``path`` is and what to do, in one line; None if it may be a file of ``torch.save`` or another pickle."""
    with path.open("rb") as file:
        start = file.read(BEGINNING)
    if not start:
        return "an empty file; download or copy it again"
    if start.startswith(b"PK\x05\x06"):
        return "an empty zip archive; download or copy it again"
    if not start.strip(b"\0"):
        return "only zeros at its beginning, as a broken copy leaves them; download or copy it again"
    if start.startswith(ZIP):
        return None if zipfile.is_zipfile(path) else CUT
    for magic, name in PACKED.items():
        if start.startswith(magic):
            return f"a {name} archive; unpack it and pass the checkpoint in it"
    if start[257:262] == b"ustar":
        return "a tar archive; unpack it and pass the checkpoint in it"
    for magic, name in OTHERS.items():
        if start.startswith(magic):
            return f"{name}, not a checkpoint"
    return None if start.startswith(PICKLE) else _describe_text(start)


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as a ``.safetensors`` file: the length of a JSON header, and the header."""
    with path.open("rb") as file:
        start = file.read(BEGINNING)
    return len(start) > 8 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 2**40


def _describe_text(start: bytes) -> str:
    text = _decode(start)
    if text is None:
        return "data of an unknown kind, not a checkpoint"
    shown = one_line(text, QUOTED)
    lowered = text.lstrip("\ufeff \t\r\n").lower()
    if lowered.startswith("version https://git-lfs") or "/annex/objects/" in lowered[:200]:
        return "a Git LFS pointer, not the file itself; run git lfs pull in its repository, or download the file"
    if lowered.startswith(("<!doctype html", "<html", "<head", "<body")) or "<html" in lowered:
        return "an HTML page, not a checkpoint; open its link in a browser and download the file itself"
    if lowered.startswith("<"):
        return f"an XML text, not a checkpoint ({shown}); download the file itself"
    if lowered.startswith(("{", "[")) and _is_json(lowered):
        return f"a JSON text, not a checkpoint ({shown}); download the file itself"
    return f"a text, not a checkpoint ({shown}); download the file itself"


def _decode(start: bytes) -> str | None:
    """The text in the first bytes of a file, or None for other data."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return start[: len(start) // 2 * 2].decode("utf-16", "replace")
    if any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in start):
        return None
    return start.decode("utf-8", "replace")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return '":' in text or '" :' in text  # a longer one
    except RecursionError:
        return False
    return True
