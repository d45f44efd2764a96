"""Choose classes of a run and project their neural-collapse geometry into three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ceco3d.reports.neural_collapse_runs import Run
from ceco3d.utils.errors import UserError

# Each stick is one class: how many the default choice takes from each group.
QUOTA = {"head": 1, "common": 2, "tail": 1}
# The simplex ETF of four classes in 3D: (4, 3) unit rows, pairwise cosines -1/3; every other corner of a cube.
TETRAHEDRON = np.array([[-1, -1, 1], [1, 1, 1], [-1, 1, -1], [1, -1, -1]]) / 3**0.5


def class_groups(run: Run) -> dict[str, np.ndarray]:
    """Return the training indices of the classes with validation points by group, most training points first.

    Groups are head, common and tail, or "all" in a label space without groups. Empty groups are omitted.
    """
    groups = {}
    for name, members in (run.space.groups or {"all": tuple(range(len(run.space)))}).items():
        present = np.array([k for k in members if run.counts[k] > 0], np.int64)
        if len(present):
            groups[name] = present[np.argsort(-run.train_counts[present], kind="stable")]
    return groups


def centered_centers(run: Run, classes: np.ndarray) -> np.ndarray:
    """Return (S, d) centers of ``classes`` minus the mean center of all classes with validation points."""
    centered: np.ndarray = run.centers[classes] - run.centers[run.counts > 0].mean(0)
    return centered


def choose_classes(runs: Sequence[Run], names: Sequence[str] | None = None) -> np.ndarray:
    """Return (4,) training indices of ``names``, or by default the QUOTA of each group with most validation points.

    Where a group is too small or the label space has no groups, the most frequent other classes fill up. All classes
    occur in all runs. Raises UserError unless ``names`` are four different classes that occur.
    """
    space, points = runs[0].space, np.min([run.counts for run in runs], axis=0)
    chosen: list[int] = []
    if names is None:
        frequent = [int(k) for k in np.argsort(-points, kind="stable") if points[k] > 0]
        for group, number in QUOTA.items():
            chosen += [k for k in frequent if k in space.groups.get(group, ())][:number]
        chosen += [k for k in frequent if k not in chosen][: 4 - len(chosen)]
    else:
        unknown = [name for name in names if name not in space.names]
        if unknown:
            raise UserError(f"classes: {', '.join(map(repr, unknown))} not in {space.name}; see the names in scores.md")
        chosen = [space.names.index(name) for name in names]
        absent = [space.names[k] for k in chosen if not points[k]]
        if absent:
            raise UserError(f"classes: no validation points of {', '.join(absent)}; choose others")
    if len(set(chosen)) != 4:
        raise UserError(f"classes={[space.names[k] for k in chosen]}: the figure needs four different classes")
    return np.array(chosen)


@dataclass(frozen=True)
class Sticks:
    """Four classes in 3D, in the frame of TETRAHEDRON, their simplex ETF.

    centers          (4, 3) class centers
    classifiers      (4, 3) rows of the classifier
    features         (m, 3) sampled point features
    feature_classes  (m,) int64 class 0..3 of each feature
    """

    centers: np.ndarray
    classifiers: np.ndarray
    features: np.ndarray
    feature_classes: np.ndarray


def project(run: Run, classes: np.ndarray) -> Sticks:
    """Project the (4,) ``classes`` of a run, and their features, into 3D.

    The class centers minus their mean, M (4, d), span three dimensions, so projecting onto that span keeps all their
    angles and lengths. Orthogonal Procrustes (Schönemann 1966) aligns them with the tetrahedron T: of all P (d, 3) with
    orthonormal columns in the span, it minimizes ``|s M P - T|``. Classifiers, minus their own mean, go through the
    same P, which drops whatever lies outside the span. Centers and classifiers are scaled to a mean length of 1 in d
    dimensions; features are scaled like the centers.
    """
    origin = run.centers[classes].mean(0)
    centers = run.centers[classes] - origin
    classifiers = run.classifiers[classes] - run.classifiers[classes].mean(0)
    rows, feature_classes = np.nonzero(run.feature_labels[:, None] == classes)
    left, _, right = np.linalg.svd(centers.T @ TETRAHEDRON, full_matrices=False)
    projection = left @ right
    length, classifier_length = (np.linalg.norm(vectors, axis=1).mean() for vectors in (centers, classifiers))
    if not (length > 0 and classifier_length > 0):
        raise UserError(
            f"{run.label}: the centers or the classifiers of {[run.space.names[k] for k in classes]} coincide"
        )
    return Sticks(
        centers=centers @ projection / length,
        classifiers=classifiers @ projection / classifier_length,
        features=(run.features[rows] - origin) @ projection / length,
        feature_classes=feature_classes,
    )
