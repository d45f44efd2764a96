"""Arrays of processed scenes kept in memory that all loader processes share."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import read_npy

SHARED = Path("/dev/shm")
ALIGNMENT = 64  # bytes


class ArrayCache:
    """``read_npy`` that keeps the arrays of the first ``folders``, as many as fit into ``size`` bytes, in memory.

    Every process fills in what it reads first, and none is ever replaced: an epoch needs all scenes equally often, so
    another choice would not be read more often. Worth its memory where files are slow, as on network disks: local ones
    are kept by the system anyway. UserError when the machine has less shared memory than that.
    """

    def __init__(self, folders: Sequence[Path], size: int) -> None:
        self._slots: dict[Path, tuple[int, int, np.dtype, tuple[int, ...]]] = {}  # number, first byte, dtype, shape
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
                f"trainer.cache: {used / 1e9:.1f} GB are more than {SHARED} has free: lower it, or give the container "
                "more (docker run --shm-size)"
            )
        self._memory = torch.zeros(used, dtype=torch.uint8).share_memory_()
        self._filled = torch.zeros(len(self._slots), dtype=torch.bool).share_memory_()

    def __len__(self) -> int:
        """Bytes of memory."""
        return len(self._memory)

    def __call__(self, path: Path) -> np.ndarray:
        if path not in self._slots:
            return read_npy(path)
        number, start, dtype, shape = self._slots[path]
        array = np.ndarray(shape, dtype, self._memory.numpy(), start)
        if not self._filled[number]:  # two processes may do this at once: they write the same
            array[...] = read_npy(path)
            self._filled[number] = True
        return array


def _headers(folder: Path) -> dict[Path, np.ndarray]:
    """The mapped arrays of a scene by path; a broken one is left to be reported when the scene is read."""
    arrays = {}
    for path in sorted(folder.glob("*.npy")):
        try:
            arrays[path] = read_npy(path)
        except (OSError, ValueError, EOFError):
            continue
    return arrays


def _padded(array: np.ndarray) -> int:
    return -(-array.nbytes // ALIGNMENT) * ALIGNMENT
