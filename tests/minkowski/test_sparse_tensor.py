"""SparseTensor and TensorField: order, merging, arithmetic, conversions, slicing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import ceco3d.minkowski as ME
from tests.helpers.minkowski import cloud, places

MODE = ME.SparseTensorQuantizationMode


@pytest.fixture
def shared_manager():
    """All tensors of a test share a coordinate manager."""
    ME.set_sparse_tensor_operation_mode(ME.SparseTensorOperationMode.SHARE_COORDINATE_MANAGER)
    yield
    ME.clear_global_coordinate_manager()
    ME.set_sparse_tensor_operation_mode(ME.SparseTensorOperationMode.SEPARATE_COORDINATE_MANAGER)


def repeated() -> tuple[Tensor, Tensor]:
    """Seven rows at four places."""
    coordinates = torch.tensor([[1, 1], [0, 2], [1, 0], [0, 2], [0, 1], [1, 0], [0, 2]]).int()
    return coordinates, torch.tensor([[7.0], [2.0], [5.0], [3.0], [0.0], [6.0], [-1.0]])


@pytest.mark.parametrize("axes", [1, 2, 3, 4, 5])
def test_unique_coordinates_keep_their_order(axes):
    generator = torch.Generator().manual_seed(axes)
    coordinates = torch.unique(torch.randint(-3, 4, (50, axes + 1), generator=generator).abs(), dim=0).int()
    coordinates[:, 1:] -= 2
    coordinates = coordinates[torch.randperm(len(coordinates), generator=generator)]
    features = torch.randn(len(coordinates), 2, generator=generator)
    x = ME.SparseTensor(features, coordinates)
    assert x.F is features
    assert torch.equal(x.C, coordinates)
    assert x.C.dtype == torch.int32
    assert x.D == x.dimension == axes
    ascending = sorted(range(len(x)), key=lambda row: coordinates[row].tolist())
    assert torch.equal(x.rows, features[ascending])
    assert torch.equal(x.with_rows(x.rows).F, features)
    assert torch.equal(x.with_features(features).rows, x.rows)


@pytest.mark.parametrize(
    ("mode", "values"),
    [
        (MODE.RANDOM_SUBSAMPLE, [7, 2, 5, 0]),
        (MODE.UNWEIGHTED_SUM, [7, 4, 11, 0]),
        (MODE.UNWEIGHTED_AVERAGE, [7, 4 / 3, 5.5, 0]),
        (MODE.MAX_POOL, [7, 3, 6, 0]),
    ],
)
def test_repeated_coordinates_are_merged_at_their_first_occurrence(mode, values):
    coordinates, features = repeated()
    x = ME.SparseTensor(features, coordinates, quantization_mode=mode)
    assert x.C.tolist() == [[1, 1], [0, 2], [1, 0], [0, 1]]
    torch.testing.assert_close(x.F.flatten(), torch.tensor(values, dtype=torch.float32))
    assert x.unique_index.tolist() == [0, 1, 2, 4]
    assert x.inverse_mapping.tolist() == [0, 1, 2, 1, 3, 2, 1]
    with pytest.raises(ValueError, match="3 rows repeat coordinates"):
        ME.SparseTensor(features, coordinates, quantization_mode=MODE.NO_QUANTIZATION)


def test_changes_of_f_in_place_reach_the_next_layer():
    coordinates, features = cloud(3)
    conv = ME.MinkowskiConvolution(3, 2, kernel_size=3, dimension=3).double()
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            x = ME.SparseTensor(features.clone(), coordinates)
            y = x + x
            before = conv(y).F
            y.F[:] = 0
            assert torch.equal(conv(y).F, torch.zeros_like(before))
            y._F += 2 * features
            torch.testing.assert_close(conv(y).F, before)
            z = x.with_rows(x.rows.clone())
            z.F  # noqa: B018  # both orders exist now
            z.rows.mul_(2)
            torch.testing.assert_close(z.F, 2 * features)
    with torch.inference_mode():
        x = ME.SparseTensor(features.clone(), coordinates)
        y = x + x
        assert torch.equal(conv(y).F, before)
        y.F[:] = 0
        assert torch.equal(conv(y).F, torch.zeros_like(before))


def test_hooks_of_f_see_the_gradients_of_the_next_layer():
    coordinates, features = cloud(3)
    x = ME.SparseTensor(features.requires_grad_(), coordinates)
    conv = ME.MinkowskiConvolution(3, 3, kernel_size=3, dimension=3).double()
    y = conv(x)
    y.F.retain_grad()
    conv(y).F.sum().backward()
    assert y.F.grad is not None
    assert y.F.grad.abs().sum() > 0
    assert features.grad is not None


def test_arithmetic_on_one_map():
    coordinates, features = cloud(2)
    x = ME.SparseTensor(features, coordinates)
    y = x.with_features(2 * features)
    assert torch.equal((x + y).F, 3 * features)
    assert torch.equal((x - y).F, -features)
    assert torch.equal((x * y).F, 2 * features**2)
    assert torch.equal((x / y).F, torch.full_like(features, 0.5))
    assert torch.equal((x * features).F, features**2)  # a tensor is in the order of F
    assert torch.equal((x + torch.ones(3)).F, features + 1)
    assert torch.equal((x**2).F, features**2)
    z = x.with_features(features.clone())
    for change, expected in (("__iadd__", 3), ("__isub__", 1), ("__imul__", None), ("__itruediv__", 1)):
        z = getattr(z, change)(y)
        if expected is not None:
            torch.testing.assert_close(z.F, expected * features)
    with pytest.raises(AssertionError, match="share a coordinate manager"):
        x + ME.SparseTensor(features, coordinates)


@pytest.mark.parametrize("operation", ["__add__", "__sub__", "__mul__"])
def test_arithmetic_on_two_maps_is_on_their_union(operation):
    (first, a), (second, b) = cloud(3, 0), cloud(3, 1)
    x = ME.SparseTensor(a, first)
    y = ME.SparseTensor(b, second, coordinate_manager=x.coordinate_manager)
    z = getattr(x, operation)(y)
    zero = torch.zeros(3, dtype=torch.float64)
    left, right = dict(zip(places(first), a, strict=False)), dict(zip(places(second), b, strict=False))
    assert set(places(z.C)) == set(left) | set(right)
    for place, row in zip(places(z.C), z.F, strict=True):
        mine = left.get(place, zero)
        torch.testing.assert_close(row, getattr(mine, operation)(right[place]) if place in right else mine)
    z += z
    with pytest.raises(AssertionError, match="coordinate_map_key"):
        x += y


def test_batch_items_by_number():
    coordinates = torch.tensor([[2, 5], [0, 0], [2, 2], [0, 1]]).int()
    x = ME.SparseTensor(torch.arange(4.0)[:, None], coordinates)
    assert [rows.tolist() for rows in x.decomposition_permutations] == [[1, 3], [], [0, 2]]
    assert x.features_at(2).flatten().tolist() == [0, 2]
    assert x.coordinates_at(0).tolist() == [[0], [1]]
    everything, features = x.decomposed_coordinates_and_features
    assert [len(part) for part in everything] == [len(part) for part in features] == [2, 0, 2]


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
def test_dense_and_back(axes):
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(2, 3, *[5] * axes, generator=generator, dtype=torch.float64)
    dense *= torch.rand(2, 1, *[5] * axes, generator=generator) < 0.3
    dense[1, :, -1] = 1  # so that the last cell is there
    x = ME.to_sparse(dense)
    assert len(x) == int((dense != 0).any(1).sum())
    again, _, stride = x.dense(shape=dense.shape)
    assert torch.equal(again, dense)
    assert stride.tolist() == [1] * axes
    full = ME.MinkowskiToSparseTensor()(dense)
    assert len(full) == 2 * 5**axes
    assert torch.equal(ME.MinkowskiToDenseTensor()(full), dense)
    channels_last = ME.to_sparse(dense.movedim(1, -1), format="B" + "X" * axes + "C")
    assert torch.equal(channels_last.dense(dense.shape)[0], dense)
    torch_sparse, _low, _ = x.sparse(torch.zeros(axes).int(), torch.full((axes,), 4).int())
    assert torch.equal(torch_sparse.to_dense().movedim(-1, 1), dense)


def test_dense_with_a_stride_and_negative_coordinates():
    coordinates = torch.tensor([[0, -4], [0, 2]]).int()
    x = ME.SparseTensor(torch.tensor([[1.0], [2.0]], requires_grad=True), coordinates, tensor_stride=2)
    with pytest.raises(ValueError, match="negative"):
        x.dense()
    dense, _low, _stride = x.dense(min_coordinate=torch.IntTensor([-4]))
    assert dense.flatten().tolist() == [1, 0, 0, 2]
    dense.sum().backward()
    assert x.F.grad.flatten().tolist() == [1, 1]
    with pytest.raises(ValueError, match="has fewer"):
        x.dense(torch.Size([1, 1, 3]), torch.IntTensor([-4]))


def test_cat_needs_the_same_coordinates():
    coordinates, features = cloud(3)
    x = ME.SparseTensor(features, coordinates)
    assert torch.equal(ME.cat(x, x).F, torch.cat([features, features], dim=1))
    assert torch.equal(ME.cat([x, x, x]).F, torch.cat([features] * 3, dim=1))
    assert torch.equal(ME.sum(x, x, x).F, 3 * features)
    torch.testing.assert_close(ME.mean(x, x, x).F, features)
    torch.testing.assert_close(ME.var(x, x.with_features(3 * features)).F, features**2)
    stack = [torch.nn.Identity(), torch.nn.Identity()]
    assert torch.equal(ME.MinkowskiStackCat(*stack)(x).F, ME.cat(x, x).F)
    assert torch.equal(ME.MinkowskiStackSum(*stack)(x).F, 2 * features)
    with pytest.raises(AssertionError, match="coordinate_map_key"):
        ME.cat(x, ME.MinkowskiSumPooling(2, 2, dimension=3)(x))


def test_tensors_may_share_a_manager(shared_manager):
    coordinates, features = cloud(2)
    x, y = ME.SparseTensor(features, coordinates), ME.SparseTensor(features, coordinates)
    assert x.coordinate_manager is y.coordinate_manager is ME.global_coordinate_manager()
    assert x.coordinate_map_key != y.coordinate_map_key
    assert len(x + y) == len(x)


def test_errors_of_constructors():
    coordinates, features = cloud(3)
    x = ME.SparseTensor(features, coordinates)
    with pytest.raises(AssertionError, match="order-1"):
        ME.SparseTensor(features[:, 0], coordinates)
    with pytest.raises(AssertionError, match="number of rows"):
        ME.SparseTensor(features[1:], coordinates)
    with pytest.raises(ValueError, match="Either coordinates or"):
        ME.SparseTensor(features)
    with pytest.raises(ValueError, match="rows of features, but"):
        ME.SparseTensor(
            features[1:], None, coordinate_map_key=x.coordinate_map_key, coordinate_manager=x.coordinate_manager
        )
    key = ME.CoordinateMapKey([7, 7, 7])
    with pytest.raises(ValueError, match="not a map of this coordinate manager"):
        ME.SparseTensor(features, coordinate_map_key=key, coordinate_manager=x.coordinate_manager)
    with pytest.raises(ValueError, match="outside"):
        ME.SparseTensor(features[:1], torch.tensor([[0, *[2**30] * 3]]).int())
    with pytest.warns(UserWarning, match="implicitly converted"):
        y = ME.SparseTensor(features[:2], torch.tensor([[0, 0.5, -0.5, 1], [0, 2, 3, 4.9]]))
    assert y.C.tolist() == [[0, 0, -1, 1], [0, 2, 3, 4]]


def test_a_field_becomes_voxels_and_gets_their_features_back():
    generator = torch.Generator().manual_seed(0)
    points = torch.cat(
        [torch.randint(0, 2, (200, 1), generator=generator), 6 * torch.rand(200, 3, generator=generator) - 3], 1
    )
    features = torch.randn(200, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    field = ME.TensorField(features, points)
    x = field.sparse()
    cells = [tuple(row) for row in points.floor().int().tolist()]
    assert set(places(x.C)) == set(cells)
    assert len(x) == len(set(cells)) < 200
    for place, row in zip(places(x.C), x.F, strict=True):
        torch.testing.assert_close(row, features[[cell == place for cell in cells]].mean(0))
    back = x.slice(field)
    assert isinstance(back, ME.TensorField)
    assert torch.equal(back.C, points)
    rows = {place: row for row, place in enumerate(places(x.C))}
    assert torch.equal(back.F, x.F[[rows[cell] for cell in cells]])
    assert torch.equal(x.cat_slice(field).F, torch.cat([back.F, features], dim=1))
    coarse = ME.MinkowskiAvgPooling(2, 2, dimension=3)(x)
    corners = [(item, *(value // 2 * 2 for value in place)) for item, *place in cells]
    rows = {place: row for row, place in enumerate(places(coarse.C))}
    assert torch.equal(coarse.slice(field).F, coarse.F[[rows[corner] for corner in corners]])
    again = field.sparse(coordinate_map_key=coarse.coordinate_map_key)
    assert again.coordinate_map_key == coarse.coordinate_map_key
    wide = field.sparse(tensor_stride=2)
    assert wide.tensor_stride == [2, 2, 2]
    assert set(places(wide.C)) == set(corners)
    pruned = ME.MinkowskiPruning()(x, torch.arange(len(x)) > 0)
    with pytest.raises(ValueError, match="lie in no cell"):
        pruned.slice(field)


def test_slicing_a_merged_tensor_returns_to_its_rows():
    coordinates, features = repeated()
    x = ME.SparseTensor(features, coordinates, quantization_mode=MODE.UNWEIGHTED_AVERAGE)
    back = x.slice(x)
    assert torch.equal(back.F, x.F[x.inverse_mapping])
    assert torch.equal(back.C, coordinates.float())


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
def test_interpolation_is_linear_between_voxels(axes):
    grid = torch.cartesian_prod(*[torch.arange(-3, 4)] * axes).reshape(-1, axes) * 2
    slope = torch.arange(1.0, axes + 1, dtype=torch.float64)
    x = ME.SparseTensor(
        (grid * slope).sum(1, keepdim=True) + 5, torch.nn.functional.pad(grid, (1, 0)).int(), tensor_stride=2
    )
    points = 10 * torch.rand(30, axes, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 5
    queries = torch.nn.functional.pad(points, (1, 0))
    torch.testing.assert_close(x.features_at_coordinates(queries).flatten(), (points * slope).sum(1) + 5)
    _out, (_voxels, rows), weights = ME.MinkowskiInterpolation(return_kernel_map=True, return_weights=True)(x, queries)
    torch.testing.assert_close(
        torch.zeros(30, dtype=torch.float64).index_add(0, rows, weights), torch.ones(30).double()
    )
    outside = queries.clone()
    outside[:, 0] = 1  # no such batch item
    assert not x.features_at_coordinates(outside).any()


def test_a_splat_gives_each_corner_its_share():
    points = torch.tensor([[0, 0.25, 0.0], [0, -0.5, 2.5]])
    field = ME.TensorField(torch.tensor([[4.0], [8.0]]), points)
    x = field.splat()
    found = {place: float(value) for place, value in zip(places(x.C), x.F, strict=True) if value != 0}
    assert found == {(0, 0, 0): 3, (0, 1, 0): 1, (0, -1, 2): 2, (0, 0, 2): 2, (0, -1, 3): 2, (0, 0, 3): 2}
    assert torch.equal(x.interpolate(field).F, torch.tensor([[0.75 * 3 + 0.25], [2.0]]))
