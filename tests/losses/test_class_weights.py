"""Weights of the classes in the point loss: by counts, and from a file."""

import pytest
import torch
import torch.nn.functional as F

from ceco3d.losses import PointLoss
from ceco3d.utils.errors import UserError

NAMES = ("wall", "chair", "candle")
POINTS = torch.tensor([1_000_000, 40_000, 100])


def problem():
    rng = torch.Generator().manual_seed(0)
    return torch.randn(60, 3, generator=rng), torch.randint(-1, 3, (60,), generator=rng)


def loss(**options):
    return PointLoss(3, class_points=POINTS, class_names=NAMES, **options)


def write(folder, text):
    path = folder / "weights.csv"
    path.write_text(text)
    return path


def test_power_is_the_inverse_frequency_with_mean_1_over_the_points():
    weight = loss(power=1.0).weight.double()
    torch.testing.assert_close(weight * POINTS, torch.full((3,), weight[0].item() * 1e6).double(), rtol=1e-5, atol=0)
    share = POINTS / POINTS.sum()
    assert (weight * share).sum().item() == pytest.approx(1)
    half = loss(power=0.5).weight.double()
    assert (half[1] / half[0]).item() == pytest.approx(5)
    assert (half[2] / half[0]).item() == pytest.approx(100, rel=1e-4)


def test_the_effective_number_saturates_where_the_power_does_not():
    beta, power = loss(beta=0.9999).weight, loss(power=0.5).weight
    assert (beta[1] / beta[0]).item() == pytest.approx(1, abs=0.02)
    assert (power[1] / power[0]).item() == pytest.approx(5)


def test_weights_from_a_file_are_taken_as_they_are(tmp_path):
    path = write(tmp_path, "name,weight\nchair,3\ncandle,20.5\nwall,0.25\nlamp,7\n")
    logits, labels = problem()
    got = loss(weights=path, gamma=2.0)(logits, labels)
    alpha = torch.tensor([0.25, 3, 20.5])
    log_p = F.log_softmax(logits, 1)[labels >= 0]
    true = labels[labels >= 0]
    log_pt = log_p.gather(1, true[:, None]).squeeze(1)
    torch.testing.assert_close(got, (-alpha[true] * (1 - log_pt.exp()) ** 2 * log_pt).mean())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,weight\nwall,1\n", "has no weight for chair, candle; add a line"),
        ("name,weight\nwall,1\nchair,2\ncandle,-1\n", "candle has the weight -1.0; it must be 0 or more"),
        ("name,weight\nwall,1\nchair,2\ncandle,nan\n", "candle has the weight nan"),
        ("name,weight\nwall,x\n", "not a table of weights"),
        ("class,w\nwall,1\n", "not a table of weights"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        loss(weights=write(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        loss(weights=tmp_path / "none.csv")


def test_a_file_and_a_rule_contradict_each_other(tmp_path):
    with pytest.raises(ValueError, match="neither beta nor power"):
        loss(weights=write(tmp_path, "name,weight\n"), power=1.0)
