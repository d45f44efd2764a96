"""The depth buffer against a loop over pixels and points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ceco3d.pretraining.visibility import visible
from ceco3d.visualization.camera import Camera
from ceco3d.visualization.depth_buffer import DepthBuffer, nearest_disc, nearest_square, ranks

SIZE = (9, 12)


def brute_force(covers, depth) -> np.ndarray:
    """(H, W) index of the nearest point for which ``covers(point, i, j)`` holds, the first one of equals, else -1."""
    nearest = np.full(SIZE, -1)
    for i, j in np.ndindex(SIZE):
        found = [(depth(k, i, j), k) for k in range(covers.count) if covers(k, i, j)]
        nearest[i, j] = min(found)[1] if found else -1
    return nearest


@given(st.integers(0, 2**31), st.integers(0, 12))
@settings(max_examples=25, deadline=None)
def test_squares_equal_a_loop_over_pixels(seed, count):
    rng = np.random.default_rng(seed)
    row, column, reach = (rng.integers(0, high, count) for high in (*SIZE, 4))
    depth = rng.choice([1.0, 1.5, 2.0, 2.0 + 1e-12], count)

    def covers(k, i, j):
        return max(abs(i - row[k]), abs(j - column[k])) <= reach[k]

    covers.count = count
    expected = brute_force(covers, lambda k, i, j: depth[k])
    np.testing.assert_array_equal(nearest_square(row, column, reach, depth, SIZE), expected)


@pytest.mark.parametrize("bulge", [0.0, 0.7])
@given(seed=st.integers(0, 2**31), count=st.integers(0, 12))
@settings(max_examples=25, deadline=None)
def test_discs_equal_a_loop_over_pixels(bulge, seed, count):
    rng = np.random.default_rng(seed)
    row, column = (rng.uniform(-2, side + 2, count) for side in SIZE)
    reach, depth = rng.uniform(0.1, 4, count), rng.uniform(1, 3, count)

    def off(k, i, j):
        return ((i + 0.5 - row[k]) ** 2 + (j + 0.5 - column[k]) ** 2) / reach[k] ** 2

    def covers(k, i, j):
        return off(k, i, j) <= 1 or (i, j) == (np.floor(row[k]), np.floor(column[k]))

    covers.count = count
    expected = brute_force(covers, lambda k, i, j: depth[k] + bulge * min(off(k, i, j), 1))
    np.testing.assert_array_equal(nearest_disc(row, column, reach, depth, SIZE, bulge), expected)


def test_equal_depths_show_the_first_point_and_large_indices_survive_dilation():
    buffer, last = DepthBuffer(SIZE), 2**32 - 1
    place = np.array([4, 4])
    buffer.draw(place, place, np.array([2**31 - 1] * 2), np.array([last, last - 1]))
    buffer.dilate()
    nearest = buffer.nearest()
    assert (nearest[3:6, 3:6] == last - 1).all()
    assert (nearest >= 0).sum() == 9


def test_ranks_keep_order_and_tell_all_depths_apart():
    assert ranks(np.array([3.0, 1.0, 1.0 + 2e-16, 1.0])).tolist() == [3, 0, 2, 1]


def test_a_camera_that_sees_nothing_has_an_empty_view():
    behind = np.array([[-1.0, 0, 0]], np.float32)
    assert visible(behind, behind * 0, Camera.looking(np.zeros(3), np.array([1.0, 0, 0])), 0.02).tolist() == []


@pytest.mark.parametrize("forward", [(2.0, 0, 0), (0.0, 0, -3), (0.3, -0.4, 0.5)])
def test_a_camera_looks_along_its_direction_with_a_level_horizon(forward):
    axes = Camera.looking(np.zeros(3), np.array(forward)).axes
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(axes[2], np.array(forward) / np.linalg.norm(forward))
    assert axes[0, 2] == pytest.approx(0)
