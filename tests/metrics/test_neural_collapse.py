"""Neural-collapse measures against a brute-force reference, and what they say of perfect frames."""

import numpy as np
import pytest
import torch

from ceco3d.losses import simplex_etf
from ceco3d.metrics import ClassMoments, neural_collapse
from ceco3d.metrics.neural_collapse import SAMPLE, summary

GROUPS = {"head": (0, 1, 2), "tail": (4, 5, 6), "none": ()}


def problem(points=150, classes=7, dim=5):
    """Class 3 and 6 do not occur; -1 is ignored."""
    rng = np.random.default_rng(0)
    labels = rng.choice([-1, 0, 1, 2, 4, 5], points)
    features = rng.normal(size=(points, dim)) + 3 * rng.normal(size=(classes, dim))[labels] + 2
    return features.astype(np.float32), labels, rng.normal(size=(classes, dim)), rng.normal(size=classes)


def cosines(vectors):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.array([unit[i] @ unit[j] for i in range(len(unit)) for j in range(len(unit)) if i != j])


def reference(features, labels, weight, bias, group):
    """The measures from their definitions, point by point."""
    features = features.astype(np.float64)
    present = [k for k in range(len(weight)) if (labels == k).any()]
    means = {k: features[labels == k].mean(0) for k in present}
    center, middle = np.mean([means[k] for k in present], 0), np.mean([weight[k] for k in present], 0)
    classes = [k for k in present if k in group]
    member = np.isin(labels, classes)
    within = np.mean([np.cov(features[labels == k].T, bias=True) for k in classes], axis=0)
    between = sum(np.outer(means[k] - center, means[k] - center) for k in classes) / len(classes)

    def frame(vectors):
        norms, angles = np.linalg.norm(vectors, axis=1), cosines(vectors)
        return {
            "equinorm": norms.std() / norms.mean(),
            "equiangularity": angles.std(),
            "separation": np.abs(angles + 1 / (len(present) - 1)).mean(),
        }

    m, w = np.array([means[k] - center for k in classes]), np.array([weight[k] for k in classes])
    agree = [
        present[np.argmax([weight[k] @ x + bias[k] for k in present])]
        == present[np.argmin([np.linalg.norm(x - means[k]) for k in present])]
        for x in features[member]
    ]
    return {
        "classes": len(classes),
        "nc1": np.trace(within @ np.linalg.pinv(between)) / len(classes),
        "centers": {"centred": frame(m), "raw": frame(np.array([means[k] for k in classes]))},
        "classifiers": {"centred": frame(w - middle), "raw": frame(w)},
        "self_duality": np.linalg.norm(w / np.linalg.norm(w) - m / np.linalg.norm(m)),
        "nearest_center": np.mean(agree),
    }


def flat(tree, prefix=""):
    for key, value in tree.items():
        yield from flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]


@pytest.mark.parametrize("batch", [150, 40, 7])
def test_measures_equal_brute_force(batch):
    features, labels, weight, bias = problem()
    moments = ClassMoments(7, 5, GROUPS)
    for start in range(0, len(labels), batch):
        chunk = slice(start, start + batch)
        moments.update(torch.from_numpy(features[chunk]), torch.from_numpy(labels[chunk]))
    assert np.bincount(labels[labels >= 0]).max() <= SAMPLE  # so that nearest_center is exact too
    got = neural_collapse(moments, torch.from_numpy(weight), torch.from_numpy(bias))
    assert set(got) == {"all", "head", "tail"}
    for group, classes in {"all": range(7), "head": GROUPS["head"], "tail": GROUPS["tail"]}.items():
        wanted = dict(flat(reference(features, labels, weight, bias, classes)))
        assert dict(flat(got[group])) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_a_collapsed_network_measures_zero():
    frame = simplex_etf(6, 8).double()
    labels = torch.arange(60) % 6
    moments = ClassMoments(6, 8)
    moments.update(5 * frame[labels] + 1, labels)
    found = neural_collapse(moments, frame)["all"]
    assert found["nearest_center"] == 1
    values = dict(flat(found["centers"]["centred"], "c.")) | {key: found[key] for key in ("nc1", "self_duality")}
    assert values == pytest.approx(dict.fromkeys(values, 0), abs=1e-5)
    assert found["centers"]["raw"]["separation"] > 0.1  # the offset is not centered away
    assert summary({"all": found})["val_separation"] == found["centers"]["centred"]["separation"]


def test_fewer_than_two_classes_have_no_measures():
    moments = ClassMoments(4, 3, {"tail": (2, 3)})
    moments.update(torch.randn(5, 3), torch.tensor([0, 0, 1, 2, -1]))
    found = neural_collapse(moments, torch.randn(4, 3))
    assert found["tail"] is None
    assert found["all"]["classes"] == 3
    assert summary({"all": None}) == {}


def test_the_sample_is_small_random_and_repeatable():
    features, labels = torch.arange(4000.0)[:, None].expand(-1, 2), torch.arange(4000) % 3
    samples = []
    for batch in (4000, 4000, 500):
        moments = ClassMoments(3, 2)
        for start in range(0, 4000, batch):
            moments.update(features[start : start + batch], labels[start : start + batch])
        assert torch.bincount(moments.labels).tolist() == [SAMPLE] * 3
        assert torch.equal(moments.features[:, 0].long() % 3, moments.labels)
        samples.append(moments.features[:, 0].sort().values)
    assert torch.equal(samples[0], samples[1])
    assert torch.equal(samples[0], samples[2])
    assert 1500 < samples[0].mean() < 2500
