"""Sparse layers against dense convolution, and how they report bad input."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ceco3d.sparse import BatchNorm, Convolution, SparseTensor, TransposedConvolution, cat
from ceco3d.sparse.convolution import convolve
from ceco3d.sparse.kernels import native
from ceco3d.sparse.maps.coordinates import LIMIT, downsample, pack, unpack
from tests.helpers.sparse import SHIFT, SIZE, sparse_input


def scatter_dense(features, coordinates, size, shift=SHIFT, stride=1):
    """(B, C, X, Y, Z) grid; voxel c lies at index (c + shift) / stride."""
    batch = int(coordinates[:, 0].max()) + 1
    grid = features.new_zeros(batch, size, size, size, features.shape[1])
    b, x, y, z = coordinates.long().unbind(1)
    index = [(axis + shift) // stride for axis in (x, y, z)]
    return grid.index_put((b, *index), features).permute(0, 4, 1, 2, 3)


def gather_dense(grid, coordinates, shift=SHIFT, stride=1):
    b, x, y, z = coordinates.long().unbind(1)
    index = [(axis + shift) // stride for axis in (x, y, z)]
    return grid.permute(0, 2, 3, 4, 1)[(b, *index)]


def dense_weight(kernel, size):
    """(K^3, Cin, Cout), first axis fastest -> conv3d's (Cout, Cin, kx, ky, kz)."""
    cin, cout = kernel.shape[-2:]
    return kernel.reshape(size, size, size, cin, cout).permute(4, 3, 2, 1, 0)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_submanifold_equals_dense(kernel_size):
    x, features = sparse_input(kernel_size)
    layer = Convolution(3, 4, kernel_size, bias=True).double()
    out = layer(x).features
    weight = dense_weight(layer.kernel, kernel_size)
    grid = F.conv3d(scatter_dense(features, x.coordinates, SIZE), weight, layer.bias[0], padding=kernel_size // 2)
    expected = gather_dense(grid, x.coordinates)
    assert_equal_with_gradients(out, expected, [features, layer.kernel, layer.bias])


@pytest.mark.parametrize(("kernel_size", "stride"), [(2, 2), (3, 2)])
def test_strided_equals_dense(kernel_size, stride):
    x, features = sparse_input(kernel_size)
    layer = Convolution(3, 4, kernel_size, stride).double()
    y = layer(x)
    coarse = {tuple(c) for c in y.coordinates.tolist()}
    fine = x.coordinates.tolist()
    assert coarse == {(b, *(v // stride * stride for v in xyz)) for b, *xyz in fine}
    assert y.stride == stride
    shift, size = 6, 14  # an even shift keeps coarse cells aligned; the size leaves room for the border of a 3^3 kernel
    dense = F.conv3d(
        scatter_dense(features, x.coordinates, size, shift),
        dense_weight(layer.kernel, kernel_size),
        stride=stride,
        padding=kernel_size // 2 if kernel_size % 2 else 0,
    )
    expected = gather_dense(dense, y.coordinates, shift, stride)
    assert_equal_with_gradients(y.features, expected, [features, layer.kernel])


def test_transposed_equals_dense():
    x, features = sparse_input(7)
    down = Convolution(3, 4, 2, 2).double()
    up = TransposedConvolution(4, 5, 2, 2).double()
    coarse = down(x)
    y = up(coarse)
    assert torch.equal(y.coordinates, x.coordinates)
    shift = 6
    grid = scatter_dense(coarse.features, coarse.coordinates, 7, shift, stride=2)
    weight = dense_weight(up.kernel, 2).transpose(0, 1)
    expected = gather_dense(F.conv_transpose3d(grid, weight, stride=2), y.coordinates, shift)
    assert_equal_with_gradients(y.features, expected, [features, down.kernel, up.kernel])


def assert_equal_with_gradients(out, expected, inputs):
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    probe = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=out.dtype)
    got = torch.autograd.grad((out * probe).sum(), inputs, retain_graph=True)
    wanted = torch.autograd.grad((expected * probe).sum(), inputs)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("kind", "kernel_size", "stride"), [("conv", 3, 1), ("conv", 2, 2), ("transposed", 2, 2)])
def test_gradients_pass_gradcheck(kind, kernel_size, stride):
    x, features = sparse_input(3, batch=1, density=0.02, channels=2)
    x, features = SparseTensor(features.detach(), x.coordinates), features.detach().requires_grad_()
    weight = torch.randn(kernel_size**3, 2, 3, dtype=torch.float64, requires_grad=True)
    out_stride = x.manager.downsample(1, stride)
    kernel_map = x.manager.kernel_map(1, out_stride, kernel_size)
    if kind == "transposed":
        kernel_map = kernel_map.transposed()
        features = torch.randn(kernel_map.num_in, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f, w: convolve(f, w, kernel_map, native), (features, weight))


def test_kernel_offsets_run_first_axis_fastest():
    # One voxel at x = +1 from the center: in a 3^3 kernel that is offset ix=2, iy=1, iz=1 -> 2 + 3 + 9 = 14.
    layer = Convolution(1, 27, 3)
    with torch.no_grad():
        layer.kernel.copy_(torch.eye(27)[:, None, :])
    x = SparseTensor(torch.tensor([[0.0], [1.0]]), torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0]]))
    assert layer(x).features[0].nonzero().flatten().tolist() == [14]


