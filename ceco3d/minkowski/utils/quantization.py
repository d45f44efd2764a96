"""Voxelize coordinates: distinct rows, with the features and labels that belong to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ceco3d.minkowski.utils.rows import first_rows

Array = TypeVar("Array", Tensor, npt.NDArray[Any])
FNV_OFFSET, FNV_PRIME = 14695981039346656037, 1099511628211


def sparse_quantize(
    coordinates: Tensor | npt.NDArray[Any],
    features: Any = None,
    labels: Any = None,
    ignore_label: int = -100,
    return_index: bool = False,
    return_inverse: bool = False,
    return_maps_only: bool = False,
    quantization_size: Any = None,
    device: str | torch.device = "cpu",
) -> Any:
    """The distinct voxels of ``coordinates`` (N, D), in the order of their first points.

    features           (N, C): those of the first point of each voxel are returned
    labels             (N,) or (N, 1) integer: the label that all points of a voxel share, else ``ignore_label``
    return_index       also return the index (M,) of the first points
    return_inverse     also return the voxel (N,) of each point; needs ``return_index``
    return_maps_only   return the index alone, with ``return_inverse`` (index, inverse); ignored with labels
    quantization_size  side of a voxel: one number, or one for each axis
    device             where to compute without labels, and where the coordinates and maps are then returned

    Returns the voxels (M, D) int32, then features, labels, index and inverse as asked for; a tuple if there are
    several. The voxels and maps are tensors, except that NumPy coordinates with labels give NumPy arrays.
    AssertionError for wrong shapes and types, ValueError for voxels beyond int32.
    """
    _check(coordinates, features, labels, return_index, return_inverse)
    voxels = _floor(coordinates, quantization_size)
    colabels = None
    if labels is None:
        voxels = torch.as_tensor(voxels).to(device)
        index, inverse = first_rows(voxels)
        if return_maps_only:
            return (index, inverse) if return_inverse else index
    else:
        index, inverse, colabels = quantize_label(voxels, labels, ignore_label)
    found = [voxels[index]]
    found += [] if features is None else [features[_index_for(features, index)]]
    found += [] if colabels is None else [colabels]
    found += [index] if return_index else []
    found += [inverse] if return_inverse else []
    return found[0] if len(found) == 1 else tuple(found)


def _check(coordinates: Any, features: Any, labels: Any, return_index: bool, return_inverse: bool) -> None:
    if not isinstance(coordinates, np.ndarray | Tensor):
        raise AssertionError(f"coordinates must be an array or a tensor, not {type(coordinates).__name__}")
    if coordinates.ndim != 2:
        raise AssertionError(f"coordinates must be (N, D), got {tuple(coordinates.shape)}")
    if return_inverse and not return_index:
        raise AssertionError("return_inverse needs return_index")
    if features is not None and (features.ndim != 2 or len(features) != len(coordinates)):
        raise AssertionError(f"features must be ({len(coordinates)}, C), got {tuple(features.shape)}")
    if labels is not None and len(labels) != len(coordinates):
        raise AssertionError(f"{len(labels)} labels for {len(coordinates)} coordinates")


def _floor(coordinates: Any, size: Any) -> Any:
    """(N, D) int32 voxels, of the kind of ``coordinates``. ValueError if they are too far from the origin."""
    if size is not None and np.ndim(size):
        if len(size) != coordinates.shape[1]:
            raise AssertionError(f"{len(size)} quantization sizes for {coordinates.shape[1]} axes")
        like = coordinates if isinstance(coordinates, Tensor) else None
        size = np.array([float(side) for side in size]) if like is None else torch.tensor([float(s) for s in size])
        size = size if like is None else size.to(like.device)
    if size is not None and (np.ndim(size) or size != 1):
        coordinates = coordinates / size
    if isinstance(coordinates, np.ndarray):
        return _int32(np.floor(coordinates)).astype(np.int32)
    return _int32(coordinates.floor() if coordinates.is_floating_point() else coordinates).int()


def _int32(coordinates: Array) -> Array:
    """``coordinates``; ValueError if int32 cannot hold them."""
    if len(coordinates) and not -(1 << 31) <= coordinates.min().item() <= coordinates.max().item() < 1 << 31:
        raise ValueError("coordinates leave the range of int32: shift the scene to the origin, or quantize coarser")
    return coordinates


def _index_for(values: Any, index: Any) -> Any:
    """``index`` as ``values`` takes it: on its device, or as an array."""
    if isinstance(values, Tensor):
        return torch.as_tensor(index, device=values.device).long()
    return index.cpu().numpy() if isinstance(index, Tensor) else index


def quantize(coords: Array) -> tuple[Array, Array]:
    """(N, D) int32 -> index (M,) of the first of equal rows, and inverse (N,): ``coords[index][inverse] == coords``.

    Arrays of int32 for NumPy, tensors of int64 for torch. AssertionError for an array of another dtype.
    """
    if isinstance(coords, np.ndarray):
        if coords.dtype != np.int32:
            raise AssertionError(f"coords must be int32, got {coords.dtype}")
        index, inverse = first_rows(torch.from_numpy(np.ascontiguousarray(coords)))
        return index.numpy().astype(np.int32), inverse.numpy().astype(np.int32)
    return first_rows(_int32(coords).int())


def quantize_label(coords: Array, labels: Array, ignore_label: int) -> tuple[Array, Array, Array]:
    """``quantize``, and (M,) the label that equal rows share, ``ignore_label`` where they do not.

    labels  (N,) or (N, 1) integer

    A row with ``ignore_label`` makes its voxel's label ``ignore_label``. AssertionError for labels of another kind
    than ``coords``, or not integers.
    """
    if isinstance(coords, np.ndarray) != isinstance(labels, np.ndarray):
        raise AssertionError("coords and labels must both be arrays or both be tensors")
    given = torch.as_tensor(labels)
    if given.is_floating_point() or given.numel() != len(given):
        raise AssertionError(f"labels must be (N,) integers, got {tuple(labels.shape)} {labels.dtype}")
    given = given.flatten()
    index, inverse = quantize(coords)
    place = torch.as_tensor(inverse, device=given.device).long()
    low, high = (_reduce(given.long(), place, len(index), how) for how in ("amin", "amax"))
    shared = torch.where(low == high, low, torch.full_like(low, ignore_label))
    if isinstance(coords, np.ndarray):
        return index, inverse, shared.numpy().astype(np.int32)
    return index, inverse, shared


def _reduce(labels: Tensor, voxel: Tensor, count: int, how: str) -> Tensor:
    return labels.new_zeros(count).scatter_reduce(0, voxel, labels, how, include_self=False)


def unique_coordinate_map(coordinates: Tensor, tensor_stride: Any = 1) -> tuple[Tensor, Tensor]:
    """(N, 1 + D) integer -> index (M,) of the first of equal rows, and inverse (N,), both int64."""
    if not isinstance(coordinates, Tensor) or coordinates.ndim != 2:
        raise AssertionError("coordinates must be a tensor of shape (N, 1 + D)")
    if isinstance(tensor_stride, Sequence) and len(tensor_stride) != coordinates.shape[1] - 1:
        raise AssertionError(f"{len(tensor_stride)} tensor strides for {coordinates.shape[1] - 1} axes")
    return first_rows(coordinates)


def fnv_hash_vec(arr: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """(N, D) -> (N,) FNV-1 hashes of the rows, one 64-bit step for each column."""
    columns = arr.astype(np.int64).view(np.uint64).T
    hashed = np.full(len(arr), FNV_OFFSET, dtype=np.uint64)
    for column in columns:
        hashed = (hashed * np.uint64(FNV_PRIME)) ^ column
    return hashed


def ravel_hash_vec(arr: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """(N, D) integer -> (N,) keys, equal where rows are equal: positions in the bounding box, last axis fastest."""
    shifted = (arr - arr.min(0)).astype(np.uint64)
    sizes = shifted.max(0) + np.uint64(1)
    keys = np.zeros(len(arr), dtype=np.uint64)
    for column, size in zip(shifted.T, sizes, strict=True):
        keys = keys * size + column
    return keys
