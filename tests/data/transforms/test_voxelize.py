"""Voxelization: round trips against a plain dictionary of voxels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ceco3d.data.transforms import voxelize

clouds = hnp.arrays(
    np.float32,
    st.tuples(st.integers(0, 60), st.just(3)),
    elements=st.one_of(st.floats(-3, 3, width=32), st.floats(-0.125, 0.125, width=32)),
)


def cells_of(coord, voxel_size):
    """Voxel of each point relative to the smallest: the formula, in NumPy."""
    cell = np.floor(coord / np.float32(voxel_size)).astype(np.int64)
    return cell - cell.min(0) if len(cell) else cell


@given(coord=clouds, voxel_size=st.sampled_from([0.02, 0.05, 0.5, 4.0]), seed=st.one_of(st.none(), st.integers(0, 9)))
@settings(max_examples=200, deadline=None)
def test_voxels_are_those_of_a_plain_dictionary(coord, voxel_size, seed):
    rng = None if seed is None else torch.Generator().manual_seed(seed)
    voxels = voxelize(torch.from_numpy(coord), voxel_size, rng)
    cells = cells_of(coord, voxel_size)
    assert (voxels.coord.dtype, voxels.index.dtype, voxels.inverse.dtype) == (torch.int32, torch.int64, torch.int64)
    assert voxels.coord.shape == (len(voxels), 3)
    assert len(voxels.inverse) == len(coord)
    assert np.array_equal(voxels.coord[voxels.inverse].numpy(), cells)
    assert np.array_equal(cells[voxels.index.numpy()], voxels.coord.numpy()), "a representative outside its voxel"
    rows = list(map(tuple, voxels.coord.tolist()))
    assert rows == sorted(set(map(tuple, cells.tolist()))), "every occupied voxel once, in lexicographic order"


@given(coord=clouds, voxel_size=st.sampled_from([0.05, 0.5]))
@settings(max_examples=50, deadline=None)
def test_without_generator_the_first_point_represents_its_voxel(coord, voxel_size):
    first = {}
    for i, cell in enumerate(map(tuple, cells_of(coord, voxel_size).tolist())):
        first.setdefault(cell, i)
    voxels = voxelize(torch.from_numpy(coord), voxel_size)
    assert {tuple(c): i for c, i in zip(voxels.coord.tolist(), voxels.index.tolist(), strict=True)} == first


def test_with_generator_every_point_of_a_voxel_is_equally_likely():
    coord = torch.tensor([[0.0, 0, 0], [5.0, 5, 5], [0.1, 0, 0], [0.2, 0, 0], [0.3, 0, 0], [5.1, 5, 5]])
    rng = torch.Generator().manual_seed(0)
    picks = torch.stack([voxelize(coord, 1.0, rng).index for _ in range(4000)])
    chance = torch.stack([torch.bincount(picks[:, voxel], minlength=6) for voxel in (0, 1)]) / 4000
    expected = [[0.25, 0, 0.25, 0.25, 0.25, 0], [0, 0.5, 0, 0, 0, 0.5]]
    np.testing.assert_allclose(chance, expected, atol=0.03)
    assert abs(np.corrcoef(picks[:, 0], picks[:, 1])[0, 1]) < 0.05, "voxels draw independently"


def test_grid_is_fixed_in_space():
    coord = torch.rand(2000, 3, generator=torch.Generator().manual_seed(0)) * 2
    voxels = voxelize(coord, 0.1, torch.Generator().manual_seed(1))
    again = voxelize(coord[voxels.index], 0.1)
    assert torch.equal(again.coord, voxels.coord)
    assert torch.equal(again.index, torch.arange(len(voxels)))


def test_large_grids_use_wide_keys():
    coord = torch.tensor([[0.0, 0, 0], [2e6, 2e6, 2e6], [0, 0, 2e6], [2e6, 0, 0], [0, 0, 0]])
    voxels = voxelize(coord, 1.0)
    assert voxels.coord.tolist() == [[0, 0, 0], [0, 0, 2000000], [2000000, 0, 0], [2000000, 2000000, 2000000]]
    assert voxels.inverse.tolist() == [0, 3, 1, 2, 0]


@pytest.mark.parametrize(
    ("coord", "voxel_size", "message"),
    [
        ([[0, 0, float("nan")], [0, 0, 0]], 0.1, "finite"),
        ([[0, float("inf"), 0], [0, 0, 0]], 0.1, "finite"),
        ([[0, 0, 0], [float("-inf"), 0, 0]], 0.1, "finite"),
        ([[0, 0, 0], [1e9, 0, 0]], 0.1, "outliers"),
        ([[0, 0, 0], [1e7, 1e7, 1e7]], 1.0, "outliers"),
        ([[0, 0, 0], [1e30, 0, 0]], 1.0, "outliers"),
        ([[0, 0, 0]], 0.0, "positive"),
        ([[0, 0, 0]], -1.0, "positive"),
    ],
)
def test_impossible_input_is_refused(coord, voxel_size, message):
    with pytest.raises(ValueError, match=message):
        voxelize(torch.tensor(coord, dtype=torch.float32), voxel_size)


@pytest.mark.parametrize("rng", [None, torch.Generator()])
def test_single_point_and_all_points_in_one_voxel(rng):
    assert voxelize(torch.tensor([[-7.3, 2.0, 1e4]]), 0.02, rng).coord.tolist() == [[0, 0, 0]]
    many = voxelize(torch.full((50, 3), 0.31), 0.02, rng)
    assert len(many) == 1
    assert many.inverse.tolist() == [0] * 50