def test_rows_come_back_in_the_callers_order():
    x, features = sparse_input(11)
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))
    layer = Convolution(3, 4, 3).double()
    shuffled = SparseTensor(features[order], x.coordinates[order])
    assert torch.equal(shuffled.features, features[order])
    torch.testing.assert_close(layer(shuffled).features, layer(x).features[order])


def test_batch_items_do_not_affect_each_other():
    x, features = sparse_input(13, batch=3)
    layer = Convolution(3, 4, 5).double()
    whole = layer(x).features
    for item in (0, 1, 2):
        rows = x.coordinates[:, 0] == item
        alone = layer(SparseTensor(features[rows], x.coordinates[rows])).features
        torch.testing.assert_close(whole[rows], alone)


@pytest.mark.parametrize("batch_index", [[0, 2], [1], [7]])
def test_missing_batch_items_work(batch_index):
    coordinates = torch.tensor([[b, 0, 0, 0] for b in batch_index])
    x = SparseTensor(torch.ones(len(batch_index), 2), coordinates)
    y = Convolution(2, 3, 3)(x)
    assert torch.equal(y.coordinates, coordinates.int())


@pytest.mark.parametrize("count", [0, 1])
def test_empty_and_single_voxel(count):
    x = SparseTensor(torch.ones(count, 2, requires_grad=True), torch.zeros(count, 4, dtype=torch.int32))
    y = BatchNorm(4)(Convolution(2, 4, 2, 2)(BatchNorm(2)(x)))
    z = TransposedConvolution(4, 5, 2, 2)(y)
    assert z.features.shape == (count, 5)
    z.features.sum().backward()
    assert y.coordinates.shape == (count, 4)


def test_cat_and_add_need_the_same_voxels():
    x, _ = sparse_input(1)
    other, _ = sparse_input(2)
    assert cat([x, x]).features.shape[1] == 6
    torch.testing.assert_close((x + x).features, 2 * x.features)
    for combine in (lambda: cat([x, other]), lambda: x + other, lambda: cat([x, Convolution(3, 3, 2, 2).double()(x)])):
        with pytest.raises(ValueError, match="share their coordinates"):
            combine()


def test_a_transposed_convolution_needs_a_finer_level():
    x, _ = sparse_input(1)
    with pytest.raises(ValueError, match="stride 1 up by a factor of 2"):
        TransposedConvolution(3, 3, 2, 2).double()(x)


GOOD = (torch.ones(2, 3), torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0]]))


@pytest.mark.parametrize(
    ("features", "coordinates", "message"),
    [
        (GOOD[0], torch.zeros(2, 4, dtype=torch.int32), "must be unique"),
        (GOOD[0], torch.tensor([[0, 0, 0, 0], [0, LIMIT + 1, 0, 0]]), "x coordinate"),
        (GOOD[0], torch.tensor([[0, 0, 0, 0], [0, 0, 0, -LIMIT - 1]]), "z coordinate"),
        (GOOD[0], torch.tensor([[0, 0, 0, 0], [512, 0, 0, 0]]), "batch index 512"),
        (GOOD[0], torch.tensor([[0, 0, 0, 0], [-1, 0, 0, 0]]), "batch index -1"),
        (GOOD[0], GOOD[1].float(), "must be integers"),
        (GOOD[0], GOOD[1][:, :3], r"shape \(N, 4\)"),
        (GOOD[0], GOOD[1][:1], "2 feature rows but 1"),
        (GOOD[0].long(), GOOD[1], r"\(N, C\) float"),
        (GOOD[0][:, 0], GOOD[1], r"\(N, C\) float"),
        (torch.tensor([[1.0], [float("nan")]]), GOOD[1], "NaN or infinity"),
    ],
)
def test_bad_input_is_named(features, coordinates, message):
    with pytest.raises(ValueError, match=message):
        SparseTensor(features, coordinates)


