"""The sparse tensor: feature rows on voxels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ceco3d.sparse import operators
from ceco3d.sparse.maps import coordinates as keys_of
from ceco3d.sparse.maps.kernel_map import CoordinateManager


class SparseTensor:
    """Features on a set of voxels.

    features     (N, C) float
    coordinates  (N, 4) integer ``[batch, x, y, z]``, unique rows in any order, negatives allowed

    TypeError unless both are tensors. ValueError for wrong shapes or dtypes, repeated coordinates, coordinates out of
    range and non-finite features.
    ``rows`` holds the features in key order, which keeps neighbors close in memory; ``features`` and ``coordinates``
    return them in the caller's order.
    """

    manager: CoordinateManager

    def __init__(self, features: Tensor, coordinates: Tensor) -> None:
        if torch.compiler.is_compiling():  # the values are checked when the graph runs
            handle, keys, order, self._position = operators.voxels(features.detach(), coordinates)
            self.manager, self.stride = operators.GraphVoxels(keys, handle), 1
            self.rows = features[order]
            return
        _check_features(features, coordinates)
        keys = keys_of.pack(coordinates)
        order = None
        if not bool((keys[1:] > keys[:-1]).all()):
            keys, order = keys.sort()
            _check_unique(keys)
        self.manager = CoordinateManager(keys)
        self.stride = 1
        self.rows = features if order is None else features[order]
        self._position = (
            None
            if order is None
            else torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        )

    def with_rows(self, rows: Tensor) -> SparseTensor:
        """The same voxels with the features ``rows``, in key order."""
        return self.at_stride(self.stride, rows)

    def with_features(self, features: Tensor) -> SparseTensor:
        """The same voxels at stride 1 with ``features`` (N, C), rows as in ``coordinates``; errors as of a new one."""
        _check_features(features, self.manager.keys(1))
        position = self._position
        rows = features if position is None else torch.empty_like(features).index_copy_(0, position, features)
        return self.at_stride(1, rows)

    def at_stride(self, stride: int, rows: Tensor) -> SparseTensor:
        """The voxels of the level at ``stride`` with the features ``rows``, in key order."""
        new = object.__new__(SparseTensor)
        new.manager, new.rows, new._position = self.manager, rows, self._position
        new.stride = stride
        return new

    def to(self, device: torch.device | str) -> SparseTensor:
        """The same tensor on ``device``; tensors that share their voxels still share them there."""
        rows = self.rows.to(device)
        new = self.at_stride(self.stride, rows)
        new.manager = self.manager.to(rows.device)
        new._position = None if self._position is None else self._position.to(rows.device)
        return new

    @property
    def features(self) -> Tensor:
        """(N, C) in the caller's order at stride 1, in key order at coarser levels."""
        return self._in_caller_order(self.rows)

    @property
    def coordinates(self) -> Tensor:
        """(N, 4) int32 ``[batch, x, y, z]`` in voxels, rows as in ``features``."""
        return self._in_caller_order(keys_of.unpack(self.manager.keys(self.stride)))

    def _in_caller_order(self, rows: Tensor) -> Tensor:
        return rows if self._position is None or self.stride != 1 else rows[self._position]

    def __len__(self) -> int:
        return len(self.rows)

    def __add__(self, other: SparseTensor) -> SparseTensor:
        check_same_voxels([self, other])
        return self.with_rows(self.rows + other.rows)

    def __iadd__(self, other: SparseTensor) -> SparseTensor:
        check_same_voxels([self, other])
        return self.with_rows(self.rows.add_(other.rows))

    def __repr__(self) -> str:
        return f"SparseTensor({len(self)} voxels, {self.rows.shape[1]} channels, stride {self.stride})"


def cat(tensors: Sequence[SparseTensor]) -> SparseTensor:
    """Concatenate the channels of tensors; ValueError when they lie on different voxels."""
    check_same_voxels(tensors)
    return tensors[0].with_rows(torch.cat([tensor.rows for tensor in tensors], dim=1))


def check_same_voxels(tensors: Sequence[SparseTensor]) -> None:
    """ValueError when ``tensors`` lie on different voxels."""
    first = tensors[0]
    if any(other.manager is not first.manager or other.stride != first.stride for other in tensors):
        raise ValueError("sparse tensors must share their coordinates: same input tensor and same stride")


def _check_features(features: Tensor, coordinates: Tensor) -> None:
    given: dict[str, object] = {"features": features, "coordinates": coordinates}
    for name, value in given.items():
        if not isinstance(value, Tensor):
            how = "torch.from_numpy" if type(value).__name__ == "ndarray" else "torch.as_tensor"
            raise TypeError(f"{name} must be a torch.Tensor, not {type(value).__name__}: pass {how}({name})")
    if features.ndim != 2 or not features.is_floating_point():
        how = "" if features.is_floating_point() else ": pass features.float()"
        raise ValueError(f"features must be (N, C) float, got {tuple(features.shape)} {features.dtype}{how}")
    if len(features) != len(coordinates):
        raise ValueError(f"{len(features)} feature rows but {len(coordinates)} coordinate rows")
    if features.device != coordinates.device:
        raise ValueError(f"features are on {features.device} but coordinates on {coordinates.device}")
    if features.numel() and not all(map(math.isfinite, torch.stack(torch.aminmax(features.detach())).tolist())):
        raise ValueError("features contain NaN or infinity")


def _check_unique(keys: Tensor) -> None:
    """ValueError when sorted keys repeat."""
    repeated = (keys[1:] == keys[:-1]).nonzero()
    if len(repeated):
        row = keys_of.unpack(keys[repeated[0]])[0].tolist()
        raise ValueError(f"coordinates must be unique: {row} occurs more than once ({len(repeated)} repeats in all)")
