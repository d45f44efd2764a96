"""Each recipe on synthetic rooms: it runs, resumes bit for bit, and its step is that of plain torch."""

import math

import pytest
import torch
import torch.nn.functional as F

from ceco3d.data.batch import Batch
from ceco3d.models import VARIANTS
from ceco3d.train import pretraining
from ceco3d.training.build import make_network
from ceco3d.training.objective import Objective
from ceco3d.training.run import train
from tests.helpers.commands import settings_of
from tests.helpers.plain_training import PlainNetwork, center_loss, centers, cross_entropy, focal, lovasz
from tests.helpers.recipes import RECIPES
from tests.helpers.training import equal, interrupt_after, weights

CLASSES, SIZE = 200, 16
# Of every recipe all but the depth of the network and what the size of the rooms asks for.
SMALL = [
    "voxel_size=0.25", "trainer.epochs=1", "trainer.repeat=1", "trainer.batch_size=4", "trainer.validate_every=1",
    "trainer.log_every=1", "resume=auto",
]  # fmt: skip


def settings(recipe, *overrides):
    spunet = recipe in ("pointcept_spunet", "volt_teacher")
    return settings_of("train", f"recipe={recipe}", *([] if spunet else ["model.name=MinkUNet14A"]), *overrides)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_runs_from_nothing_and_resumes_bit_for_bit(tiny, tmp_path, monkeypatch, recipe):
    """Three steps show what twenty would: every draw is a function of its position, and all state is in the file."""
    options = [*tiny, *SMALL]
    if recipe in ("csc", "lground"):
        options += ["pretrain.epochs=1", "pretrain.voxel_size=0.25", f"pretrain.run_dir={tmp_path}/pretrain"]
    options.append("model.name=MinkUNet14A")
    whole, parts = (settings(recipe, *options, f"run_dir={tmp_path}/{name}") for name in ("whole", "parts"))
    train(whole, pretraining(whole))
    with monkeypatch.context() as patch:
        interrupt_after(patch, steps=2)
        with pytest.raises(SystemExit):
            train(parts, pretraining(parts))
    train(parts, pretraining(parts))
    a, b = (weights(tmp_path / name / "checkpoints/last.pt") for name in ("whole", "parts"))
    assert a["position"]["step"] >= 3
    assert equal(a, b)


def fixed_batch(channels):
    """Three scenes of voxels in a cube, some without a label; and the cube, (3, X, Y, Z) bool."""
    rng = torch.Generator().manual_seed(0)
    cells = torch.rand(3, SIZE, SIZE, SIZE, generator=rng).lt(0.05)
    coordinates = cells.nonzero().int()
    features = torch.randn(len(coordinates), channels, generator=rng, dtype=torch.float64)
    labels = torch.randint(-1, 30, (len(coordinates),), generator=rng)
    batch = Batch(coordinates, features, labels, ("a", "b", "c"), torch.arange(len(coordinates)))
    return batch, cells


def plain_loss(recipe, logits, features, labels, criterion, points):
    """The loss of ``recipe`` from its definition."""
    center = criterion.center
    if recipe == "lground":
        share, alpha = points / points.sum(), points**-0.5
        return focal(logits, labels, alpha / (alpha * share).sum(), 2.0)
    if recipe in ("volt_teacher", "ours"):
        loss = cross_entropy(logits, labels, 0.1) + lovasz(logits, labels)
    else:
        loss = cross_entropy(logits, labels)
    if recipe in ("lground_ce", "csc"):  # divided by all voxels
        return loss * (labels >= 0).double().mean()
    if recipe == "ours":
        means, classes = centers(features, labels)
        (layer,) = center.projector
        return loss + 0.1 * center_loss(means @ layer.weight.T + layer.bias, classes, center.weight, 10.0, points)
    if recipe == "ceco_2d":
        reduced = F.batch_norm(features @ center.reduce[0].weight.T, None, None, training=True)
        means, classes = centers(reduced, labels)
        z = (means @ center.projector[0].weight.T + center.projector[0].bias).relu()
        return loss + 0.8 * center_loss(z, classes, center.weight, 5.0, points)
    return loss


@pytest.mark.parametrize("recipe", RECIPES)
def test_loss_and_gradients_of_a_step_are_those_of_plain_torch(recipe):
    torch.manual_seed(0)
    found = settings(recipe, "dataset=scannet200", "dataset.raw=/raw", "init=null")
    points = torch.arange(1.0, CLASSES + 1).double() * 1000
    model = make_network(found, CLASSES)
    known = {"num_classes": CLASSES, "in_channels": model.feature_channels, "class_points": points}
    criterion = found.loss(**known, class_counts=points)
    if recipe == "ceco_2d":
        criterion.center.dropout.p = 0.0  # the draws of two implementations differ
    objective = Objective(model, criterion).double()
    channels = model.conv0p1s1.in_channels
    assert channels == {"lground_ce": 3, "csc": 3, "lground": 3, "volt_teacher": 6, "ours": 6}.get(recipe, 9)
    batch, cells = fixed_batch(channels)
    ours = objective(batch)["loss"]
    ours.backward()
    got = {name: value.grad.clone() for name, value in model.named_parameters()}
    model.zero_grad()

    variant = VARIANTS[found.model.name]
    plain = PlainNetwork(
        dict(model.named_parameters()), 1e-3 if "SpUNet" in found.model.name else 1e-5, variant.final_relu
    )
    features = plain.features(batch.features, cells)
    logits = features @ model.final.kernel + model.final.bias
    theirs = plain_loss(recipe, logits, features, batch.labels, criterion, points)
    theirs.backward()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)  # priors and class weights are float32
    for name, value in model.named_parameters():
        assert got[name].norm().item() == pytest.approx(value.grad.norm().item(), rel=1e-5, abs=1e-9), name
        torch.testing.assert_close(got[name], value.grad, rtol=1e-4, atol=1e-7)
    total = math.sqrt(sum(value.square().sum().item() for value in got.values()))
    assert total > 1e-3
