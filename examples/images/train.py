"""Train and score on images: the same network, images and order of images for either loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ceco3d.losses import CenterCollapseLoss
from ceco3d.metrics import Confusion
from ceco3d.utils.progress import track
from examples.images.render import View
from examples.images.unet import UNet

BATCH = 8  # images
RATE = 0.003  # peak learning rate
CENTER_WEIGHT = 0.1  # as in conf/loss/ceco.yaml


def tensors(views: Sequence[View]) -> tuple[Tensor, Tensor]:
    """Return V views as images (V, 3, H, W) float32 in -1..1 and labels (V, H, W) int64."""
    colors = torch.from_numpy(np.stack([view.color for view in views]))
    labels = torch.from_numpy(np.stack([view.label for view in views]))
    return colors.permute(0, 3, 1, 2).float() / 127.5 - 1, labels


def images_per_class(labels: Tensor, num_classes: int) -> Tensor:
    """Return (K,) float32 number of images (V, H, W) in which each class occurs, the prior of the center loss."""
    present = [torch.bincount(image[image >= 0], minlength=num_classes) > 0 for image in labels]
    return torch.stack(present).float().sum(0)


def train(views: Sequence[View], num_classes: int, ceco: bool, steps: int, seed: int) -> UNet:
    """Train a U-Net for ``steps`` steps with cross-entropy, plus the center loss if ``ceco``."""
    images, labels = tensors(views)
    torch.manual_seed(seed)
    model = UNet(num_classes)
    center = CenterCollapseLoss(num_classes, model.channels, class_counts=images_per_class(labels, num_classes))
    parameters = [*model.parameters(), *center.parameters()] if ceco else [*model.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    rng = torch.Generator().manual_seed(seed)
    for _ in track(range(steps), steps, "CE + CeCo" if ceco else "CE"):
        batch = torch.randint(len(images), (BATCH,), generator=rng)
        image, label = images[batch], labels[batch]
        if torch.rand((), generator=rng) < 0.5:
            image, label = image.flip(-1), label.flip(-1)
        features = model.forward_features(image)
        loss = F.cross_entropy(model.final(features), label, ignore_index=-1)
        if ceco:
            loss = loss + CENTER_WEIGHT * center(features, label)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 10.0)
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def predict(model: UNet, views: Sequence[View]) -> Tensor:
    """Return (V, H, W) int64 predicted training indices."""
    return torch.cat([model(images).argmax(1) for images in tensors(views)[0].split(BATCH)])


def score(prediction: Tensor, views: Sequence[View], num_classes: int) -> Confusion:
    """Count predictions over all labeled pixels."""
    confusion = Confusion(num_classes)
    confusion.update(prediction.flatten(), tensors(views)[1].flatten())
    return confusion
