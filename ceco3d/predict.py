"""``python -m ceco3d.predict``: label scan files (conf/predict.yaml)."""

from __future__ import annotations

from ceco3d.cli.start import start

if __name__ == "__main__":
    start("predict")  # answers --help and wrong keys before the imports below, which take seconds

import logging
from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator

from ceco3d.cli.app import command
from ceco3d.cli.executor import ExecutorSettings
from ceco3d.cli.labeling import LabelingKeys
from ceco3d.cli.scoring import ViewSettings
from ceco3d.data.pointclouds.files import find_scans
from ceco3d.inference.ensemble import load_networks
from ceco3d.inference.on_cluster import label_scans_on_cluster, predictor_source
from ceco3d.inference.scan_labeling import label_scans
from ceco3d.models.pretrained import WeightsPaths
from ceco3d.utils.atomic import check_writable
from ceco3d.utils.device import choose_device, choose_precision
from ceco3d.utils.settings import CommonSettings, FilePath, Positive, as_texts, settings
from ceco3d.visualization.scan_page import write_page

logger = logging.getLogger(__name__)


@settings
class PredictSettings(LabelingKeys, ExecutorSettings, CommonSettings):
    """conf/predict.yaml."""

    tta: ViewSettings
    checkpoint: WeightsPaths
    input: Annotated[Sequence[str], BeforeValidator(as_texts)]
    out: FilePath
    voxel_size: Positive | None = None
    head: str | None = None
    overwrite: bool = False
    page: bool = True


@command("predict", PredictSettings)
def main(settings: PredictSettings) -> None:
    """Find the scans, load the network, label one scan after the other, or all of them on a cluster."""
    settings.check_cluster(settings.checkpoint, settings.vote)
    scans = find_scans(settings.input)
    check_writable(settings.out)
    options = settings.options(settings.overwrite, write_page if settings.page else None)
    views, size = settings.tta.views(), settings.voxel_size
    with settings.connected() as cluster:
        device = choose_device("cpu" if cluster else settings.device)  # workers have their own
        dtype = choose_precision("fp32" if cluster else settings.precision, device)
        rest = size, settings.head, None, settings.fragments
        predictor, space = load_networks(settings.checkpoint, device, views, dtype, *rest)
        if cluster is None:
            label_scans(predictor, space, scans, settings.out, options, settings.checkpoint)
        else:
            own = settings.device, settings.precision or "fp32"  # workers may differ
            source = predictor_source(predictor, settings.checkpoint[0], *own, space, settings.head)
            label_scans_on_cluster(cluster, source, scans, settings.out, options, settings.checkpoint[0])
    logger.info(f"written to {settings.out}")


if __name__ == "__main__":
    main()
