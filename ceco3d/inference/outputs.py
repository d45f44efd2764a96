"""The files that labeling writes: their names, and which earlier ones they may replace."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ceco3d.inference.labeled_scan import SUMMARY, output_suffixes
from ceco3d.utils.errors import UserError

BLOCK = 1 << 20


def name_outputs(scans: Sequence[Path], out: Path, page: bool = False) -> dict[Path, str]:
    """The base name of each scan's files in ``out``: its stem, numbered if several scans share it.

    page  whether a page is among them
    UserError if an output would replace an input.
    """
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path in scans:
        stem = path.resolve().name if path.is_dir() else path.stem
        name, number = stem, 1
        while taken & _lowered(_outputs(path, name, out, page)):
            number += 1
            name = f"{stem}-{number}"
        taken |= _lowered(_outputs(path, name, out, page))
        names[path] = name
    inputs = {(status.st_dev, status.st_ino) for status in map(os.stat, scans)}  # also finds links to an input
    for target in (target for path, name in names.items() for target in _outputs(path, name, out, page)):
        if target.exists() and (target.stat().st_dev, target.stat().st_ino) in inputs:
            raise UserError(f"out={out}: {target} is an input and would be replaced; choose another folder")
    return names


def checkpoint_source(checkpoint: Path | Sequence[Path]) -> dict[str, str]:
    """Path and SHA-256 of a checkpoint, as summaries record them: best.pt changes while a run goes on.

    Of several: their paths, and the SHA-256 of all of them one after the other.
    """
    paths, digest = [checkpoint] if isinstance(checkpoint, Path) else checkpoint, hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    return {"checkpoint": ", ".join(map(str, paths)), "checkpoint_sha256": digest.hexdigest()}


def refuse_to_overwrite(names: Mapping[Path, str], out: Path, source: Mapping[str, str], page: bool = False) -> None:
    """UserError if a file in ``out`` would be replaced that is not an earlier result of the same scan and checkpoint.

    names   of the outputs of each scan, see ``name_outputs``
    source  of the labels, see ``checkpoint_source``
    page    whether a page is among them
    """
    for path, name in names.items():
        existing = next((target for target in _outputs(path, name, out, page) if target.exists()), None)
        if existing is None:
            continue
        earlier = _read_summary(out / (name + SUMMARY))
        if earlier.get("input") != os.path.abspath(path):
            what = f"belongs to {earlier['input']}" if "input" in earlier else "was not written by ceco3d.predict"
        elif earlier.get("checkpoint_sha256") != source["checkpoint_sha256"]:
            what = f"is the result of another checkpoint ({earlier.get('checkpoint', 'unknown')})"
        else:
            continue
        raise UserError(f"{existing} {what}: set overwrite=true to replace it, or choose another folder out=")


def _lowered(paths: Sequence[Path]) -> set[str]:
    """Their names in small letters: some file systems ignore case."""
    return {path.name.lower() for path in paths}


def _outputs(path: Path, name: str, out: Path, page: bool) -> list[Path]:
    """The files in ``out`` for the scan at ``path``, under the base name ``name``."""
    return [out / (name + suffix) for suffix in output_suffixes(path, page)]


def _read_summary(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
