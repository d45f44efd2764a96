"""A small U-Net."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class UNet(nn.Module):
    """Maps images (B, 3, H, W) of any size to logits (B, num_classes, H, W).

    Four levels, each half the size of the one above; the image itself is the top skip connection. On the way up,
    features are resized to match the skip connection, so odd sizes need no padding.
    """

    def __init__(self, num_classes: int, width: int = 32) -> None:
        super().__init__()
        down = (3, width, 2 * width, 4 * width, 8 * width)
        up = (width, width, 2 * width, 4 * width, 8 * width)
        levels = range(4)
        self.channels = width
        self.down = nn.ModuleList(convolution(down[i], down[i + 1], stride=2) for i in levels)
        self.up = nn.ModuleList(convolution(up[i + 1] + down[i], up[i]) for i in levels)
        self.final = nn.Conv2d(width, num_classes, 1)

    def forward_features(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to the features (B, channels, H, W) that the classifier and the center loss use."""
        skips, x = [], images
        for step in self.down:
            skips.append(x)
            x = step(x)
        for step, skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = step(torch.cat([x, skip], dim=1))
        return x

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to logits (B, num_classes, H, W)."""
        logits: Tensor = self.final(self.forward_features(images))
        return logits


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return two 3x3 convolutions with batch norm and ReLU; the first one is strided."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
