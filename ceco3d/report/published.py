"""Published results on the ScanNet200 benchmark, to stand beside a run's own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedRow:
    """mIoU in percent on the ScanNet200 test set."""

    method: str
    miou: float
    head: float
    common: float
    tail: float


# ScanNet200 benchmark page as shown on the CeCo poster (CVPR 2023).
SCANNET200_TEST = (
    PublishedRow("CeCo", 34.0, 55.1, 24.7, 18.1),
    PublishedRow("LGround", 27.2, 48.5, 18.4, 10.6),
    PublishedRow("Minkowski 34D", 25.3, 46.3, 15.4, 10.2),
    PublishedRow("CSC-Pretrain", 24.9, 45.5, 17.1, 7.9),
)
