"""From a public data set as it is downloaded to a trained network: one command."""

import pytest

from ceco3d.training.run import train
from tests.helpers.commands import settings_of
from tests.helpers.public_scans import s3dis, semantickitti
from tests.helpers.training import SMALL, rows, weights


@pytest.mark.parametrize(
    ("name", "make", "features", "voxel_size"),
    [("s3dis", s3dis, ["coord", "color"], 0.25), ("semantickitti", semantickitti, ["coord", "intensity"], 1.0)],
)
def test_one_epoch(tmp_path, name, make, features, voxel_size):
    run = tmp_path / "run"
    dataset = [f"dataset={name}", f"dataset.raw={make(tmp_path / 'raw')}", f"dataset.root={tmp_path / 'root'}"]
    small = [*SMALL, f"voxel_size={voxel_size}", "trainer.epochs=1", "trainer.workers=0", "trainer.batch_size=1"]
    train(settings_of("train", *dataset, *small, f"run_dir={run}"))
    assert float(rows(run)[-1]["val_miou"]) >= 0
    assert weights(run / "checkpoints" / "best.pt")["setup"]["features"] == features
