"""The kernel maps of the Triton kernels: every pair once, rows in their order, few launches."""

from collections import Counter, defaultdict

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ceco3d.sparse.maps.coordinates import pack
from ceco3d.sparse.maps.kernel_map import KernelMap, build_kernel_map
from tests.helpers.sparse import sparse_input

pytest.importorskip("triton")
from ceco3d.sparse.kernels import triton_map
from tests.helpers.kernel_inputs import DEVICE, KERNELS, make_maps


def assert_holds(one: triton_map.TileMap, pairs: KernelMap):
    """``one`` holds ``pairs``, each once, and every list is as the docstring of TileMap says."""
    tiles, volume, tile = one.neighbors.shape
    assert (one.num_in, one.num_out, volume) == (pairs.num_in, pairs.num_out, len(pairs.starts) - 1)
    assert one.rows.sort().values.tolist() == [-1] * (tiles * tile - one.num_out) + list(range(one.num_out))
    assert (one.rows[: one.num_out] >= 0).all()
    found, blocks = [], []
    for number, count in enumerate(one.counts.tolist()):
        used, others = one.offsets[number].tolist()[:count], one.offsets[number].tolist()[count:]
        assert used == sorted(used)
        assert sorted(used + others) == list(range(volume))
        rows = one.rows[number * tile : (number + 1) * tile].tolist()
        for slot, k in enumerate(used):
            blocks.append((k, number * volume + slot))
            neighbors = one.neighbors[number, slot].tolist()
            assert any(row >= 0 for row in neighbors)
            assert all(row < 0 for row, out in zip(neighbors, rows, strict=True) if out < 0)
            found += [(k, row, out) for row, out in zip(neighbors, rows, strict=True) if row >= 0]
    offset = torch.repeat_interleave(torch.arange(volume), torch.tensor(pairs.starts).diff())
    wanted = zip(offset.tolist(), pairs.in_rows.tolist(), pairs.out_rows.tolist(), strict=True)
    assert sorted(found) == sorted(wanted)
    listed = [(k, one.blocks[k, at].item()) for k, count in enumerate(one.block_counts.tolist()) for at in range(count)]
    assert listed == sorted(blocks)


@pytest.mark.parametrize("kernel", KERNELS)
def test_tiles_hold_every_pair_once(kernel):
    pairs, maps = make_maps(kernel)
    assert_holds(maps.forward, pairs)
    if maps.mirrored:
        assert maps.backward is maps.forward
    else:
        assert_holds(maps.backward, pairs.transposed())


def line(count):
    """Keys of so many voxels in a row along x, and those of the next level."""
    coordinates = torch.nn.functional.pad(torch.arange(count).reshape(-1, 1) - 3, (1, 2))
    return pack(coordinates).to(DEVICE), pack((coordinates // 2 * 2).unique(dim=0)).to(DEVICE)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 129])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_tiny_levels_and_edges_of_tiles(count, size):
    fine, coarse = line(count)
    maps, pairs = (build(fine, coarse, size, 1) for build in (triton_map.build_tile_maps, build_kernel_map))
    assert_holds(maps.forward, pairs)
    assert_holds(maps.backward, pairs.transposed())


def test_wide_tiles_and_long_lists_of_blocks(monkeypatch):
    monkeypatch.setattr(triton_map, "tile_rows", lambda num_out: 128)
    monkeypatch.setattr(triton_map, "LISTED", 2)
    pairs, maps = make_maps("3", density=0.4)
    assert len(maps.forward.counts) > 4
    assert_holds(maps.forward, pairs)


@pytest.mark.parametrize(("kernel", "segment", "kind"), [("3", 64, "int32"), ("3", 1, "int64"), ("up", 64, "int16")])
def test_rows_are_sorted_by_segment_and_neighborhood(monkeypatch, kernel, segment, kind):
    monkeypatch.setattr(triton_map, "SEGMENT", segment)
    kinds, search = [], triton_map.search
    monkeypatch.setattr(triton_map, "search", lambda *args: kinds.append(found := search(*args)) or found)
    pairs, maps = make_maps(kernel)
    assert str(kinds[-1][1].dtype) == f"torch.{kind}"

    bits = triton_map.signature_bits(KERNELS[kernel][0])
    signatures = torch.zeros(pairs.num_out, dtype=torch.int64)
    for k, (start, end) in enumerate(zip(pairs.starts[:-1], pairs.starts[1:], strict=True)):
        signatures[pairs.out_rows[start:end].cpu()] |= 1 << int(bits[k])
    gray = [sum((signature >> bit).bit_count() % 2 << bit for bit in range(27)) for signature in signatures.tolist()]
    wanted = sorted(range(pairs.num_out), key=lambda row: (row // segment, gray[row], row))
    assert maps.forward.rows[: pairs.num_out].tolist() == wanted


def test_more_rows_than_32_bits_hold(monkeypatch):
    pairs, _ = make_maps("down")
    monkeypatch.setattr(triton_map, "_integer", lambda bits, smallest=None: torch.int64)
    _, maps = make_maps("down")
    assert_holds(maps.forward, pairs)
    assert_holds(maps.backward, pairs.transposed())


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_the_farthest_neighbors_have_the_highest_bits(size):
    bits = triton_map.signature_bits(size).reshape(size, size, size)
    assert sorted(set(bits.flatten().tolist())) == list(range(min(size, 3) ** 3))
    if size % 2:
        assert bits[size // 2, size // 2, size // 2] == 0
        assert bits[0, 0, 0] >= 19 or size == 1


def test_sorting_by_neighborhood_saves_products():
    """Fewer products with absent neighbors than in key order."""
    x, _ = sparse_input(0, batch=4, density=0.15)
    keys = x.manager.keys(1).to(DEVICE)
    pairs = build_kernel_map(keys, keys, 3, 1)
    columns, _ = triton_map.search(keys, keys, 3, 1, 1)
    unsorted = triton_map.arrange(columns, torch.arange(len(keys), device=DEVICE), len(keys), 1)
    assert_holds(unsorted, pairs)
    one = triton_map.build_tile_maps(keys, keys, 3, 1).forward
    assert pairs.num_pairs <= int(one.counts.sum()) * one.tile < int(unsorted.counts.sum()) * one.tile


class Launches(TorchDispatchMode):
    """Counts by name the operators of torch that compute."""

    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        self.found[name] += not func.is_view and name != "empty"
        return func(*args, **(kwargs or {}))


class Kernels:
    """In place of the kernels of ``triton_map``: their launches are counted, and nothing runs."""

    def __init__(self, found):
        self.found = found

    def __getattr__(self, name):
        return defaultdict(lambda: lambda *args, **kwargs: self.found.update([name]))


def test_a_map_takes_four_launches(monkeypatch):
    x, _ = sparse_input(0)
    fine = x.manager.keys(1)
    coarse = x.manager.keys(x.manager.downsample(1, 2))
    with Launches() as launches:
        monkeypatch.setattr(triton_map, "kernels", Kernels(launches.found))
        triton_map.build_tile_maps(fine, coarse, 2, 1)  # the first copies the offsets to the device
        launches.found.clear()
        triton_map.build_tile_maps(fine, coarse, 2, 1)
    assert +launches.found == {"search_columns": 2, "sort": 2, "fill_tiles": 2, "list_blocks": 2}
