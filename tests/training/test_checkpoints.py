"""What checkpoints hold: best.pt is for use, last.pt is for going on."""

import shutil

import pytest
import torch

from ceco3d.models import load_trained, load_weights
from ceco3d.training.resuming import find_checkpoint
from ceco3d.training.run import train
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of
from tests.helpers.thin import ThinUNet
from tests.helpers.training import SMALL, weights


@pytest.fixture(scope="module")
def run_dir(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    overrides = ["trainer.epochs=1", "trainer.batch_size=7", "trainer.ema=0.9"]
    train(settings_of("train", *tiny, *SMALL, f"run_dir={folder}", *overrides))
    return folder


@pytest.fixture
def copied(run_dir, tmp_path):
    shutil.copytree(run_dir / "checkpoints", tmp_path / "run" / "checkpoints")
    return tmp_path / "run"


def test_best_holds_no_optimizer_and_is_smaller(run_dir):
    best, last = run_dir / "checkpoints/best.pt", run_dir / "checkpoints/last.pt"
    assert weights(best).keys() == {"setup", "position", "model"}
    assert {"optimizer", "random", "average", "raw_model"} <= weights(last).keys()
    assert best.stat().st_size < 0.3 * last.stat().st_size
    a, b = (load_trained(path)[0].state_dict() for path in (best, last))
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", ["best.pt", "last.pt"])
def test_both_start_another_training(run_dir, caplog, name):
    trained, _ = load_trained(run_dir / "checkpoints" / name)
    model = ThinUNet(trained.conv0p1s1.in_channels, 200)
    load_weights(model, run_dir / "checkpoints" / name)
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in model.state_dict().items())
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_no_run_resumes_from_best(tiny, copied):
    shutil.copy(copied / "checkpoints/best.pt", copied / "checkpoints/last.pt")
    with pytest.raises(UserError, match=r"last.pt: has no \w+, as a best.pt; resume from last.pt, or") as caught:
        train(settings_of("train", *tiny, *SMALL, f"run_dir={copied}", "resume=auto", "trainer.ema=0.9"))
    assert "\n" not in str(caught.value)


def test_a_folder_with_nothing_but_best_is_not_overwritten_in_silence(copied, caplog):
    for name in ("last.pt", "previous.pt"):
        (copied / "checkpoints" / name).unlink(missing_ok=True)
    with pytest.raises(UserError, match="already holds a run"):
        find_checkpoint(copied, None)
    assert find_checkpoint(copied, "auto") is None
    assert "starting anew, because last.pt is missing and best.pt holds no optimizer state" in caplog.text
