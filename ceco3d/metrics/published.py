"""Published results on the ScanNet200 benchmark, for comparison with runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from ceco3d.data.labels import LabelSpace, label_space


@dataclass(frozen=True)
class PublishedRow:
    """Results on the ScanNet200 test set: means in percent; ``classes`` holds the known per-class IoUs (0..1)."""

    method: str
    miou: float
    head: float
    common: float
    tail: float
    classes: dict[str, float] = field(default_factory=dict)


_CLASSES = ("backpack", "bag", "ball", "bar", "basket", "bathroom cabinet")


def _classes(*ious: float) -> dict[str, float]:
    return dict(zip(_CLASSES, ious, strict=True))


# The ScanNet200 benchmark page as shown on the CeCo poster (CVPR 2023).
SCANNET200_TEST = (
    PublishedRow("CeCo", 34.0, 55.1, 24.7, 18.1, _classes(0.475, 0.057, 0.142, 0, 0, 0)),
    PublishedRow("LGround", 27.2, 48.5, 18.4, 10.6, _classes(0.476, 0.077, 0.218, 0, 0, 0)),
    PublishedRow("Minkowski 34D", 25.3, 46.3, 15.4, 10.2, _classes(0.381, 0.084, 0.134, 0, 0, 0)),
    PublishedRow("CSC-Pretrain", 24.9, 45.5, 17.1, 7.9, _classes(0.418, 0.059, 0.186, 0, 0, 0)),
)


def published_results(space: LabelSpace) -> tuple[PublishedRow, ...]:
    """The published results on the classes of ``space``; none but for ScanNet200."""
    return SCANNET200_TEST if space.same_classes(label_space("scannet200")) else ()
