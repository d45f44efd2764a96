"""The language-anchored loss against its formula, and the classifier that equals the nearest anchor."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ceco3d.losses import LanguageHead, LanguageLoss
from ceco3d.losses.language import anchor_loss, draw_negatives
from ceco3d.models import build_model
from ceco3d.sparse import SparseTensor
from ceco3d.utils.random import seeded_generator


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def data(n=50, classes=6, width=5, seed=0):
    rng = generator(seed)
    features = torch.randn(n, width, generator=rng, dtype=torch.float64)
    anchors = torch.randn(classes, width, generator=rng, dtype=torch.float64)
    labels = torch.randint(-1, classes, (n,), generator=rng)
    return features, labels, anchors


def reference(features, labels, negatives, anchors, pos_margin, neg_margin, neg_weight):
    """The loss in numpy, point by point."""

    def distance(f, a):
        return 1 - f @ a / np.linalg.norm(f) / np.linalg.norm(a)

    total = 0.0
    for f, y, others in zip(features, labels, negatives, strict=True):
        pull = max(distance(f, anchors[y]) - pos_margin, 0)
        push = max(neg_margin - np.mean([distance(f, anchors[j]) for j in others]), 0)
        total += pull + neg_weight * push
    return total / len(labels)


@pytest.mark.parametrize("margins", [(0.0, 0.6, 1.0), (0.3, 1.2, 0.5)])
def test_value_equals_the_formula(margins):
    features, labels, anchors = data()
    valid = labels >= 0
    loss = LanguageLoss(anchors, *margins, seed=4)
    drawn = draw_negatives(labels[valid], 6, 3, seeded_generator(4, 0))
    arrays = (tensor.numpy() for tensor in (features[valid], labels[valid], drawn, anchors))
    assert loss(features, labels).item() == pytest.approx(reference(*arrays, *margins), rel=1e-9)


def test_gradcheck():
    features, labels, anchors = data(12)
    loss = LanguageLoss(anchors, 0.1, 0.9).eval()
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: loss(f, labels), features)
    loss(features, labels).backward()
    assert features.grad[labels < 0].abs().max() == 0


@given(st.integers(2, 9), st.integers(1, 4), st.integers(0, 9))
@settings(deadline=None, max_examples=30)
def test_negatives_are_other_classes(classes, count, seed):
    labels = torch.arange(40) % classes
    drawn = draw_negatives(labels, classes, count, generator(seed))
    assert drawn.shape == (40, count)
    assert (drawn != labels[:, None]).all()
    assert drawn.min() >= 0
    assert drawn.max() < classes


def test_negatives_are_uniform():
    labels = torch.full((30000,), 2)
    share = torch.bincount(draw_negatives(labels, 5, 1, generator()).flatten(), minlength=5) / 30000
    np.testing.assert_allclose(share, [0.25, 0.25, 0, 0.25, 0.25], atol=0.01)


def test_the_negative_margin_is_on_the_mean_distance():
    anchors = torch.eye(3)
    feature = torch.tensor([[0.0, 1.0, 0.0]])  # distance 0 to anchor 1 and 1 to anchor 2, 0.5 on average
    labels, negatives = torch.tensor([0]), torch.tensor([[1, 2]])
    assert anchor_loss(feature, labels, negatives, anchors, neg_margin=0.4).item() == pytest.approx(1.0)
    assert anchor_loss(feature, labels, negatives, anchors, neg_margin=0.6).item() == pytest.approx(1.1)


def test_training_draws_anew_and_a_restored_loss_goes_on():
    features, labels, anchors = data(classes=6)
    loss = LanguageLoss(anchors, neg_margin=1.5)
    first = [loss(features, labels).item() for _ in range(2)]
    file = io.BytesIO()
    torch.save(loss.state_dict(), file)
    state = torch.get_rng_state()
    following = [loss(features, labels).item() for _ in range(3)]
    assert torch.equal(torch.get_rng_state(), state), "the global generator was used"
    assert len({*first, *following}) == 5
    restored = LanguageLoss(anchors, neg_margin=1.5)
    file.seek(0)
    restored.load_state_dict(torch.load(file, weights_only=True))
    assert [restored(features, labels).item() for _ in range(3)] == following
    restored.eval()
    assert restored(features, labels) == restored(features, labels)
    assert LanguageLoss(anchors, neg_margin=1.5, seed=1)(features, labels).item() != first[0]


def test_without_labels_the_loss_is_zero():
    features, labels, anchors = data()
    features.requires_grad_()
    value = LanguageLoss(anchors)(features, labels * 0 - 1)
    value.backward()
    assert value == 0
    assert features.grad.abs().max() == 0


def test_half_precision_features_are_compared_in_float32():
    features, labels, anchors = data(width=64)
    loss = LanguageLoss(anchors.float()).eval()
    with torch.autocast("cpu", torch.bfloat16):
        half = loss(features.bfloat16(), labels)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, loss(features.bfloat16().float(), labels))


@pytest.mark.parametrize("width", [32, 96])
def test_the_classifier_picks_the_nearest_anchor(width):
    torch.manual_seed(0)
    anchors, features = torch.randn(200, 32), torch.randn(500, width)
    head = LanguageHead(width, anchors)
    assert (len(list(head.parameters())) == 0) == (width == 32)
    weight, bias = head.classifier()
    assert weight.shape == (200, width)
    mapped = head(features)
    cosines = torch.nn.functional.cosine_similarity(mapped[:, None], anchors[None], dim=2)
    logits = features @ weight.T + bias
    assert torch.equal(logits.argmax(1), cosines.argmax(1))
    torch.testing.assert_close(logits, cosines * mapped.norm(dim=1, keepdim=True), rtol=1e-4, atol=1e-4)


def test_the_classifier_fits_the_network():
    torch.manual_seed(0)
    model = build_model("MinkUNet14A", 3, 20, stem_kernel=3).eval()
    head = LanguageHead(model.feature_channels, torch.randn(20, 16))
    weight, bias = head.classifier()
    with torch.no_grad():
        model.final.kernel.copy_(weight.T)
        model.final.bias.copy_(bias[None])
        coordinates = torch.cat([torch.zeros(64, 1), torch.cartesian_prod(*[torch.arange(4)] * 3)], 1).int()
        x = SparseTensor(torch.randn(64, 3), coordinates)
        mapped = torch.nn.functional.normalize(head(model.forward_features(x).features), dim=1)
        assert torch.equal(model(x).features.argmax(1), (mapped @ head.anchors.T).argmax(1))


@pytest.mark.parametrize("options", [{"neg_margin": -0.1}, {"negatives": 0}, {"neg_weight": -1.0}, {"pos_margin": 3.0}])
def test_impossible_values_are_named(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        LanguageLoss(torch.eye(3), **options)
    with pytest.raises(ValueError, match="zero row"):
        LanguageLoss(torch.zeros(3, 2))
