"""The layers against MinkowskiEngine itself: maps, features and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import ceco3d.minkowski as OURS
from tests.helpers.minkowski import cloud
from tests.helpers.minkowski_engine import minkowski_engine, needs_minkowski

pytestmark = [needs_minkowski, pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")]

# Any: MinkowskiEngine has no types.
Make = Callable[[Any, int], Any]


def by_coordinates(x: Any) -> tuple[Tensor, Tensor]:
    """Coordinates and features in the order of the coordinates."""
    order = sorted(range(len(x)), key=lambda row: x.C[row].tolist())
    return x.C[order], x.F[order]


def assert_same(ours: Any, theirs: Any) -> None:
    (mine, features), (others, expected) = by_coordinates(ours), by_coordinates(theirs)
    assert ours.tensor_stride == theirs.tensor_stride
    assert torch.equal(mine, others)
    torch.testing.assert_close(features, expected, rtol=1e-9, atol=1e-9)


# Not its crosses: 0.5.4 takes the first offsets of a cube for them on the CPU.
LAYERS: dict[str, Make] = {
    "3": lambda ME, d: ME.MinkowskiConvolution(3, 3, kernel_size=3, bias=True, dimension=d),
    "3, stride 2": lambda ME, d: ME.MinkowskiConvolution(3, 3, kernel_size=3, stride=2, dimension=d),
    "2, stride 2": lambda ME, d: ME.MinkowskiConvolution(3, 3, kernel_size=2, stride=2, dimension=d),
    "1, stride 2": lambda ME, d: ME.MinkowskiConvolution(3, 3, kernel_size=1, stride=2, dimension=d),
    "1": lambda ME, d: ME.MinkowskiConvolution(3, 3, kernel_size=1, bias=True, dimension=d),
    "3, dilation 2": lambda ME, d: ME.MinkowskiConvolution(3, 3, kernel_size=3, dilation=2, dimension=d),
    "axes": lambda ME, d: ME.MinkowskiConvolution(
        3, 3, kernel_size=[3, 1, 2, 3][:d], stride=[1, 2, 2, 1][:d], dimension=d
    ),
    "expand": lambda ME, d: ME.MinkowskiConvolution(3, 3, kernel_size=3, expand_coordinates=True, dimension=d),
    "channelwise": lambda ME, d: ME.MinkowskiChannelwiseConvolution(3, kernel_size=3, dimension=d),
    "sum": lambda ME, d: ME.MinkowskiSumPooling(kernel_size=3, stride=2, dimension=d),
    "mean": lambda ME, d: ME.MinkowskiAvgPooling(kernel_size=3, stride=2, dimension=d),
    "max": lambda ME, d: ME.MinkowskiMaxPooling(kernel_size=3, stride=2, dimension=d),
    "cells": lambda ME, d: ME.MinkowskiAvgPooling(kernel_size=3, stride=3, dimension=d),
    "global sum": lambda ME, d: ME.MinkowskiGlobalSumPooling(),
    "global mean": lambda ME, d: ME.MinkowskiGlobalAvgPooling(),
    "global max": lambda ME, d: ME.MinkowskiGlobalMaxPooling(),
}
UP: dict[str, Make] = {
    "2, stride 2": lambda ME, d: ME.MinkowskiConvolutionTranspose(3, 3, kernel_size=2, stride=2, dimension=d),
    "3, stride 2": lambda ME, d: ME.MinkowskiConvolutionTranspose(3, 3, kernel_size=3, stride=2, dimension=d),
    "3, stride 1": lambda ME, d: ME.MinkowskiConvolutionTranspose(3, 3, kernel_size=3, dimension=d),
    "generative": lambda ME, d: ME.MinkowskiGenerativeConvolutionTranspose(3, 3, kernel_size=3, stride=2, dimension=d),
    "pooling": lambda ME, d: ME.MinkowskiPoolingTranspose(kernel_size=2, stride=2, dimension=d),
    "pooling 3": lambda ME, d: ME.MinkowskiPoolingTranspose(kernel_size=3, stride=2, dimension=d),
}


def compare(make: Make, axes: int, before: Make | None = None) -> None:
    """The layer on the same input in both, and the gradients of its input and its weights."""
    found = []
    for ME in (OURS, minkowski_engine()):
        coordinates, features = cloud(axes, count=150)
        x = ME.SparseTensor(features.requires_grad_(), coordinates)
        assert torch.equal(x.C, coordinates)
        torch.manual_seed(0)
        layers = [made(ME, axes).double() for made in (before, make) if made is not None]
        y = torch.nn.Sequential(*layers)(x)
        y.F.square().sum().backward()
        found.append((y, [features.grad, *(weight.grad for layer in layers for weight in layer.parameters())]))
    (ours, mine), (theirs, others) = found
    assert_same(ours, theirs)
    for grad, expected in zip(mine, others, strict=True):
        torch.testing.assert_close(grad, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_minkowskiengines(name, axes):
    if name == "1, stride 2" and axes == 1:
        pytest.skip("MinkowskiEngine leaves the stride out of this case")
    compare(LAYERS[name], axes)


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
@pytest.mark.parametrize("name", UP)
def test_transposed_layers_are_minkowskiengines(name, axes):
    compare(UP[name], axes, LAYERS["3, stride 2"])


@pytest.mark.parametrize("mode", ["RANDOM_SUBSAMPLE", "UNWEIGHTED_AVERAGE", "UNWEIGHTED_SUM"])
def test_repeated_coordinates_are_merged_alike(mode):
    coordinates, features = cloud(2)
    coordinates, features = coordinates[torch.arange(200) % 37], features.repeat(4, 1)[:200]
    pair = [
        ME.SparseTensor(features, coordinates, quantization_mode=getattr(ME.SparseTensorQuantizationMode, mode))
        for ME in (OURS, minkowski_engine())
    ]
    assert torch.equal(pair[0].C, pair[1].C)
    torch.testing.assert_close(pair[0].F, pair[1].F)
    assert torch.equal(pair[0].unique_index, pair[1].unique_index)
    assert torch.equal(pair[0].inverse_mapping, pair[1].inverse_mapping)


@pytest.mark.parametrize("mode", ["RANDOM_SUBSAMPLE", "UNWEIGHTED_AVERAGE", "UNWEIGHTED_SUM", "MAX_POOL"])
def test_fields_are_voxelized_and_sliced_alike(mode):
    generator = torch.Generator().manual_seed(0)
    items = torch.arange(300)[:, None] % 2
    points = torch.cat([items, 8 * torch.rand(300, 3, generator=generator) - 4], dim=1)
    features = torch.randn(300, 3, generator=generator)
    if mode == "MAX_POOL":  # MinkowskiEngine starts at 0 on the CPU, also where all values are negative
        features = features.abs()
    found = []
    for ME in (OURS, minkowski_engine()):
        mode_ = getattr(ME.SparseTensorQuantizationMode, mode)
        field = ME.TensorField(features, points, quantization_mode=mode_)
        x = field.sparse()
        torch.manual_seed(0)
        y = ME.MinkowskiConvolution(3, 4, kernel_size=3, stride=2, dimension=3)(x)
        # Only at the stride of the voxels: MinkowskiEngine's slices of coarser maps mix up their rows on the CPU.
        sliced = [] if mode in ("UNWEIGHTED_SUM", "MAX_POOL") else [x.slice(field).F, x.cat_slice(field).F]
        found.append((x, y, sliced))
    (x, y, sliced), (other_x, other_y, other_sliced) = found
    for ours, theirs in ((x, other_x), (y, other_y)):
        (mine, values), (others, expected) = by_coordinates(ours), by_coordinates(theirs)
        assert torch.equal(mine, others)
        torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-5)
    for values, expected in zip(sliced, other_sliced, strict=True):
        torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_interpolation_is_minkowskiengines(axes):
    generator = torch.Generator().manual_seed(0)
    coordinates, features = cloud(axes, count=150)
    points = 10 * torch.rand(100, axes + 1, generator=generator, dtype=torch.float64) - 5
    points[:, 0] = (torch.arange(100) % 2).double()
    ours, theirs = (
        ME.SparseTensor(features, coordinates).features_at_coordinates(points) for ME in (OURS, minkowski_engine())
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["union", "addition", "product", "broadcast", "pruning"])
def test_operations_are_minkowskiengines(name):
    found = []
    for ME in (OURS, minkowski_engine()):
        (first, a), (second, b) = cloud(3, 0), cloud(3, 1)
        x = ME.SparseTensor(a, first)
        y = ME.SparseTensor(b, second, coordinate_manager=x.coordinate_manager)
        found.append(
            {
                "union": lambda: ME.MinkowskiUnion()(x, y),  # noqa: B023  # called in this round
                "addition": lambda: x + y,  # noqa: B023
                "product": lambda: x * y,  # noqa: B023
                "broadcast": lambda: ME.MinkowskiBroadcastConcatenation()(x, ME.MinkowskiGlobalMaxPooling()(x)),  # noqa: B023
                "pruning": lambda: ME.MinkowskiPruning()(x, x.F[:, 0] > 0),  # noqa: B023
            }[name]()
        )
    assert_same(*found)
