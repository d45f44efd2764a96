"""Warn of processed scenes without colors or normals."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ceco3d.data.scenes.colors import has_colors
from ceco3d.data.scenes.index import read_index, split_of, write_index
from ceco3d.data.scenes.normals import has_normals
from ceco3d.data.scenes.processed import INTENSITY
from ceco3d.utils.distributed import is_main
from ceco3d.utils.untrusted import read_npy

logger = logging.getLogger(__name__)

THREADS = 8  # files of network disks are opened side by side
MAX_NAMES = 5
# By feature: whether an array has it, and what the network sees instead.
FEATURES: dict[str, tuple[Callable[[np.ndarray], bool], str]] = {
    "color": (has_colors, "have no colors (no color.npy, or one color throughout): the network sees gray instead"),
    "normal": (has_normals, "have no normals (no normal.npy, or zeros): they are estimated, as predict does"),
}
_warned: set[tuple[Path, str]] = set()


def warn_missing(folders: Sequence[Path], features: Sequence[str]) -> None:
    """Warn of scenes that lack colors or normals among ``features``, once for each split and feature."""
    if not is_main():
        return
    for feature, (_, instead) in FEATURES.items():
        new = [folder for folder in folders if (folder.parent, feature) not in _warned]
        needed = feature in features or (feature == "color" and "rgb" in features)
        if not needed or not new:
            continue
        _warned.update((folder.parent, feature) for folder in new)
        lacking = _lacking(new, feature)
        if lacking:
            names = ", ".join(lacking[:MAX_NAMES]) + (", ..." if len(lacking) > MAX_NAMES else "")
            logger.warning(f"{new[0].parent}: {len(lacking)} of {len(new)} scenes {instead}: {names}")


def available_features(folders: Sequence[Path]) -> list[str]:
    """The features of processed scenes: coordinates, color or else intensity, and normals that need no estimate.

    Color if most scenes have it, normals and intensity if all do.
    """
    features = ["coord"]
    if 2 * len(_lacking(folders, "color")) < len(folders):
        features.append("color")
    elif all(any((folder / f"{name}.npy").is_file() for name in INTENSITY) for folder in folders):
        features.append("intensity")
    return features if _lacking(folders, "normal") else [*features, "normal"]


def _lacking(folders: Sequence[Path], feature: str) -> list[str]:
    """Names of the scenes without a feature. Those of a whole split are stored, see ``scenes.index``."""
    whole = split_of(folders)
    index = read_index(*whole) if whole else {}
    stored = index.get("missing", {}).get(feature)
    suspects = folders if stored is None else [folder for folder in folders if folder.name in set(stored)]
    with ThreadPoolExecutor(THREADS) as pool:
        lacks = list(pool.map(lambda folder: _lacks(folder, feature), suspects))
    names = [folder.name for folder, lack in zip(suspects, lacks, strict=True) if lack]
    if whole and names != stored:
        write_index(*whole, {**index, "missing": {**index.get("missing", {}), feature: names}})
    return names


def _lacks(folder: Path, feature: str) -> bool:
    try:
        return not FEATURES[feature][0](read_npy(folder / f"{feature}.npy"))
    except FileNotFoundError:
        return (folder / "coord.npy").is_file()
    except (OSError, ValueError, TypeError):  # reading the scene reports it
        return False
