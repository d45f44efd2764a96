"""The center branch of CeCo's released 2D code, as conf/loss/ceco_2d.yaml builds it, against its steps one by one."""

import torch
import torch.nn.functional as F

from tests.helpers.commands import settings_of

CLASSES, CHANNELS = 200, 96


def built():
    torch.manual_seed(0)
    counts = torch.arange(1, CLASSES + 1)
    settings = settings_of("train", "loss=ceco_2d")
    known = {"num_classes": CLASSES, "in_channels": CHANNELS, "class_points": counts, "class_counts": counts}
    return settings.loss(**known), counts


def released(center, features, labels, counts):
    """Bottleneck, one-hot sums, gain, normalization, frozen ETF, prior, as in uper_head_ceco.py:152-260."""
    reduce, norm = center.reduce
    pixels = F.batch_norm(features @ reduce.weight.T, None, None, norm.weight, norm.bias, training=True)
    valid = labels >= 0
    one_hot = F.one_hot(labels[valid], CLASSES).float()
    present = torch.unique(labels[valid])
    centers = (one_hot.T @ pixels[valid])[present] / one_hot.sum(0)[present, None]
    gain = F.relu(F.linear(centers, center.projector[0].weight, center.projector[0].bias))
    logits = F.linear(F.normalize(gain, dim=-1), center.weight) * 5.0
    prior = torch.log(counts / counts.sum() + 1e-12)
    target = F.one_hot(present, CLASSES).float()
    return -(target * F.log_softmax(logits + prior, 1)).sum() / (target.sum() + 1e-12)


def test_the_branch_equals_the_released_steps():
    loss, counts = built()
    center = loss.center
    center.dropout.p = 0.0
    rng = torch.Generator().manual_seed(1)
    labels = torch.randint(-1, 40, (3000,), generator=rng)
    features = torch.randn(3000, CHANNELS, generator=rng, requires_grad=True)
    got = center(features, labels)
    (gradient,) = torch.autograd.grad(got, features)
    wanted = released(center, features, labels, counts)
    (expected,) = torch.autograd.grad(wanted, features)
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-8)


def test_everything_in_it_is_frozen_and_weighs_what_the_swin_t_configuration_says():
    loss, _ = built()
    assert not any(parameter.requires_grad for parameter in loss.center.parameters())
    assert (loss.center_weight, loss.center.scale, loss.center.dropout.p) == (0.8, 5.0, 0.1)
    assert loss.center.reduce[0].weight.shape == (128, CHANNELS)
    assert loss.center.projector[0].weight.shape == (512, 128)