def test_wrong_channels_are_named():
    with pytest.raises(ValueError, match="expected 4 input channels, got 3"):
        Convolution(4, 8, 3)(SparseTensor(*GOOD))


@given(st.lists(st.tuples(st.integers(0, 511), *[st.integers(-LIMIT, LIMIT)] * 3), max_size=20))
@settings(deadline=None)
def test_keys_round_trip_and_sort(rows):
    coordinates = torch.tensor(rows, dtype=torch.int32).reshape(-1, 4)
    keys = pack(coordinates)
    assert torch.equal(unpack(keys), coordinates)
    assert [rows[i] for i in keys.argsort().tolist()] == sorted(rows)


@given(
    st.lists(st.tuples(st.integers(0, 3), *[st.integers(-40, 40)] * 3), min_size=1, max_size=20),
    st.sampled_from([2, 3, 4]),
)
@settings(deadline=None)
def test_downsample_floors(rows, stride):
    keys = downsample(pack(torch.tensor(rows)).unique(), stride)
    assert set(map(tuple, unpack(keys).tolist())) == {(b, *(v // stride * stride for v in xyz)) for b, *xyz in rows}


def test_autocast_keeps_float32_sums_and_gradients():
    x, _ = sparse_input(5, channels=16)
    features = x.features.detach().float().requires_grad_()
    layer = Convolution(16, 16, 3)
    exact = layer(SparseTensor(features, x.coordinates)).features
    with torch.autocast("cpu", torch.bfloat16):
        low = layer(SparseTensor(features, x.coordinates)).features
    assert low.dtype == torch.bfloat16
    assert (low.float() - exact).abs().max() / exact.abs().max() < 2e-2
    low.float().sum().backward()
    assert layer.kernel.grad.dtype == torch.float32
    assert features.grad.dtype == torch.float32


COORDINATES = torch.tensor([[0, 0, 0, i] for i in range(9)])
FEATURES = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("features", "coordinates", "error", "message"),
    [
        (FEATURES, COORDINATES.numpy(), TypeError, r"coordinates must be a torch.Tensor, not ndarray: .*from_numpy"),
        (FEATURES.numpy(), COORDINATES, TypeError, r"features must be a torch.Tensor, not ndarray: .*from_numpy"),
        (FEATURES.tolist(), COORDINATES, TypeError, r"features must be a torch.Tensor, not list: .*as_tensor"),
        (FEATURES.int(), COORDINATES, ValueError, r"features must be \(N, C\) float, got .*pass features.float\(\)"),
        (FEATURES, COORDINATES.float(), ValueError, "coordinates"),
        (FEATURES, COORDINATES[:, 1:], ValueError, "coordinates"),
    ],
)
def test_what_is_no_sparse_tensor_is_refused_with_what_to_pass(features, coordinates, error, message):
    with pytest.raises(error, match=message):
        SparseTensor(features, coordinates)


def test_features_of_another_type_than_the_weights_are_refused_with_what_to_do():
    with pytest.raises(ValueError, match=r"features are torch.float64 but weights torch.float32: pass features.to"):
        Convolution(3, 5, 3)(SparseTensor(FEATURES.double(), COORDINATES))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.int16, torch.int32, torch.int64])
def test_coordinates_of_any_integer_type_are_the_same(dtype):
    layer = Convolution(3, 5, 3)
    expected = layer(SparseTensor(FEATURES, COORDINATES)).features
    assert torch.equal(layer(SparseTensor(FEATURES, COORDINATES.to(dtype))).features, expected)


def test_a_sparse_tensor_moves_to_a_device_with_its_coordinates():
    x = SparseTensor(FEATURES, COORDINATES)
    moved = x.to("cpu")
    assert torch.equal(moved.features, x.features)
    assert torch.equal(moved.coordinates, x.coordinates)
    assert SparseTensor(FEATURES, COORDINATES).to("meta").features.device.type == "meta"


def test_tensors_that_share_their_voxels_still_share_them_on_another_device():
    x = SparseTensor(FEATURES, COORDINATES)
    x.manager.downsample(1, 2)
    moved = cat([x.to("meta"), x.to("meta")])
    assert moved.features.shape == (len(x), 6)
    assert moved.manager.keys(2).device.type == "meta"
    assert moved.manager.to(torch.device("cpu")) is x.manager
