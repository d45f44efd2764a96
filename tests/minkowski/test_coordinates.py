"""The coordinate manager: keys, maps, kernel maps as MinkowskiEngine returns them."""

from __future__ import annotations

import pytest
import torch

import ceco3d.minkowski as ME
from ceco3d.minkowski import kernel_maps
from tests.helpers.minkowski import cell, cloud, cube, pairs_by_hand, places


def manager_of(axes: int, seed: int = 0) -> tuple[ME.CoordinateManager, ME.CoordinateMapKey, torch.Tensor]:
    """A manager with one map, its key and its coordinates."""
    coordinates, _ = cloud(axes, seed)
    manager = ME.CoordinateManager(D=axes)
    key, _ = manager.insert_and_map(coordinates, [1] * axes, "")
    return manager, key, coordinates


def test_keys_are_names():
    key = ME.CoordinateMapKey([2, 2], "a")
    assert key == ME.CoordinateMapKey([2, 2], "a") != ME.CoordinateMapKey([2, 2])
    assert {key: 1}[ME.CoordinateMapKey([2, 2], "a")] == 1
    assert key.get_key() == ([2, 2], "a")
    assert key.get_tensor_stride() == [2, 2]
    assert key.get_coordinate_size() == 3
    assert str(key) == "coordinate map key:[2, 2]:a"
    unset = ME.CoordinateMapKey(3)
    assert not unset.is_key_set()
    assert unset != ME.CoordinateMapKey(3)
    with pytest.raises(RuntimeError, match="Key not set"):
        unset.get_key()
    with pytest.raises(ValueError, match="2 axes"):
        unset.set_key([1, 1, 1], "")
    unset.set_key([2, 2], "a")
    assert unset == key


def test_a_taken_name_gets_another_string():
    manager, key, coordinates = manager_of(2)
    again, _ = manager.insert_and_map(coordinates)
    assert again != key
    assert again.get_tensor_stride() == [1, 1]
    assert torch.equal(manager.get_coordinates(again), coordinates)
    assert torch.equal(manager.get_coordinates(1), coordinates)
    with pytest.raises(AssertionError, match="no coordinate map at tensor stride 7"):
        manager.get_coordinates(7)
    assert "60 rows" in repr(manager) or f"{len(coordinates)} rows" in repr(manager)


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
@pytest.mark.parametrize("transpose", [False, True])
def test_kernel_maps_are_rows_of_features(axes, transpose):
    manager, key, coordinates = manager_of(axes)
    coarse = manager.stride(key, 2)
    assert manager.stride(key, [2] * axes) == coarse
    out = places(manager.get_coordinates(coarse))
    assert set(out) == {cell(place, [2] * axes) for place in places(coordinates)}
    ends = (coarse, key) if transpose else (key, coarse)
    found = manager.kernel_map(*ends, stride=2, kernel_size=3, is_transpose=transpose)
    expected = pairs_by_hand(places(coordinates), out, cube([3] * axes, [1] * axes))
    pairs = {(k, *row) for k, rows in found.items() for row in rows.t().tolist()}
    assert pairs == {(k, target, source) if transpose else (k, source, target) for k, source, target in expected}
    assert all(rows.dtype == torch.int32 and rows.shape[1] > 0 for rows in found.values())
    cells = manager.kernel_map(key, coarse, 2, 2, is_pool=True)
    assert {(places(coordinates)[a], out[b]) for a, b in cells[0].t().tolist()} == {
        (place, cell(place, [2] * axes)) for place in places(coordinates)
    }
    ins, outs = manager.stride_map(key, coarse)
    assert torch.equal(ins, torch.arange(len(coordinates)))
    assert [out[row] for row in outs] == [cell(place, [2] * axes) for place in places(coordinates)]


def test_origin_has_a_row_for_each_batch_item():
    manager, key, coordinates = manager_of(3)
    origin = manager.origin()
    assert origin.get_tensor_stride() == [0, 0, 0]
    assert manager.number_of_unique_batch_indices() == manager.size(origin) == 2
    items, rows = manager.origin_map(key)
    assert items.tolist() == [0, 1]
    for item in range(2):
        assert torch.equal(rows[item], (coordinates[:, 0] == item).nonzero()[:, 0])
    manager.insert_and_map(torch.tensor([[7, 0, 0, 0]]).int(), 1, "late")
    with pytest.raises(ValueError, match="after the origin map was made"):
        manager.batch_rows(ME.CoordinateMapKey([1, 1, 1], "late"))


