"""Sparse layers and networks against MinkowskiEngine, or against its recorded results where it is not installed.

``python -m tests.sparse.test_minkowski --record`` writes tests/sparse/golden/ again; it needs MinkowskiEngine.
"""

from __future__ import annotations

import collections
import copy
import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ceco3d.models import build_model
from ceco3d.sparse import Convolution, SparseTensor, TransposedConvolution, cat, load_engine

GOLDEN = Path(__file__).parent / "golden"
MODELS = {"MinkUNet14A": 5, "MinkUNet18A": 5, "MinkUNet34C": 5, "MinkUNet34D": 3, "MinkUNet50": 5}  # stem kernels
CHANNELS, CLASSES = 3, 4

# PyTorch warns so of MinkowskiEngine's convolutions.
pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
needs_minkowski = pytest.mark.skipif(
    importlib.util.find_spec("MinkowskiEngine") is None,
    reason="MinkowskiEngine is not installed: scripts/install_minkowski.sh",
)


def draw(rng: np.random.Generator, *shape: int) -> Tensor:
    """Uniform in [-1, 1), the same numbers in every version of NumPy and PyTorch."""
    return torch.from_numpy(np.asarray(rng.random(shape) * 2 - 1))


def make_input(dtype: torch.dtype, seed: int = 0) -> tuple[SparseTensor, Tensor]:
    """Two batch items: thin surfaces of voxels on both sides of zero, rows shuffled."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(2), *[np.arange(-11, 11)] * 3, indexing="ij"), -1).reshape(-1, 4)
    height = 4 * np.sin(grid[:, 1] / 5 + grid[:, 0]) + 3 * np.cos(grid[:, 2] / 4)
    kept = grid[(np.abs(grid[:, 3] - height) < 1) & (rng.random(len(grid)) < 0.35)]
    kept = kept[np.argsort(rng.random(len(kept)))]
    features = draw(rng, len(kept), CHANNELS).to(dtype).requires_grad_()
    return SparseTensor(features, torch.from_numpy(kept).int()), features


def fill(model: nn.Module, seed: int = 1) -> None:
    """Set weights that keep activations near one in all layers, and statistics away from 0 and 1."""
    rng = np.random.default_rng(seed)
    state = model.state_dict()
    for name, value in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        noise = draw(rng, *value.shape)
        if name.endswith("kernel"):
            neighbors = min(12, math.prod(value.shape[:-2]))
            noise *= math.sqrt(6 / (value.shape[-2] * neighbors))
        elif name.endswith(("bn.weight", "running_var")):
            noise = 1 + 0.3 * noise
        else:
            noise *= 0.3
        value.copy_(noise)


def make_model(name: str, engine: str, dtype: torch.dtype) -> nn.Module:
    model = build_model(name, CHANNELS, CLASSES, MODELS[name], bn_momentum=0.02, engine=engine).to(dtype)
    fill(model)
    return model


def compute(name: str, engine: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """Logits in both modes, and gradients and running statistics after one training step."""
    model, (x, features) = make_model(name, engine, dtype), make_input(dtype)
    with torch.no_grad():
        results = {"logits eval": model.eval()(x).features}
    logits = model.train()(x).features
    direction = draw(np.random.default_rng(2), *logits.shape).to(dtype)
    (logits * direction).sum().backward()
    results |= {"logits train": logits.detach(), "gradient input": features.grad}
    results |= {f"gradient {key}": parameter.grad for key, parameter in model.named_parameters()}
    return results | {f"running {key}": value for key, value in model.named_buffers()}


def error(found: Tensor, expected: Tensor) -> float:
    """Relative to the norm of the expected tensor."""
    found, expected = found.double(), expected.double()
    return float((found - expected).norm() / expected.norm())


def digest(results: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Logits unchanged; everything else as its norm and its product with a fixed random tensor."""
    rng = np.random.default_rng(3)
    logits = {key: value.numpy() for key, value in results.items() if key.startswith("logits")}
    rest = {key: value.double() for key, value in results.items() if key not in logits}
    pairs = [(value.norm().item(), (value * draw(rng, *value.shape)).sum().item()) for value in rest.values()]
    return logits | {"names": np.array(list(rest)), "norm and product": np.array(pairs)}


@pytest.mark.slow
@needs_minkowski
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", MODELS)
def test_networks_agree_with_minkowskiengine(name, dtype):
    """Compares outputs, gradients of every parameter and of the input, and running statistics.

    In float32, rounding can move an activation across zero, and its ReLU then changes gradients by a step: float32
    MinkowskiEngine differs from float64 MinkowskiEngine by 6e-3 (MinkUNet50). The limits in float64 are strict.
    """
    found, expected = compute(name, "native", dtype), compute(name, "minkowski", dtype)
    assert found.keys() == expected.keys()
    limits = {"logits": 1e-4, "gradient": 3e-2, "running": 1e-4} if dtype == torch.float32 else {}
    errors = {key: error(found[key], expected[key]) for key in expected}
    assert not {key: value for key, value in errors.items() if not value <= limits.get(key.split()[0], 1e-10)}


@pytest.mark.parametrize("name", MODELS)
def test_networks_agree_with_recorded_minkowskiengine(name):
    found = digest(compute(name, "native", torch.float64))
    with np.load(GOLDEN / f"{name}.npz") as expected:
        assert found["names"].tolist() == expected["names"].tolist()
        for key in ("logits eval", "logits train"):  # stored in float32
            np.testing.assert_allclose(found[key], expected[key], rtol=1e-5, atol=1e-5)
        scale = expected["norm and product"][:, :1]
        np.testing.assert_allclose(found["norm and product"] / scale, expected["norm and product"] / scale, atol=1e-8)


