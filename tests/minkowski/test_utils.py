"""Quantization, collation, initial values and the summary: against MinkowskiEngine, and against plain loops."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import nn

from ceco3d.minkowski import utils
from tests.helpers.minkowski_engine import minkowski_engine, needs_minkowski


def points(seed: int = 0, count: int = 500, axes: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-4, 4, (count, axes))


def voxels_by_hand(rows, labels=None, ignore=-100):
    """Index, inverse and labels of the distinct rows, in the order of their first occurrence."""
    place: dict[tuple[int, ...], int] = {}
    index, inverse, found = [], [], []
    for number, row in enumerate(map(tuple, rows.tolist())):
        if row not in place:
            place[row] = len(index)
            index.append(number)
            found.append(None if labels is None else int(labels[number]))
        elif labels is not None and found[place[row]] != int(labels[number]):
            found[place[row]] = ignore
        inverse.append(place[row])
    return index, inverse, found


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("size", [None, 1, 0.5, [0.5, 1.0, 2.0]])
def test_voxels_come_in_the_order_of_their_first_points(kind, size):
    given = points()
    features = np.random.default_rng(1).normal(size=(500, 4))
    floored = np.floor(given / (1 if size is None else np.asarray(size))).astype(np.int32)
    if kind == "torch":
        given, features = torch.from_numpy(given), torch.from_numpy(features)
    voxels, rows, index, inverse = utils.sparse_quantize(
        given, features, return_index=True, return_inverse=True, quantization_size=size
    )
    expected, back, _ = voxels_by_hand(floored)
    assert index.tolist() == expected
    assert inverse.tolist() == back
    assert (voxels.dtype, index.dtype) == (torch.int32, torch.int64)
    assert (voxels.numpy() == floored[expected]).all()
    assert type(rows) is type(features)
    assert (np.asarray(rows) == np.asarray(features)[expected]).all()


@pytest.mark.parametrize(
    "given", [np.array([[3e9, 0, 0]]), torch.tensor([[3e9, 0, 0]]), torch.tensor([[1 << 32, 0, 0]])]
)
def test_voxels_beyond_int32_are_an_error(given):
    with pytest.raises(ValueError, match="leave the range of int32"):
        utils.sparse_quantize(given)
    assert len(utils.sparse_quantize(given, quantization_size=10)) == 1


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("ignore", [-100, 255])
def test_a_voxel_with_several_labels_is_ignored(kind, ignore):
    given = points().astype(np.int32)
    labels = np.random.default_rng(2).integers(0, 2, 500)
    labels[::7] = ignore
    if kind == "torch":
        given, labels = torch.from_numpy(given), torch.from_numpy(labels)
    voxels, found, index, inverse = utils.sparse_quantize(
        given, labels=labels, ignore_label=ignore, return_index=True, return_inverse=True
    )
    expected, back, shared = voxels_by_hand(given, labels, ignore)
    assert (index.tolist(), inverse.tolist(), found.tolist()) == (expected, back, shared)
    assert {type(value) for value in (voxels, found, index, inverse)} == {type(given)}
    column = utils.sparse_quantize(given, labels=labels[:, None], ignore_label=ignore)[1]
    assert column.tolist() == shared
    assert ignore in shared
    assert len(set(shared)) > 1


def test_what_is_returned_follows_the_arguments():
    given = torch.tensor([[3, 3], [0, 0], [3, 3]], dtype=torch.int32)
    assert utils.sparse_quantize(given).tolist() == [[3, 3], [0, 0]]
    assert utils.sparse_quantize(given, return_maps_only=True).tolist() == [0, 1]
    maps = utils.sparse_quantize(given, return_index=True, return_inverse=True, return_maps_only=True)
    assert [m.tolist() for m in maps] == [[0, 1], [0, 1, 0]]
    voxels, index = utils.sparse_quantize(given, return_index=True)
    assert (voxels.tolist(), index.tolist()) == ([[3, 3], [0, 0]], [0, 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"coordinates": [[0, 0]]}, "must be an array or a tensor"),
        ({"coordinates": torch.zeros(3)}, "must be"),
        ({"features": torch.zeros(3, 1)}, "features must be"),
        ({"labels": torch.zeros(3)}, "3 labels"),
        ({"labels": torch.zeros(4)}, r"must be \(N,\) integers"),
        ({"labels": torch.zeros(4, 2).int()}, r"must be \(N,\) integers"),
        ({"return_inverse": True}, "return_index"),
        ({"quantization_size": [1.0, 2.0]}, "2 quantization sizes"),
    ],
)
def test_wrong_arguments_of_sparse_quantize_are_named(arguments, message):
    with pytest.raises(AssertionError, match=message):
        utils.sparse_quantize(**{"coordinates": torch.zeros(4, 3), **arguments})


def test_no_points_give_no_voxels():
    assert utils.sparse_quantize(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("scale", [1, 2**30])
def test_distinct_rows_are_found_whatever_the_range(scale):
    drawn = torch.from_numpy(np.random.default_rng(3).integers(-2, 2, (200, 7))) * scale
    index, inverse = utils.unique_coordinate_map(drawn)
    expected, back, _ = voxels_by_hand(drawn)
    assert (index.tolist(), inverse.tolist()) == (expected, back)


@needs_minkowski
@pytest.mark.parametrize("size", [None, 1, 0.25])
def test_sparse_quantize_equals_minkowskiengine(size):
    given, features = points().astype(np.float32), points(4)
    options = {"return_index": True, "return_inverse": True, "quantization_size": size}
    for wrap in (np.asarray, torch.from_numpy):
        ours = utils.sparse_quantize(wrap(given), wrap(features), **options)
        theirs = minkowski_engine().utils.sparse_quantize(wrap(given), wrap(features), **options)
        for mine, other in zip(ours, theirs, strict=True):
            assert type(mine) is type(other)
            assert mine.dtype == other.dtype
            assert (np.asarray(mine) == np.asarray(other)).all()


@needs_minkowski
def test_hashes_and_maps_equal_minkowskiengine():
    given = points().astype(np.int32)
    theirs = minkowski_engine().utils
    assert (utils.fnv_hash_vec(given) == theirs.fnv_hash_vec(given)).all()
    assert (utils.ravel_hash_vec(given) == theirs.ravel_hash_vec(given)).all()
    ours, other = (side.unique_coordinate_map(torch.from_numpy(given)) for side in (utils, theirs))
    assert all((mine == value).all() for mine, value in zip(ours, other, strict=True))


def items(kind: str):
    """Three items of coordinates, features and labels, one without points."""
    made = [(points(seed, count), points(seed + 9, count, 2), np.arange(count)) for seed, count in enumerate((4, 0, 3))]
    return made if kind == "numpy" else [tuple(torch.from_numpy(array) for array in item) for item in made]


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", [torch.int32, torch.float32])
def test_batches_have_the_item_in_the_first_column(kind, dtype):
    coords, feats, labels = utils.batch_sparse_collate(items(kind), dtype=dtype)
    assert coords.dtype == dtype
    assert coords[:, 0].tolist() == [0] * 4 + [2] * 3
    every = np.concatenate([item[0] for item in items("numpy")])
    expected = np.floor(every) if dtype == torch.int32 else every.astype(np.float32)
    assert (coords[:, 1:].numpy() == expected).all()
    assert (feats.numpy() == np.concatenate([item[1] for item in items("numpy")])).all()
    assert labels.tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert torch.equal(utils.batched_coordinates([item[0] for item in items(kind)], dtype=dtype), coords)


@needs_minkowski
@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", [torch.int32, torch.float32])
def test_collation_equals_minkowskiengine(kind, dtype):
    theirs = minkowski_engine().utils
    for name in ("batch_sparse_collate", "SparseCollation"):
        ours, other = (
            getattr(side, name)(items(kind), dtype=dtype)
            if name == "batch_sparse_collate"
            else getattr(side, name)(dtype=dtype)(items(kind))
            for side in (utils, theirs)
        )
        for mine, value in zip(ours, other, strict=True):
            assert mine.dtype == value.dtype
            assert torch.equal(mine, value)


def test_labels_that_are_no_tensors_stay_a_list():
    coords, feats = [points(0, 2)] * 2, [points(1, 2)] * 2
    assert utils.sparse_collate(coords, feats, [7, 8])[2] == [7, 8]
    assert len(utils.sparse_collate(coords, feats)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"coords": [np.zeros((2, 3)), np.zeros((2, 2))]}, "same number of columns"),
        ({"coords": [np.zeros(2)]}, r"must be \(N, D\)"),
        ({"feats": [np.zeros((2, 1))]}, "4 rows of coordinates but 2"),
        ({"feats": np.zeros((2, 1))}, "features must be a sequence"),
        ({"dtype": torch.int64}, "not torch.int64"),
    ],
)
def test_wrong_arguments_of_collation_are_named(arguments, message):
    given = {"coords": [np.zeros((2, 3))] * 2, "feats": [np.zeros((2, 1))] * 2, **arguments}
    with pytest.raises(AssertionError, match=message):
        utils.sparse_collate(**given)


@pytest.mark.parametrize(("limit", "kept"), [(-1, 7), (0, 7), (7, 7), (6, 4), (4, 4)])
def test_a_limit_of_points_leaves_items_out_with_a_warning(limit, kept, caplog):
    with caplog.at_level(logging.WARNING):
        coords, _, _ = utils.SparseCollation(limit_numpoints=limit)(items("numpy"))
    assert len(coords) == kept
    assert bool(caplog.records) == (kept < 7)


@pytest.mark.parametrize("shape", [(27, 8, 16), (8, 16)])
@pytest.mark.parametrize("mode", ["fan_in", "fan_out"])
def test_kaiming_normal_draws_the_numbers_of_minkowskiengine(shape, mode):
    torch.manual_seed(0)
    kernel = utils.kaiming_normal_(torch.empty(shape), mode=mode, nonlinearity="relu")
    fan = {(27, 8, 16): (27 * 8, 27 * 16), (8, 16): (16, 8)}[shape][mode == "fan_out"]
    torch.manual_seed(0)
    assert torch.equal(kernel, torch.empty(shape).normal_(0, (2 / fan) ** 0.5))


@pytest.mark.parametrize(("shape", "mode"), [((3, 3), "fan"), ((3,), "fan_in")])
def test_kaiming_normal_names_what_is_wrong(shape, mode):
    with pytest.raises(ValueError, match="must"):
        utils.kaiming_normal_(torch.empty(shape), mode=mode)


class Field:
    """What a summary needs of its input."""

    F, C = torch.zeros(5, 3), torch.zeros(5, 4)


def test_the_summary_counts_each_parameter_once(capsys):
    first = nn.Linear(3, 4)
    first.bias.requires_grad_(False)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(first, nn.ReLU(), nn.Linear(4, 4))

        def forward(self, x):
            return self.body[2](self.body(x.F))

    assert utils.summary(Net(), Field()) == (16 + 20, 12 + 20)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[2:7]] == [
        ["Linear-1", "5x4"],
        ["ReLU-2", "5x4"],
        ["Linear-3", "5x4"],
        ["Linear-4", "5x4"],
        ["Net-5", "5x4"],
    ]
    assert not first._forward_hooks
