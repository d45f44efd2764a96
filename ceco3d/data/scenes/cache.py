"""A cache of processed scenes in memory shared by all loader processes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ceco3d.utils.errors import UserError
from ceco3d.utils.shared import shared_zeros
from ceco3d.utils.untrusted import read_npy

SHARED = Path("/dev/shm")
ALIGNMENT = 64  # bytes


class ArrayCache:
    """A ``read_npy`` that keeps in memory the arrays of as many of the first ``folders`` as fit into ``size`` bytes.

    The process that first reads an array stores it. Nothing is evicted: an epoch reads all scenes equally often, so no
    other choice has more hits. Useful for slow files, as on network disks; the system caches local files by itself.
    UserError if the machine has too little shared memory.
    """

    def __init__(self, folders: Sequence[Path], size: int) -> None:
        self._slots: dict[Path, tuple[int, int, np.dtype, tuple[int, ...]]] = {}  # index, byte offset, dtype, shape
        used = 0
        for folder in folders:
            arrays = _headers(folder)
            if used + sum(map(_padded, arrays.values())) > size:
                break
            for path, array in arrays.items():
                self._slots[path] = (len(self._slots), used, array.dtype, array.shape)
                used += _padded(array)
        if SHARED.is_dir() and shutil.disk_usage(SHARED).free < used:
            raise UserError(
                f"trainer.cache: {used / 1e9:.1f} GB do not fit into {SHARED}: lower it, or give the container more "
                "(docker run --shm-size)"
            )
        self._memory = shared_zeros(used, torch.uint8)
        self._filled = shared_zeros(len(self._slots), torch.bool)

    def __len__(self) -> int:
        """Size in bytes."""
        return len(self._memory)

    def __call__(self, path: Path) -> np.ndarray:
        if path not in self._slots:
            return read_npy(path)
        number, start, dtype, shape = self._slots[path]
        array: np.ndarray = np.ndarray(shape, dtype, self._memory.numpy(), start)
        if not self._filled[number]:  # two processes may do this at once, with the same values
            array[...] = read_npy(path)
            self._filled[number] = True
        return array


def _headers(folder: Path) -> dict[Path, np.ndarray]:
    """The mapped arrays of a scene by path. Broken ones are skipped; reading the scene reports them."""
    arrays = {}
    for path in sorted(folder.glob("*.npy")):
        try:
            arrays[path] = read_npy(path)
        except (OSError, ValueError, EOFError):
            continue
    return arrays


def _padded(array: np.ndarray) -> int:
    return -(-array.nbytes // ALIGNMENT) * ALIGNMENT
