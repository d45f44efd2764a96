"""Pooling, broadcast, pruning and union against loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import ceco3d.minkowski as ME
from tests.helpers.minkowski import cell, cloud, cube, pairs_by_hand, places

AXES = (1, 2, 3, 4)
LOCAL = {
    "sum": (ME.MinkowskiSumPooling, lambda rows: rows.sum(0)),
    "mean": (ME.MinkowskiAvgPooling, lambda rows: rows.mean(0)),
    "max": (ME.MinkowskiMaxPooling, lambda rows: rows.max(0).values),
}
GLOBAL = {
    "sum": (ME.MinkowskiGlobalSumPooling, LOCAL["sum"][1]),
    "mean": (ME.MinkowskiGlobalAvgPooling, LOCAL["mean"][1]),
    "max": (ME.MinkowskiGlobalMaxPooling, LOCAL["max"][1]),
}


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("mode", LOCAL)
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 3), (3, 1), (3, 2), (2, 1)])
def test_pooling_over_a_kernel_leaves_out_absent_voxels(axes, mode, size, stride):
    coordinates, features = cloud(axes)
    kind, reduce = LOCAL[mode]
    y = kind(kernel_size=size, stride=stride, dimension=axes)(ME.SparseTensor(features, coordinates))
    if size == stride:  # each voxel counts for the cell that it lies in
        members = [
            [row for row, place in enumerate(places(coordinates)) if cell(place, [stride] * axes) == out]
            for out in places(y.C)
        ]
    else:
        pairs = pairs_by_hand(places(coordinates), places(y.C), cube([size] * axes, [1] * axes))
        members = [[source for _, source, target in pairs if target == row] for row in range(len(y))]
    expected = [reduce(features[rows]) if rows else torch.zeros(3, dtype=torch.float64) for rows in members]
    torch.testing.assert_close(y.F, torch.stack(expected))


@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize("expand", [False, True])
def test_transposed_pooling_adds_to_all_voxels_that_the_kernel_reaches(axes, expand):
    coordinates, features = cloud(axes)
    x = ME.SparseTensor(features, coordinates)
    coarse = ME.MinkowskiSumPooling(2, 2, dimension=axes)(x)
    y = ME.MinkowskiPoolingTranspose(2, 2, expand_coordinates=expand, dimension=axes)(coarse)
    rows = {place: row for row, place in enumerate(places(coarse.C))}
    assert len(y) == len(coarse) * 2**axes if expand else torch.equal(y.C, coordinates)
    torch.testing.assert_close(y.F, torch.stack([coarse.F[rows[cell(place, [2] * axes)]] for place in places(y.C)]))


def test_the_gradient_of_a_maximum_goes_to_the_first_of_equal_rows():
    coordinates = torch.tensor([[0, 1], [0, 0], [0, 2]]).int()
    features = torch.ones(3, 1, requires_grad=True)
    ME.MinkowskiMaxPooling(4, 4, dimension=1)(ME.SparseTensor(features, coordinates)).F.sum().backward()
    assert features.grad.flatten().tolist() == [0, 1, 0]  # the smallest coordinate


@pytest.mark.parametrize("mode", LOCAL)
def test_gradients_of_pooling(mode):
    coordinates, features = cloud(2, count=15)

    def run(values: Tensor) -> Tensor:
        x = ME.SparseTensor(values, coordinates)
        y = LOCAL[mode][0](kernel_size=3, stride=2, dimension=2)(x)
        total = GLOBAL[mode][0]()(LOCAL[mode][0](kernel_size=2, stride=2, dimension=2)(y))
        return torch.cat([y.F, total.F])

    assert torch.autograd.gradcheck(run, features.requires_grad_(), fast_mode=True)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("mode", GLOBAL)
def test_global_pooling_has_a_row_for_each_batch_item(axes, mode):
    coordinates, features = cloud(axes)
    coordinates[:, 0] *= 3  # items 0 and 3
    kind, reduce = GLOBAL[mode]
    x = ME.SparseTensor(features, coordinates)
    y = kind()(x)
    assert y.C.tolist() == [[0, *[0] * axes], [3, *[0] * axes]]
    expected = torch.stack([reduce(features[coordinates[:, 0] == item]) for item in (0, 3)])
    torch.testing.assert_close(y.F, expected)
    field = ME.TensorField(features, coordinates.float())
    torch.testing.assert_close(kind()(field).F, expected)


def test_broadcast_joins_the_row_of_the_batch_item():
    coordinates, features = cloud(3)
    coordinates[:, 0] *= 2
    x = ME.SparseTensor(features, coordinates)
    total = ME.MinkowskiGlobalSumPooling()(x)
    rows = total.F[coordinates[:, 0].long() // 2]
    assert torch.equal(ME.MinkowskiBroadcastAddition()(x, total).F, features + rows)
    assert torch.equal(ME.MinkowskiBroadcastMultiplication()(x, total).F, features * rows)
    assert torch.equal(ME.MinkowskiBroadcast()(x, total).F, rows)
    assert torch.equal(ME.MinkowskiBroadcastConcatenation()(x, total).F, torch.cat([features, rows], dim=1))
    with pytest.raises(ValueError, match="rows for 2 batch items"):
        ME.MinkowskiBroadcast()(x, x)


def test_pruning_keeps_rows_in_their_order():
    coordinates, features = cloud(3)
    x = ME.SparseTensor(features, coordinates)
    keep = features[:, 0] > 0
    y = ME.MinkowskiPruning()(x, keep)
    assert torch.equal(y.F, features[keep])
    assert torch.equal(y.C, coordinates[keep])
    torch.manual_seed(0)
    conv = ME.MinkowskiConvolution(3, 2, kernel_size=3, dimension=3).double()
    torch.testing.assert_close(conv(y).F, conv(ME.SparseTensor(features[keep], coordinates[keep])).F)
    assert len(ME.MinkowskiPruning()(x, torch.zeros(len(x), dtype=torch.bool))) == 0
    with pytest.raises(ValueError, match="the mask must be"):
        ME.MinkowskiPruning()(x, keep[1:])


@pytest.mark.parametrize("axes", AXES)
def test_a_union_adds_where_voxels_meet(axes):
    (first, a), (second, b) = cloud(axes, 0), cloud(axes, 1)
    x = ME.SparseTensor(a.requires_grad_(), first)
    y = ME.SparseTensor(b, second, coordinate_manager=x.coordinate_manager)
    z = ME.MinkowskiUnion()(x, y, y)
    expected: dict[tuple[int, ...], Tensor] = {}
    for place, row in [*zip(places(first), a, strict=False), *zip(places(second), 2 * b, strict=False)]:
        expected[place] = expected.get(place, torch.zeros(3, dtype=torch.float64)) + row
    assert len(z) == len(expected) < len(first) + len(second)
    torch.testing.assert_close(z.F, torch.stack([expected[place] for place in places(z.C)]))
    z.F.sum().backward()
    assert torch.equal(a.grad, torch.ones_like(a))
    with pytest.raises(AssertionError, match="coordinate manager"):
        ME.MinkowskiUnion()(x, ME.SparseTensor(b, second))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("mode", GLOBAL)
def test_half_precision_is_summed_in_float32(mode, dtype):
    coordinates = torch.stack([torch.zeros(3000), torch.arange(3000)], dim=1).int()
    features = torch.rand(3000, 2, generator=torch.Generator().manual_seed(0)).to(dtype)
    kind, reduce = GLOBAL[mode]
    found = kind()(ME.SparseTensor(features, coordinates)).F
    torch.testing.assert_close(found, reduce(features.float())[None].to(dtype))
    whole = LOCAL[mode][0](kernel_size=1000, stride=1000, dimension=1)(ME.SparseTensor(features, coordinates))
    torch.testing.assert_close(whole.F[0], reduce(features[:1000].float()).to(dtype))


@pytest.mark.parametrize("kind", [ME.MinkowskiMaxPooling, ME.MinkowskiAvgPooling, ME.MinkowskiConvolution])
def test_no_voxels_are_no_error(kind):
    coordinates, features = cloud(3)
    x = ME.SparseTensor(features, coordinates)
    empty = ME.MinkowskiPruning()(x, torch.zeros(len(x), dtype=torch.bool))
    channels = {"in_channels": 3, "out_channels": 3} if kind is ME.MinkowskiConvolution else {}
    for size in (2, 3):
        y = kind(**channels, kernel_size=size, stride=2, dimension=3).double()(empty)
        assert y.F.shape == (0, 3)
        assert not ME.MinkowskiGlobalMaxPooling()(y).F.any()
    assert torch.equal(
        (empty + x).dense(torch.Size([2, 3, 9, 9, 9]), torch.full((3,), -4).int())[0],
        x.dense(torch.Size([2, 3, 9, 9, 9]), torch.full((3,), -4).int())[0],
    )
