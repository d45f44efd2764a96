"""Weights that are cast together give the same bits as weights that each convolution casts for itself."""

import pytest
import torch
from torch import nn

from ceco3d import sparse
from ceco3d.sparse import SparseTensor, cast_weights
from tests.helpers.sparse import sparse_input

tiled = pytest.importorskip("ceco3d.sparse.triton")
from tests.helpers.kernel_inputs import DEVICE  # noqa: E402


def make_network(layers):
    torch.manual_seed(0)
    return nn.Sequential(layers.Convolution(3, 5, 3), layers.Convolution(5, 8, 2, stride=2, bias=True)).to(DEVICE)


def make_input():
    x, _ = sparse_input(0, density=0.05)
    return SparseTensor(x.features.detach().float().to(DEVICE), x.coordinates.to(DEVICE))


def casts(network):
    return [layer.cast for layer in network]


def test_the_same_bits_each_way_with_one_cast():
    x, found = make_input(), []
    for together in (False, True):
        network = make_network(tiled)
        with torch.autocast(DEVICE, torch.bfloat16):
            if together:
                with cast_weights(network, x):
                    out = network(x).rows
                    copies = casts(network)
            else:
                out = network(x).rows
        out.float().square().sum().backward()
        found.append([out.detach(), *(parameter.grad for parameter in network.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert {copy.dtype for copy in copies} == {torch.bfloat16}
    assert len({copy.untyped_storage().data_ptr() for copy in copies}) == 1
    assert all(copy.data_ptr() % 16 == 0 for copy in copies)


def test_nothing_is_left_behind():
    network, x = make_network(tiled), make_input()
    autocast = torch.autocast(DEVICE, torch.bfloat16)
    with pytest.raises(ValueError, match="of the caller"), autocast, cast_weights(network, x):
        raise ValueError("of the caller")
    assert casts(network) == [None, None]


@pytest.mark.parametrize(("layers", "dtype"), [(sparse, torch.bfloat16), (tiled, torch.float32)])
def test_what_needs_no_cast_gets_none(layers, dtype):
    network, x = make_network(layers), make_input()
    with torch.autocast(DEVICE, torch.bfloat16, enabled=dtype == torch.bfloat16), cast_weights(network, x):
        assert casts(network) == [None, None]
