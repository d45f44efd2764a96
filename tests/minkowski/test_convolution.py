"""Convolutions against loops and dense convolutions in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import ceco3d.minkowski as ME
from tests.helpers.minkowski import cell, cloud, convolve_by_hand, cross, cube, moved, pairs_by_hand, places

AXES = (1, 2, 3, 4)


def layer(kind: type, axes: int, **arguments: object) -> torch.nn.Module:
    """A float64 layer of 3 and 2 channels."""
    torch.manual_seed(1)
    return kind(3, 2, dimension=axes, **arguments).double()


def weight_of(layer: torch.nn.Module) -> Tensor:
    return layer.kernel.detach().reshape(-1, 3, 2)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize(
    ("size", "stride", "dilation"), [(3, 1, 1), (3, 2, 1), (2, 2, 1), (3, 1, 2), (2, 1, 3), (1, 2, 1)]
)
def test_a_convolution_sums_over_the_offsets_of_a_cube(axes, size, stride, dilation):
    coordinates, features = cloud(axes)
    conv = layer(ME.MinkowskiConvolution, axes, kernel_size=size, stride=stride, dilation=dilation, bias=True)
    y = conv(ME.SparseTensor(features, coordinates))
    assert set(places(y.C)) == {cell(place, [stride] * axes) for place in places(coordinates)}
    assert y.tensor_stride == [stride] * axes
    pairs = pairs_by_hand(places(coordinates), places(y.C), cube([size] * axes, [dilation] * axes))
    expected = convolve_by_hand(features, weight_of(conv), pairs, len(y)) + conv.bias
    torch.testing.assert_close(y.F, expected)


@pytest.mark.parametrize("axes", AXES)
def test_a_convolution_takes_a_size_a_stride_and_a_dilation_for_each_axis(axes):
    sizes, strides, dilations = [3, 2, 1, 3][:axes], [1, 2, 3, 1][:axes], [2, 1, 1, 1][:axes]
    coordinates, features = cloud(axes)
    conv = layer(ME.MinkowskiConvolution, axes, kernel_size=sizes, stride=strides, dilation=dilations)
    again = layer(ME.MinkowskiConvolution, axes, kernel_size=sizes)
    again.in_channels = 2
    again.kernel = torch.nn.Parameter(again.kernel.detach()[..., :2, :].contiguous())
    x = ME.SparseTensor(features, coordinates)
    y = conv(x)
    assert y.tensor_stride == strides
    pairs = pairs_by_hand(places(coordinates), places(y.C), cube(sizes, dilations))
    torch.testing.assert_close(y.F, convolve_by_hand(features, weight_of(conv), pairs, len(y)))
    z = again(y)  # offsets are multiples of the tensor stride
    pairs = pairs_by_hand(places(y.C), places(z.C), cube(sizes, strides))
    expected = convolve_by_hand(y.F.detach(), again.kernel.detach().reshape(-1, 2, 2), pairs, len(z))
    torch.testing.assert_close(z.F, expected)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize(("size", "stride", "dilation"), [(3, 1, 1), (5, 2, 1), (3, 1, 2)])
def test_a_cross_has_its_center_and_the_neighbors_along_the_axes(axes, size, stride, dilation):
    coordinates, features = cloud(axes)
    region = ME.KernelGenerator(size, stride, dilation, region_type=ME.RegionType.HYPER_CROSS, dimension=axes)
    conv = layer(ME.MinkowskiConvolution, axes, kernel_generator=region)
    y = conv(ME.SparseTensor(features, coordinates))
    offsets = cross([size] * axes, [dilation] * axes)
    assert conv.kernel.shape[0] == len(offsets) == axes * (size - 1) + 1
    pairs = pairs_by_hand(places(coordinates), places(y.C), offsets)
    torch.testing.assert_close(y.F, convolve_by_hand(features, weight_of(conv), pairs, len(y)))


@pytest.mark.parametrize("axes", AXES)
def test_custom_offsets_are_multiples_of_the_tensor_stride(axes):
    offsets = torch.tensor([[0, 0, 0, 0], [1, -2, 0, 1], [-1, 0, 0, 0], [3, 0, 1, 0]])[:, :axes].int()
    coordinates, features = cloud(axes, count=200, stride=2)
    region = ME.KernelGenerator(region_type=ME.RegionType.CUSTOM, region_offsets=offsets, dimension=axes)
    conv = layer(ME.MinkowskiConvolution, axes, kernel_generator=region)
    y = conv(ME.SparseTensor(features, coordinates, tensor_stride=2))
    pairs = pairs_by_hand(places(coordinates), places(y.C), [tuple(2 * v for v in row) for row in offsets.tolist()])
    assert len({k for k, *_ in pairs}) > 1
    torch.testing.assert_close(y.F, convolve_by_hand(features, weight_of(conv), pairs, len(y)))


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("size", "stride", "dilation"), [(3, 1, 1), (3, 2, 1), (5, 1, 1), (3, 1, 2), (2, 2, 1)])
def test_on_a_full_grid_it_is_the_dense_convolution(axes, size, stride, dilation):
    dense = torch.randn(2, 3, *[6] * axes, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    conv = layer(ME.MinkowskiConvolution, axes, kernel_size=size, stride=stride, dilation=dilation, bias=True)
    y = conv(ME.to_sparse_all(dense))
    weight = weight_of(conv).reshape(*[size] * axes, 3, 2)  # the last axis is the first one here
    weight = weight.permute(-1, -2, *reversed(range(axes)))
    convolve = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    padding = size // 2 * dilation if size % 2 else 0
    expected = convolve(dense, weight, conv.bias.flatten(), stride, padding, dilation)
    torch.testing.assert_close(y.dense()[0], expected)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (3, 3), (3, 1)])
def test_a_transposed_convolution_returns_to_the_finer_map(axes, size, stride):
    coordinates, _ = cloud(axes)
    manager = ME.SparseTensor(torch.zeros(len(coordinates), 1), coordinates).coordinate_manager
    fine = manager.get_coordinate_map_keys(1)[0]
    coarse = manager.stride(fine, stride)
    torch.manual_seed(0)
    features = torch.randn(manager.size(coarse), 3, dtype=torch.float64)
    x = ME.SparseTensor(features, coordinate_map_key=coarse, coordinate_manager=manager)
    conv = layer(ME.MinkowskiConvolutionTranspose, axes, kernel_size=size, stride=stride, bias=True)
    y = conv(x)
    assert y.coordinate_map_key == fine
    assert torch.equal(y.C, coordinates)
    pairs = pairs_by_hand(places(y.C), places(x.C), cube([size] * axes, [1] * axes))
    swapped = [(k, source, target) for k, target, source in pairs]
    torch.testing.assert_close(y.F, convolve_by_hand(features, weight_of(conv), swapped, len(y)) + conv.bias)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (3, 1)])
def test_a_generative_convolution_makes_all_voxels_that_it_reaches(axes, size, stride):
    coordinates, features = cloud(axes, stride=2 * stride)
    x = ME.SparseTensor(features, coordinates, tensor_stride=2 * stride)
    conv = layer(ME.MinkowskiGenerativeConvolutionTranspose, axes, kernel_size=size, stride=stride)
    y = conv(x)
    offsets = cube([size] * axes, [2] * axes)
    assert y.tensor_stride == [2] * axes
    assert set(places(y.C)) == {moved(place, offset) for place in places(coordinates) for offset in offsets}
    pairs = pairs_by_hand(places(y.C), places(coordinates), offsets)
    swapped = [(k, source, target) for k, target, source in pairs]
    torch.testing.assert_close(y.F, convolve_by_hand(features, weight_of(conv), swapped, len(y)))


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("stride", [1, 2])
def test_expand_coordinates_makes_all_voxels_that_the_kernel_reaches(axes, stride):
    coordinates, features = cloud(axes)
    conv = layer(ME.MinkowskiConvolution, axes, kernel_size=3, stride=stride, expand_coordinates=True)
    y = conv(ME.SparseTensor(features, coordinates))
    offsets = cube([3] * axes, [1] * axes)
    reached = {moved(place, offset) for place in places(coordinates) for offset in offsets}
    assert set(places(y.C)) == {place for place in reached if cell(place, [stride] * axes) == place}
    pairs = pairs_by_hand(places(coordinates), places(y.C), offsets)
    torch.testing.assert_close(y.F, convolve_by_hand(features, weight_of(conv), pairs, len(y)))


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("given", ["tensor", "key", "sparse tensor"])
def test_a_layer_computes_on_given_coordinates(axes, given):
    coordinates, features = cloud(axes, 0)
    others, _ = cloud(axes, 1)
    x = ME.SparseTensor(features, coordinates)
    other = ME.SparseTensor(torch.zeros(len(others), 1), others, coordinate_manager=x.coordinate_manager)
    target = {"tensor": others, "key": other.coordinate_map_key, "sparse tensor": other}[given]
    conv = layer(ME.MinkowskiConvolution, axes, kernel_size=3)
    y = conv(x, target)
    assert torch.equal(y.C, others)
    pairs = pairs_by_hand(places(coordinates), places(others), cube([3] * axes, [1] * axes))
    torch.testing.assert_close(y.F, convolve_by_hand(features, weight_of(conv), pairs, len(y)))


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("shift", [0, 1])
def test_coordinates_need_not_be_multiples_of_the_stride(axes, shift):
    coordinates, features = cloud(axes, 0, stride=2)
    coordinates[:, -1] += shift
    finer, _ = cloud(axes, 1, count=200)
    x = ME.SparseTensor(features, coordinates, tensor_stride=2)
    other = ME.SparseTensor(torch.zeros(len(finer), 1), finer, coordinate_manager=x.coordinate_manager)
    conv = layer(ME.MinkowskiConvolution, axes, kernel_size=3)
    for y in (conv(x, other), conv(x)):
        pairs = pairs_by_hand(places(coordinates), places(y.C), cube([3] * axes, [2] * axes))
        assert len(pairs) > 20
        torch.testing.assert_close(y.F, convolve_by_hand(features, weight_of(conv), pairs, len(y)))
    up = layer(ME.MinkowskiGenerativeConvolutionTranspose, axes, kernel_size=2, stride=2)(x)
    reached = {moved(place, offset) for place in places(coordinates) for offset in cube([2] * axes, [1] * axes)}
    assert set(places(up.C)) == reached


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (2, 2)])
def test_a_channelwise_convolution_multiplies_each_channel_by_itself(axes, size, stride):
    coordinates, features = cloud(axes)
    torch.manual_seed(1)
    conv = ME.MinkowskiChannelwiseConvolution(3, kernel_size=size, stride=stride, bias=True, dimension=axes).double()
    y = conv(ME.SparseTensor(features, coordinates))
    pairs = pairs_by_hand(places(coordinates), places(y.C), cube([size] * axes, [1] * axes))
    full = torch.diag_embed(conv.kernel.detach())
    torch.testing.assert_close(y.F, convolve_by_hand(features, full, pairs, len(y)) + conv.bias)


@pytest.mark.parametrize("axes", [1, 3, 4])
@pytest.mark.parametrize("kind", ["convolution", "transposed", "channelwise"])
def test_gradients_are_those_of_the_sums(axes, kind):
    coordinates, features = cloud(axes, count=12)
    fine = ME.SparseTensor(features, coordinates)
    if kind == "channelwise":
        conv = ME.MinkowskiChannelwiseConvolution(3, kernel_size=3, dimension=axes).double()
    elif kind == "convolution":
        conv = layer(ME.MinkowskiConvolution, axes, kernel_size=3, stride=2, dilation=2)
    else:
        conv = layer(ME.MinkowskiConvolutionTranspose, axes, kernel_size=3, stride=2)
    key = fine.coordinate_map_key
    if kind == "transposed":
        key = fine.coordinate_manager.stride(key, 2)

    def run(values: Tensor, kernel: Tensor) -> Tensor:
        x = ME.SparseTensor(values, coordinate_map_key=key, coordinate_manager=fine.coordinate_manager)
        out: Tensor = torch.func.functional_call(conv, {"kernel": kernel}, x).F
        return out

    values = torch.randn(fine.coordinate_manager.size(key), 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(run, (values, conv.kernel.detach().requires_grad_()), fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("axes", [2, 3])
def test_under_autocast_products_are_in_half_precision(dtype, axes):
    coordinates, features = cloud(axes)
    conv = layer(ME.MinkowskiConvolution, axes, kernel_size=3).float()
    exact = conv(ME.SparseTensor(features.float(), coordinates))
    values = features.float().requires_grad_()
    with torch.autocast("cpu", dtype=dtype):
        y = conv(ME.SparseTensor(values, coordinates))
    assert y.F.dtype == dtype
    y.F.float().square().sum().backward()
    assert conv.kernel.grad.dtype == values.grad.dtype == torch.float32
    torch.testing.assert_close(y.F.float(), exact.F, rtol=0.02, atol=0.02)


def test_initial_weights_are_minkowskiengines():
    torch.manual_seed(5)
    conv = ME.MinkowskiConvolution(4, 8, kernel_size=3, bias=True, dimension=2)
    torch.manual_seed(5)
    bound = (4 * 9) ** -0.5
    assert torch.equal(conv.kernel, torch.empty(9, 4, 8).uniform_(-bound, bound))
    assert torch.equal(conv.bias, torch.empty(1, 8).uniform_(-bound, bound))
    up = ME.MinkowskiConvolutionTranspose(4, 9, kernel_size=1, dimension=2)
    assert up.kernel.shape == (4, 9)
    assert up.kernel.abs().max() <= 1 / 3 < 1.2 * up.kernel.abs().max()


def test_errors_say_what_does_not_fit():
    coordinates, features = cloud(3)
    x = ME.SparseTensor(features.float(), coordinates)
    with pytest.raises(AssertionError, match="dimension=None"):
        ME.MinkowskiConvolution(3, 2, kernel_size=3)
    with pytest.raises(AssertionError, match="positive"):
        ME.MinkowskiConvolution(3, 2, kernel_size=0, dimension=3)
    with pytest.raises(AssertionError, match="must be odd"):
        ME.KernelGenerator(2, region_type=ME.RegionType.HYPER_CROSS, dimension=3)
    offsets = torch.zeros(2, 3).int()
    with pytest.raises(AssertionError, match="repeat"):
        ME.KernelGenerator(region_type=ME.RegionType.CUSTOM, region_offsets=offsets, dimension=3)
    with pytest.raises(AssertionError, match="3 axes, the layer 2"):
        ME.MinkowskiConvolution(3, 2, kernel_size=3, dimension=2)(x)
    with pytest.raises(ValueError, match="4 input channels, got 3"):
        ME.MinkowskiConvolution(4, 2, kernel_size=3, dimension=3)(x)
    with pytest.raises(ValueError, match=r"features are .*64 but weights .*32: pass features.to"):
        ME.MinkowskiConvolution(3, 2, kernel_size=1, dimension=3)(ME.SparseTensor(features, coordinates))
    with pytest.raises(ValueError, match="cannot be divided"):
        ME.MinkowskiConvolutionTranspose(3, 2, kernel_size=2, stride=2, dimension=3)(x)
    with pytest.raises(AssertionError, match="expected a SparseTensor, got Tensor"):
        ME.MinkowskiConvolution(3, 2, kernel_size=3, dimension=3)(x.F)
    with pytest.raises(ValueError, match="same coordinate manager"):
        ME.MinkowskiConvolution(3, 2, kernel_size=3, dimension=3)(x, ME.SparseTensor(features, coordinates))
