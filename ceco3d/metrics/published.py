"""Published results on the ScanNet200 benchmark, for comparison with runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ceco3d.data.labels import LabelSpace, label_space


@dataclass(frozen=True)
class PublishedRow:
    """Results on the ScanNet200 test set: means in percent; ``classes`` holds the known per-class IoUs (0..1).

    convention  of the means, see ``metrics.scores``
    remark      on how they came about
    """

    method: str
    miou: float
    head: float
    common: float
    tail: float
    classes: dict[str, float] = field(default_factory=dict)
    convention: str = "union"
    remark: str = ""


TEST_PROTOCOL = "test protocol: may include training on validation scenes, several models, votes over segments"
_CLASSES = ("backpack", "bag", "ball", "bar", "basket", "bathroom cabinet")


def _classes(*ious: float) -> dict[str, float]:
    return dict(zip(_CLASSES, ious, strict=True))


# The ScanNet200 benchmark page as shown on the CeCo poster (CVPR 2023). The server scores: ScanNet's script
# (BenchmarkScripts/3d_evaluation/evaluate_semantic_label.py) leaves out classes with an empty union.
SCANNET200_TEST = (
    PublishedRow("CeCo", 34.0, 55.1, 24.7, 18.1, _classes(0.475, 0.057, 0.142, 0, 0, 0), remark=TEST_PROTOCOL),
    PublishedRow("LGround", 27.2, 48.5, 18.4, 10.6, _classes(0.476, 0.077, 0.218, 0, 0, 0)),
    PublishedRow("Minkowski 34D", 25.3, 46.3, 15.4, 10.2, _classes(0.381, 0.084, 0.134, 0, 0, 0)),
    PublishedRow("CSC-Pretrain", 24.9, 45.5, 17.1, 7.9, _classes(0.418, 0.059, 0.186, 0, 0, 0)),
)


def published_note(rows: Sequence[PublishedRow]) -> str:
    """What published results are: the data, the convention of the means, and remarks on single rows."""
    conventions = ", ".join(dict.fromkeys(row.convention for row in rows))
    remarks = "".join(f" {row.method}: {row.remark}." for row in rows if row.remark)
    return f"ScanNet200 test set, scored by the benchmark's server ({conventions}).{remarks}"


def published_results(space: LabelSpace) -> tuple[PublishedRow, ...]:
    """The published results on the classes of ``space``; none but for ScanNet200."""
    return SCANNET200_TEST if space.same_classes(label_space("scannet200")) else ()
