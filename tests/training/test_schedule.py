"""Learning rate and momentum of each recipe at 20 points of its training, against the schedulers of torch."""

from types import SimpleNamespace

import pytest
import torch

from ceco3d.training.optimizer import follow, make_optimizer
from ceco3d.training.schedule import OneCycle
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of

SCENES = 1201
POINTS = 20
# The published step counts, and torch's schedulers with the arguments that the sources give them.
CYCLES = {
    "pointcept_spunet": (60_000, {"max_lr": 0.05, "final_div_factor": 1e4}),
    "pointcept_minkunet": (60_000, {"max_lr": 0.05, "final_div_factor": 1e4}),
    "ceco_2d": (60_000, {"max_lr": 0.05, "final_div_factor": 1e4}),
    "volt_teacher": (30_000, {"max_lr": 0.006, "final_div_factor": 1e3}),
}


def layer():
    return torch.nn.Linear(1, 1)


def optimizer_of(settings):
    objective = layer()
    return make_optimizer(settings, objective)


def steps_of(trainer):
    return trainer.epochs * (SCENES * trainer.repeat // trainer.batch_size)


def trace(settings, steps, at):
    """(rate, momentum) that ``follow`` sets at the steps ``at``."""
    optimizer = optimizer_of(settings)
    peaks, values = [group["lr"] for group in optimizer.param_groups], []
    for step in at:
        follow(settings.scheduler, optimizer, peaks, step / steps)
        (group,) = optimizer.param_groups
        values.append((group["lr"], group["betas"][0] if "betas" in group else group["momentum"]))
    return values


@pytest.mark.parametrize("recipe", CYCLES)
def test_one_cycle_is_that_of_torch(recipe):
    settings = settings_of("train", "dataset=scannet200", f"recipe={recipe}")
    steps, arguments = CYCLES[recipe]
    assert steps_of(settings.trainer) == steps
    reference = optimizer_of(settings)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        reference, total_steps=steps, pct_start=0.05, div_factor=10, **arguments
    )
    at = sorted({round(i * (steps - 1) / (POINTS - 1)) for i in range(POINTS)})
    wanted = []
    for step in range(steps):
        (group,) = reference.param_groups
        if step in at:
            wanted.append((group["lr"], group["betas"][0] if "betas" in group else group["momentum"]))
        reference._opt_called = True  # torch warns otherwise
        if step < steps - 1:
            scheduler.step()
    got = trace(settings, steps, at)
    peak = arguments["max_lr"]
    assert max(abs(ours[0] - theirs[0]) for ours, theirs in zip(got, wanted, strict=True)) < 3e-4 * peak
    assert max(abs(ours[1] - theirs[1]) for ours, theirs in zip(got, wanted, strict=True)) < 1e-4
    assert {round(value[1], 3) for value in got} >= {0.95, 0.85}


@pytest.mark.parametrize("recipe", ["lground_ce", "csc", "lground"])
def test_the_drops_are_those_of_torch(recipe):
    settings = settings_of("train", "dataset=scannet200", f"recipe={recipe}")
    reference = optimizer_of(settings)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(reference, milestones=[120, 150], gamma=0.3)
    wanted = []
    for _ in range(400):  # LanguageGroundedSemseg steps it after each epoch
        wanted.append((reference.param_groups[0]["lr"], 0.9))
        reference._opt_called = True
        scheduler.step()
    at = sorted({round(i * 399 / (POINTS - 1)) for i in range(POINTS)} | {119, 120, 149, 150})
    torch.testing.assert_close(torch.tensor(trace(settings, 400, at)), torch.tensor([wanted[epoch] for epoch in at]))


def test_without_cycling_the_momentum_stays():
    settings = settings_of("train", "dataset=scannet200")
    assert settings.scheduler == OneCycle(0.05, 10.0, 1e5)
    assert {momentum for _, momentum in trace(settings, 100, range(100))} == {0.9}


def test_an_optimizer_without_momentum_cannot_cycle_it():
    settings = SimpleNamespace(
        optimizer=lambda params: torch.optim.Adagrad(params, lr=0.1),
        scheduler=OneCycle(momentum=(0.95, 0.85)),
        trainer=SimpleNamespace(layer_decay=None),
    )
    with pytest.raises(UserError, match=r"scheduler.momentum=\[0.95, 0.85\]: Adagrad has none"):
        make_optimizer(settings, layer())
