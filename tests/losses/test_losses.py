"""The centre loss against independent references."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ceco3d.losses import (
    CenterCollapseLoss,
    PointLoss,
    SegmentationLoss,
    class_centers,
    lovasz_softmax,
    simplex_etf,
)
from ceco3d.losses.center_collapse import center_logit_loss


@given(st.integers(2, 60), st.integers(0, 20))
@settings(deadline=None, max_examples=30)
def test_etf_cosines(num_classes, extra):
    frame = simplex_etf(num_classes, num_classes - 1 + extra).double()
    cosines = frame @ frame.T
    expected = torch.full_like(cosines, -1 / (num_classes - 1)).fill_diagonal_(1)
    torch.testing.assert_close(cosines, expected, rtol=0, atol=1e-6)


def test_etf_of_scannet200():
    frame = simplex_etf(num_classes=200, dim=512)
    assert frame.shape == (200, 512)
    assert frame.dtype == torch.float32
    assert torch.linalg.matrix_rank(frame.double(), tol=1e-4) == 199
    assert torch.equal(frame, simplex_etf(200, 512))
    assert not torch.allclose(frame, simplex_etf(200, 512, seed=1))


@pytest.mark.parametrize(("num_classes", "dim"), [(200, 198), (3, 1), (1, 5)])
def test_etf_needs_room(num_classes, dim):
    with pytest.raises(ValueError, match="at least"):
        simplex_etf(num_classes, dim)


def reference_ceco(features, labels, frame, scale, prior):
    """CeCo in numpy, from its formula: projector identity, no smoothing."""
    losses = []
    for k in sorted(set(labels[labels >= 0].tolist())):
        z = features[labels == k].mean(0)
        logits = scale * frame @ (z / np.linalg.norm(z)) + np.log(prior / prior.sum() + 1e-12)
        losses.append(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[k])
    return np.mean(losses)


def test_value_and_gradient_equal_the_formula():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(60, 8, generator=generator, dtype=torch.float64)
    labels = torch.randint(-1, 5, (60,), generator=generator)
    labels[labels == 3] = 0  # class 3 is absent
    counts = torch.tensor([10.0, 5, 3, 2, 0])
    loss = CenterCollapseLoss(5, 8, projector="none", dim=8, scale=7.0, class_counts=counts).double()
    args = labels.numpy(), simplex_etf(5, 8).double().numpy(), 7.0, counts.double().numpy()
    features.requires_grad_()
    value = loss(features, labels)
    assert value.item() == pytest.approx(reference_ceco(features.detach().numpy(), *args), rel=1e-6)
    (gradient,) = torch.autograd.grad(value, features)
    for row, column in [(0, 0), (17, 3), (59, 7)]:
        difference = []
        for sign in (1, -1):
            moved = features.detach().clone()
            moved[row, column] += sign * 1e-6
            difference.append(reference_ceco(moved.numpy(), *args))
        assert gradient[row, column].item() == pytest.approx((difference[0] - difference[1]) / 2e-6, rel=1e-4, abs=1e-9)
    assert gradient[labels < 0].abs().max() == 0


@pytest.mark.parametrize("projector", ["linear", "mlp"])
@pytest.mark.parametrize("final_relu", [False, True])
@pytest.mark.parametrize("freeze", [False, True])
def test_gradcheck_through_projectors(projector, final_relu, freeze):
    torch.manual_seed(0)
    loss = CenterCollapseLoss(4, 3, projector, final_relu, freeze, dim=6).double()
    features = torch.randn(12, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(12) % 4
    assert torch.autograd.gradcheck(lambda f: loss(f, labels), features)
    trained = [p for p in loss.parameters() if p.requires_grad]
    assert bool(trained) != freeze


def test_cecol_uses_plain_centers_and_spreads_its_target():
    torch.manual_seed(0)
    loss = CenterCollapseLoss(4, 3, "none", dim=3, scale=1.0, label_smoothing=0.5, classifier="random").double()
    features, labels = torch.randn(9, 3, dtype=torch.float64), torch.tensor([0, 0, 1, 1, 1, 3, 3, -1, 0])
    centers = torch.stack([features[labels == k].mean(0) for k in (0, 1, 3)])
    log_p = (centers @ loss.weight.T + loss.bias).log_softmax(1)
    target = torch.full((3, 4), 0.5 / 3, dtype=torch.float64)
    target[range(3), [0, 1, 3]] = 0.5
    torch.testing.assert_close(loss(features, labels), -(target * log_p).sum(1).mean())


def test_scale_five_has_a_floor_and_ten_nearly_none():
    # At perfect alignment the loss is log(1 + (K-1) exp(-scale K/(K-1))): 0.836 nats at scale 5 and K = 200.
    frame, classes = simplex_etf(200, 512), torch.arange(200)
    cosines = frame @ frame.T
    assert center_logit_loss(5 * cosines, classes).item() == pytest.approx(0.836, abs=1e-3)
    assert center_logit_loss(10 * cosines, classes).item() == pytest.approx(
        math.log1p(199 * math.exp(-2000 / 199)), abs=1e-4
    )
    assert center_logit_loss(10 * cosines, classes).item() < 0.01


def test_a_final_relu_cannot_reach_the_frame():
    frame = simplex_etf(200, 512)
    best = torch.nn.functional.normalize(frame.relu(), dim=1)  # the non-negative unit vectors nearest to the rows
    cosines = (best * frame).sum(1)
    assert cosines.max() < 0.85
    assert cosines.mean().item() == pytest.approx(math.sqrt(0.5), abs=0.01)


def test_96_channels_need_the_nonlinear_projector():
    centers = torch.randn(200, 96, generator=torch.Generator().manual_seed(0))
    linear = CenterCollapseLoss(200, 96, projector="linear").projector(centers)
    assert torch.linalg.matrix_rank(linear - linear.mean(0)) <= 96
    mlp = CenterCollapseLoss(200, 96, projector="mlp").projector(centers)
    assert torch.linalg.matrix_rank(mlp - mlp.mean(0)) > 190


def test_ignored_points_and_empty_batches():
    loss = CenterCollapseLoss(200, 96)
    features = torch.randn(50, 96, requires_grad=True)
    value = loss(features, torch.full((50,), -1))
    value.backward()
    assert value.item() == 0
    assert features.grad.abs().max() == 0


def test_centers_are_summed_in_float32():
    features = torch.full((40000, 1), 1.0009765625).bfloat16()  # 1.0 in bfloat16; a bfloat16 sum would stop at 256
    centers, classes = class_centers(features, torch.zeros(40000, dtype=torch.int64), 3)
    assert centers.dtype == torch.float32
    assert centers.item() == 1.0
    assert classes.tolist() == [0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"projector": "none", "dim": 512}, "512 != 96"),
        ({"projector": "deep"}, "none, linear, mlp"),
        ({"classifier": "trained"}, "etf, learned, random"),
        ({"over": "room"}, "choose batch or scene"),
        ({"dim": 100}, "at least 199"),
        ({"class_counts": torch.ones(3)}, "200 counts"),
    ],
)
def test_impossible_choices_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        CenterCollapseLoss(200, 96, **options)


def test_objective_is_cross_entropy_plus_weighted_center_term():
    torch.manual_seed(0)
    loss = SegmentationLoss(PointLoss(4), CenterCollapseLoss(4, 8, projector="none", dim=8), center_weight=0.3)
    logits, features, labels = torch.randn(20, 4), torch.randn(20, 8), torch.arange(20) % 5 - 1
    scenes = torch.zeros(20, dtype=torch.int32)
    values = loss(logits, features, labels, scenes)
    valid = labels >= 0
    ce = torch.nn.functional.cross_entropy(logits[valid], labels[valid])
    torch.testing.assert_close(values["ce"], ce)
    torch.testing.assert_close(values["loss"], ce + 0.3 * loss.center(features, labels))
    modern = SegmentationLoss(PointLoss(4), loss.center, 0.3, lovasz_weight=2.0)(logits, features, labels, scenes)
    assert modern.keys() == {"loss", "ce", "lovasz", "ceco"}
    torch.testing.assert_close(modern["lovasz"], lovasz_softmax(logits, labels))
    torch.testing.assert_close(modern["loss"], values["loss"] + 2 * modern["lovasz"])
    plain = SegmentationLoss(PointLoss(4))(logits, features, labels, scenes)
    assert plain.keys() == {"loss", "ce"}
    assert SegmentationLoss(PointLoss(4))(logits, features, labels * 0 - 1, scenes)["loss"] == 0


def test_point_loss_equals_its_formulas():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(-1, 4, (50,), generator=generator)
    points = torch.tensor([1000, 100, 10, 0])
    n = np.array([1000, 100, 10, 1.0])
    valid = (labels >= 0).numpy()
    y = labels.numpy()[valid]

    def log_softmax(values):
        return values - np.log(np.exp(values).sum(1, keepdims=True))

    plain = log_softmax(logits.numpy()[valid])[np.arange(len(y)), y]
    adjusted = log_softmax(logits.numpy()[valid] + 0.7 * np.log(n / n.sum()))[np.arange(len(y)), y]
    weight = (1 - 0.99) / (1 - 0.99**n)
    weight /= (weight * n / n.sum()).sum()
    wanted = {
        (): -plain.mean(),
        ("tau", 0.7): -adjusted.mean(),
        ("gamma", 2.0): -((1 - np.exp(plain)) ** 2 * plain).mean(),
        ("beta", 0.99): -(weight[y] * plain).mean(),
    }
    wanted |= {("divide_by", "all"): -plain.sum() / 50}
    for options, value in wanted.items():
        loss = PointLoss(4, class_points=points, **dict([options] if options else []))
        assert loss(logits, labels).item() == pytest.approx(value, rel=1e-5)
    with pytest.raises(ValueError, match="class_points"):
        PointLoss(4, tau=1.0)
    with pytest.raises(ValueError, match="beta=1"):
        PointLoss(4, beta=1.0, class_points=points)


def test_centers_over_scenes_are_those_of_each_scene():
    generator = torch.Generator().manual_seed(0)
    features, labels = torch.randn(80, 8, generator=generator), torch.randint(-1, 5, (80,), generator=generator)
    scenes = torch.arange(80, dtype=torch.int32) // 40
    loss = CenterCollapseLoss(5, 8, "none", dim=8, over="scene")
    whole = CenterCollapseLoss(5, 8, "none", dim=8)
    parts = [whole(features[scenes == s], labels[scenes == s]) for s in (0, 1)]
    present = [len(class_centers(features[scenes == s], labels[scenes == s], 5)[1]) for s in (0, 1)]
    expected = sum(value * count for value, count in zip(parts, present, strict=True)) / sum(present)
    torch.testing.assert_close(loss(features, labels, scenes), expected)
    images = features.reshape(2, 5, 8, 8).permute(0, 3, 1, 2)
    torch.testing.assert_close(loss(images, labels.reshape(2, 5, 8)), expected)
    with pytest.raises(ValueError, match="which scene"):
        loss(features, labels)


def test_a_learned_classifier_starts_as_the_frame_and_is_trained():
    features, labels = torch.randn(30, 8), torch.arange(30) % 5
    learned = CenterCollapseLoss(5, 8, "none", dim=8, classifier="learned")
    fixed = CenterCollapseLoss(5, 8, "none", dim=8)
    torch.testing.assert_close(learned(features, labels), fixed(features, labels))
    learned(features, labels).backward()
    assert learned.weight.grad.abs().sum() > 0
    assert not list(fixed.parameters())


def halves(rank, world):
    """The part of one data set that a rank gets: some classes on one rank only, and parts of unequal labels."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(60, 6, generator=generator, dtype=torch.float64)
    labels = torch.randint(-1, 5, (60,), generator=generator)
    labels[:30][labels[:30] == 4] = 0
    return features.chunk(world)[rank], labels.chunk(world)[rank]


def gradients(rank, world, across_ranks):
    torch.manual_seed(1)
    backbone = torch.nn.Linear(6, 8).double()
    loss = CenterCollapseLoss(5, 8, "linear", dim=8, across_ranks=across_ranks).double()
    features, labels = halves(rank, world)
    value = loss(backbone(features), labels)
    value.backward()
    return value.detach(), [p.grad for module in (backbone, loss) for p in module.parameters()]


def one_rank(rank, address, results):
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    value, found = gradients(rank, 2, across_ranks=True)
    for gradient in found:  # what DistributedDataParallel does
        torch.distributed.all_reduce(gradient)
        gradient /= 2
    torch.save((value, found), f"{results}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_ranks_with_half_the_batch_equal_one_with_all_of_it(tmp_path):
    arguments = (f"file://{tmp_path}/rendezvous", str(tmp_path))
    torch.multiprocessing.start_processes(one_rank, arguments, nprocs=2, start_method="forkserver")
    value, expected = gradients(0, 1, across_ranks=False)
    for rank in (0, 1):
        got, found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(got, value)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