@needs_minkowski
def test_weights_load_in_both_directions():
    models = []
    for engine in ("native", "minkowski"):
        torch.manual_seed(0)
        models.append(build_model("MinkUNet14A", CHANNELS, CLASSES, engine=engine))
    first, second = (model.state_dict() for model in models)
    assert list(first) == list(second)
    assert all(torch.equal(first[key], second[key]) for key in first)
    for source, target in (models, models[::-1]):
        fill(source, seed=4 + models.index(source))
        target.load_state_dict(source.state_dict())
        assert all(torch.equal(first[key], second[key]) for key in first)


@needs_minkowski
@pytest.mark.parametrize(("kernel_size", "stride"), [(1, 1), (3, 1), (5, 1), (2, 2), (3, 2)])
def test_layers_agree_with_minkowskiengines_own(kernel_size, stride):
    """Down and back up; compares rows with equal coordinates."""
    from ceco3d.sparse.minkowski import ME

    (x, features), settings = make_input(torch.float64), {"bias": True, "dimension": 3}
    down = ME.MinkowskiConvolution(CHANNELS, 6, kernel_size, stride, **settings).double()
    native_down = Convolution(CHANNELS, 6, kernel_size, stride, bias=True).double()
    native_down.load_state_dict(down.state_dict())
    coarse, expected = native_down(x), down(ME.SparseTensor(features, x.coordinates))
    assert coarse.stride == expected.tensor_stride[0] == stride
    assert_same_voxels(coarse.features, coarse.coordinates, expected.F, expected.C)
    if stride == 1:
        return
    up = ME.MinkowskiConvolutionTranspose(6, 5, kernel_size, stride, **settings).double()
    native_up = TransposedConvolution(6, 5, kernel_size, stride, bias=True).double()
    native_up.load_state_dict(up.state_dict())
    fine, expected = native_up(coarse), up(expected)
    assert_same_voxels(fine.features, fine.coordinates, expected.F, expected.C)


def assert_same_voxels(features: Tensor, coordinates: Tensor, other: Tensor, other_coordinates: Tensor) -> None:
    order, other_order = (np.lexsort(c.numpy().T) for c in (coordinates, other_coordinates))
    assert torch.equal(coordinates[order], other_coordinates[other_order])
    torch.testing.assert_close(features[order], other[other_order])


@needs_minkowski
def test_rows_keep_the_order_of_the_input():
    from ceco3d.sparse.minkowski import MinkowskiTensor

    layers, (x, features) = load_engine("minkowski"), make_input(torch.float32)
    y = MinkowskiTensor.of(x)
    assert torch.equal(y.features, features)
    assert torch.equal(y.coordinates, x.coordinates)
    z = layers.TransposedConvolution(4, 2, 2, stride=2)(layers.Convolution(CHANNELS, 4, 2, stride=2)(y))
    assert torch.equal(z.coordinates, x.coordinates)
    assert torch.equal(cat([y, z]).features[:, :CHANNELS], features)


# MinkowskiEngine sums in a different order in each call.
SAME = {"rtol": 1e-4, "atol": 1e-4}


@needs_minkowski
def test_autocast_changes_nothing():
    model, (x, _) = make_model("MinkUNet14A", "minkowski", torch.float32).eval(), make_input(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(x).features
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, model(x).features, **SAME)


@needs_minkowski
@pytest.mark.parametrize("count", [1, 2])
def test_a_scene_of_few_voxels_trains(count):
    coordinates = torch.tensor([[0, 0, 0, 0], [0, 50, 0, 0]])[:count]
    logits = []
    for engine in ("native", "minkowski"):
        model = make_model("MinkUNet14A", engine, torch.float64).train()
        logits.append(model(SparseTensor(draw(np.random.default_rng(0), count, CHANNELS), coordinates)).features)
        logits[-1].sum().backward()
    torch.testing.assert_close(*logits)


@needs_minkowski
def test_a_network_can_be_copied():
    model, (x, _) = make_model("MinkUNet14A", "minkowski", torch.float32).eval(), make_input(torch.float32)
    torch.testing.assert_close(copy.deepcopy(model)(x).features, model(x).features, **SAME)


@needs_minkowski
def test_the_import_restores_collections():
    load_engine("minkowski")
    assert not hasattr(collections, "Sequence")


def test_a_missing_installation_is_a_one_line_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "MinkowskiEngine", None)
    monkeypatch.delitem(sys.modules, "ceco3d.sparse.minkowski", raising=False)
    with pytest.raises(ValueError, match=r"engine minkowski: .* run scripts/install_minkowski.sh") as caught:
        build_model("MinkUNet14A", CHANNELS, CLASSES, engine="minkowski")
    assert "\n" not in str(caught.value)


def record() -> None:
    """Write tests/sparse/golden/ from MinkowskiEngine."""
    GOLDEN.mkdir(exist_ok=True)
    for name in MODELS:
        kept = digest(compute(name, "minkowski", torch.float64))
        logits = {key: kept[key].astype(np.float32) for key in ("logits eval", "logits train")}
        np.savez_compressed(GOLDEN / f"{name}.npz", **(kept | logits))


if __name__ == "__main__":
    if sys.argv[1:] != ["--record"]:
        sys.exit(__doc__)
    record()
