"""Keys of any number of axes, and kernel maps from lists of offsets."""

from __future__ import annotations

import pytest
import torch

from ceco3d.sparse.maps import KeyLayout, build_kernel_map, build_offset_map, coordinates, kernel_offsets
from tests.helpers.minkowski import cloud, pairs_by_hand, places


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
def test_keys_sort_as_rows_do_and_lead_back_to_them(axes):
    rows, _ = cloud(axes)
    layout = KeyLayout.of(axes)
    keys = layout.pack(rows)
    assert torch.equal(layout.unpack(keys), rows)
    assert torch.equal(layout.batches(keys), rows[:, 0].long())
    assert rows[keys.argsort()].tolist() == sorted(rows.tolist())
    steps = torch.tensor([[1, -2, 3, -4][:axes]])
    assert torch.equal(layout.unpack(keys + layout.steps(steps))[:, 1:], (rows[:, 1:] + steps).int())


def test_three_axes_have_the_keys_of_the_plain_layers():
    rows, _ = cloud(3)
    layout = KeyLayout.of(3)
    assert torch.equal(layout.pack(rows), coordinates.pack(rows))
    assert torch.equal(layout.steps(kernel_offsets(3, 2)), coordinates.offset_keys(kernel_offsets(3, 2)))


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
def test_keys_are_rounded_down_axis_by_axis(axes):
    rows, _ = cloud(axes)
    layout, strides = KeyLayout.of(axes), [2, 3, 1, 4][:axes]
    expected = torch.cat([rows[:, :1], rows[:, 1:] // torch.tensor(strides) * torch.tensor(strides)], dim=1)
    assert torch.equal(layout.unpack(layout.round_down(layout.pack(rows), strides)), expected.int())
    origin = layout.unpack(layout.round_down(layout.pack(rows), [0] * axes))
    assert not origin[:, 1:].any()
    with pytest.raises(ValueError, match="a tensor stride of"):
        layout.round_down(layout.pack(rows), [1 << 20] * axes)


@pytest.mark.parametrize("row", [[1, 30000, -30000, 2, 1], [5000, 1, -1, 1, 1]])
def test_fields_are_as_wide_as_the_rows_need(row):
    layout, near, far = KeyLayout.of(4), torch.tensor([[0, 5, -5, 2, 1]]), torch.tensor([row])
    assert layout.fits(near[0].tolist(), near[0].tolist())
    assert not layout.fits(row, row)
    other = layout.holding([0, *row[1:]], row)
    assert other.fits(row, row)
    assert other.fits([0, 0, 0, 0, 0], [0, 0, 0, 0, 0])
    assert torch.equal(other.unpack(other.pack(far)), far.int())
    assert other.pack(near) < other.pack(far)


@pytest.mark.parametrize(
    ("axes", "row", "message"),
    [
        (3, [0, 1 << 20, 1 << 20, 1 << 20], "coordinate of axis 1 1048576 is outside -130048..130047; split"),
        (3, [1 << 30, 0, 0, 0], "batch index 1073741824 is outside 0..511"),
        (2, [-1, 0, 0], "batch index -1 is outside 0"),
        (4, [0, *[1 << 16] * 4], "coordinate of axis 1 65536 is outside"),
        (1, [0, 1 << 31], "coordinate of axis 1 2147483648 is outside"),
        (1, [1 << 31, 0], "batch index 2147483648 is outside"),
    ],
)
def test_what_no_key_holds_is_an_error(axes, row, message):
    with pytest.raises(ValueError, match=message):
        KeyLayout.of(axes).holding(row, row)


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
@pytest.mark.parametrize("same", [True, False])
def test_a_map_of_offsets_has_all_pairs_in_ascending_order(axes, same):
    offsets = torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0], [-1, 0, 0, 0], [2, -1, 1, 0], [-2, 1, -1, 0]])[:, :axes]
    layout = KeyLayout.of(axes)
    (ins, _), (outs, _) = cloud(axes, 0), cloud(axes, 0 if same else 1)
    in_keys = layout.pack(ins).sort().values
    out_keys = in_keys if same else layout.pack(outs).sort().values
    made = build_offset_map(in_keys, out_keys, layout.steps(offsets), 1)
    expected = pairs_by_hand(
        places(layout.unpack(in_keys)), places(layout.unpack(out_keys)), map(tuple, offsets.tolist())
    )
    numbers = torch.repeat_interleave(torch.arange(len(offsets)), torch.tensor(made.starts).diff())
    found = list(zip(numbers.tolist(), made.in_rows.tolist(), made.out_rows.tolist(), strict=True))
    assert found == sorted(expected, key=lambda pair: (pair[0], pair[2]))
    assert made.identity == (1 if same else None)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_cube_of_offsets_is_the_plain_map(size):
    keys = KeyLayout.of(3).pack(cloud(3)[0]).sort().values
    plain = build_kernel_map(keys, keys, size, 1)
    other = build_offset_map(keys, keys.clone(), coordinates.offset_keys(kernel_offsets(size, 1)), 1)
    assert torch.equal(plain.in_rows, other.in_rows)
    assert torch.equal(plain.out_rows, other.out_rows)
    assert plain.starts == other.starts