@pytest.mark.parametrize(
    "far", [[[0, 4000, 9000, 1, 1]], [[300, 4000, -9000, 20, -20]], [[9, 0, 0, 0], [700, 3, 2, 1]], [[600, 1, 3]]]
)
def test_a_map_with_far_coordinates_changes_no_other(far):
    rows = torch.tensor(far).int()
    axes = rows.shape[1] - 1
    torch.manual_seed(0)
    conv = ME.MinkowskiConvolution(3, 2, kernel_size=3, dimension=axes).double()
    coordinates, features = cloud(axes)
    x = ME.SparseTensor(features, coordinates)
    before, down = conv(x), ME.MinkowskiMaxPooling(2, 2, dimension=axes)(x)
    y = ME.SparseTensor(torch.ones(len(rows), 3).double(), rows, coordinate_manager=x.coordinate_manager)
    assert torch.equal(y.C, rows)
    assert torch.equal(conv(x).F, before.F)
    assert torch.equal(ME.MinkowskiMaxPooling(2, 2, dimension=axes)(x).F, down.F)
    again = ME.SparseTensor(features, torch.cat([coordinates]), coordinate_manager=x.coordinate_manager)
    torch.testing.assert_close(conv(again).F, before.F)
    assert len(x + y) == len(set(places(coordinates)) | set(places(rows)))


FAR = [(1, [[0, 1 << 32]]), (1, [[0, -(1 << 32)]]), (3, [[1 << 32, 0, 0, 0]]), (3, [[0, 1 << 32, 0, 0]])]


@pytest.mark.parametrize("kind", [torch.int64, torch.float64])
@pytest.mark.parametrize(("axes", "row"), FAR)
def test_coordinates_that_int32_cannot_hold_are_an_error(axes, row, kind):
    far, features = torch.tensor(row).to(kind), torch.zeros(1, 3)
    with pytest.raises(ValueError, match="is outside"):
        ME.SparseTensor(features, far)
    near = ME.SparseTensor(features, torch.zeros(1, 1 + axes).int())
    with pytest.raises(ValueError, match="is outside"):
        ME.MinkowskiConvolution(3, 2, kernel_size=3, dimension=axes)(near, far)
    field = ME.TensorField(features, far)
    with pytest.raises(ValueError, match="is outside"):
        field.sparse()


def test_fields_of_many_batch_items_are_pooled_item_by_item():
    points = torch.tensor([[0, 0.5], [600, 1.5], [0, 2.5]])
    x = ME.TensorField(torch.tensor([[1.0], [2.0], [4.0]]), points)
    pooled = ME.MinkowskiGlobalSumPooling()(x)
    assert pooled.C[:, 0].tolist() == [0, 600]
    assert pooled.F.flatten().tolist() == [5, 2]


def test_a_kernel_that_leaves_the_range_of_keys_is_an_error():
    coordinates, features = cloud(4)
    x = ME.SparseTensor(features.float(), coordinates)
    with pytest.raises(ValueError, match="reaches 2000 voxels"):
        ME.MinkowskiConvolution(3, 2, kernel_size=3, dilation=2000, dimension=4)(x)
    with pytest.raises(ValueError, match="a tensor stride of 2000"):
        ME.MinkowskiConvolution(3, 2, kernel_size=2, stride=2000, dimension=4)(x)


def test_cubes_in_space_take_the_kernels_of_triton(monkeypatch):
    tiled = pytest.importorskip("ceco3d.sparse.triton")
    from ceco3d.sparse.kernels.triton_launch import interpreted

    if not interpreted():
        pytest.skip("the interpreter is not used where there is a GPU")
    coordinates, features = cloud(3)
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        ME.MinkowskiConvolution(3, 4, kernel_size=3, dimension=3),
        ME.MinkowskiConvolution(4, 4, kernel_size=2, stride=2, dimension=3),
        ME.MinkowskiConvolutionTranspose(4, 2, kernel_size=2, stride=2, dimension=3),
    )
    found = []
    for engine in (None, tiled):
        if engine is not None:
            monkeypatch.setattr(kernel_maps, "layers", lambda: tiled)
        values = features.float().requires_grad_()
        y = layers(ME.SparseTensor(values, coordinates))
        y.F.square().sum().backward()
        found.append((y.F, values.grad))
        pair = next(made for name, made in y.coordinate_manager._maps.items() if name[0] == "pair")
        assert any("tile" in build.__name__ for build, *_ in pair._made) == (engine is tiled)
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
