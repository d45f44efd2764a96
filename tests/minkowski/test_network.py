"""A U-Net written for MinkowskiEngine, on it and on ceco3d.minkowski: same weights, same numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ceco3d.minkowski as OURS
from tests.helpers.minkowski import cloud
from tests.helpers.minkowski_engine import minkowski_engine, needs_minkowski

pytestmark = [
    needs_minkowski,
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:torch.sparse.SparseTensor:UserWarning"),  # of MinkowskiEngine
]


# Any: MinkowskiEngine has no types.
def unet(ME: Any, axes: int) -> Any:
    """A network as programs write them: base class, kernel generators, blocks, skips, squeeze-and-excitation."""

    def kernel(size: int, stride: int = 1) -> Any:
        return ME.KernelGenerator(size, stride, 1, region_type=ME.RegionType.HYPER_CUBE, dimension=axes)

    class Block(nn.Module):
        def __init__(self, channels: int, norm: Any) -> None:
            super().__init__()
            generator = kernel(3)
            self.conv1 = ME.MinkowskiConvolution(channels, channels, kernel_size=3, dimension=axes)
            self.norm1 = norm(channels)
            self.conv2 = ME.MinkowskiConvolution(
                channels, channels, kernel_size=3, kernel_generator=generator, dimension=axes
            )
            self.norm2 = norm(channels)
            self.squeeze = ME.MinkowskiGlobalAvgPooling()
            self.excite = nn.Sequential(ME.MinkowskiLinear(channels, channels), ME.MinkowskiSigmoid())
            self.scale = ME.MinkowskiBroadcastMultiplication()
            self.relu = ME.MinkowskiReLU(inplace=True)

        def forward(self, x: Any) -> Any:
            y = self.norm2(self.conv2(ME.MinkowskiFunctional.relu(self.norm1(self.conv1(x)))))
            y = self.scale(y, self.excite(self.squeeze(y)))
            y += x
            return self.relu(y)

    class UNet(ME.MinkowskiNetwork):  # type: ignore[misc]  # the class is chosen when the test runs
        def __init__(self) -> None:
            super().__init__(axes)
            self.stem = nn.Sequential(
                ME.MinkowskiConvolution(3, 8, kernel_size=5 if axes < 4 else 3, dimension=axes),
                ME.MinkowskiBatchNorm(8),
                ME.MinkowskiReLU(),
            )
            self.down1 = ME.MinkowskiConvolution(8, 12, 2, stride=2, kernel_generator=kernel(2, 2), dimension=axes)
            self.block1 = Block(12, ME.MinkowskiBatchNorm)
            self.down2 = ME.MinkowskiConvolution(12, 16, kernel_size=3, stride=2, dimension=axes)
            self.block2 = Block(16, ME.MinkowskiInstanceNorm)
            self.pool = ME.MinkowskiMaxPooling(kernel_size=2, stride=2, dimension=axes)
            self.up3 = ME.MinkowskiPoolingTranspose(kernel_size=2, stride=2, dimension=axes)
            self.up2 = ME.MinkowskiConvolutionTranspose(32, 12, kernel_size=3, stride=2, dimension=axes)
            self.up1 = ME.MinkowskiConvolutionTranspose(24, 8, kernel_size=2, stride=2, dimension=axes)
            self.final = ME.MinkowskiConvolution(16, 5, kernel_size=1, bias=True, dimension=axes)

        def forward(self, x: Any) -> Any:
            one = self.stem(x)
            two = self.block1(self.down1(one))
            four = self.block2(self.down2(two))
            four = ME.cat(four, self.up3(self.pool(four)))
            two = ME.cat(self.up2(four), two)
            return self.final(ME.cat(self.up1(two), one))

    return UNet()


def state(model: nn.Module) -> dict[str, Tensor]:
    """Values for its state dict: the same for the same names and shapes."""
    random = torch.Generator().manual_seed(0)
    return {
        name: torch.zeros_like(value) if value.dtype == torch.int64 else torch.rand(value.shape, generator=random) - 0.3
        for name, value in sorted(model.state_dict().items())
    } | {name: torch.ones_like(value) for name, value in model.state_dict().items() if name.endswith("running_var")}


def outcome(ME: Any, axes: int, train: bool, points: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """The output in the order of the input, and all gradients and buffers."""
    model = unet(ME, axes)
    model.load_state_dict(state(model))
    model.double().train(train)
    coordinates, features = cloud(axes, count=200)
    features.requires_grad_()
    if points:
        field = ME.TensorField(features, coordinates + 0.4 * torch.sin(coordinates.double().cumsum(0)).abs())
        y = model(field.sparse()).slice(field)
    else:
        y = model(ME.SparseTensor(features, coordinates))
    torch.nn.functional.cross_entropy(y.F, coordinates[:, 1].long() % 5).backward()
    found = {name: weight.grad for name, weight in model.named_parameters()} | dict(model.named_buffers())
    return y.F.detach(), found | {"input": features.grad}


@pytest.mark.parametrize("points", [False, True], ids=["voxels", "points"])
@pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("axes", [2, 3, 4])
def test_a_network_gives_the_outputs_and_gradients_of_minkowskiengine(axes, train, points):
    ours, mine = outcome(OURS, axes, train, points)
    theirs, others = outcome(minkowski_engine(), axes, train, points)

    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    assert mine.keys() == others.keys()
    for name, expected in others.items():
        torch.testing.assert_close(mine[name], expected, rtol=1e-8, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")
