"""ceco3d.train and ceco3d.evaluate: modules that are called like functions, with the keys of the commands."""

from __future__ import annotations

import json
import sys

import pytest

import ceco3d
from ceco3d.api.calls import settings_from
from ceco3d.training.settings import TrainSettings
from ceco3d.utils.errors import UserError
from tests.helpers.training import SMALL


@pytest.mark.slow
def test_a_training_and_its_evaluation_run_as_the_commands_do(tiny, tmp_path, capsys):
    run = ceco3d.train(*tiny, *SMALL, trainer={"epochs": 1, "batch_size": 8}, run_dir=tmp_path / "my run", loss="ce")
    assert run == tmp_path / "my run"
    assert (run / "report.html").is_file()
    checkpoint = run / "checkpoints" / "last.pt"
    scores = ceco3d.evaluate(*tiny, checkpoint=checkpoint, fragments=False, out=tmp_path / "scores")
    assert json.loads((tmp_path / "scores/metrics.json").read_text()) == scores
    assert "written to" in capsys.readouterr().out
    assert len(ceco3d.load(checkpoint).classes) == 200


def test_the_module_and_the_function_are_one():
    import ceco3d.evaluate
    import ceco3d.train

    assert ceco3d.train is sys.modules["ceco3d.train"]
    assert callable(ceco3d.train)
    assert callable(ceco3d.evaluate)
    assert callable(ceco3d.train.main)


def test_values_of_python_arrive_as_they_are(tmp_path):
    odd = tmp_path / "it's [a], {b}=$c"
    keys = {"run_dir": odd, "init": None, "name": "true", "features": ["color", "normal"], "seed": 3}
    made = settings_from("train", TrainSettings, ("loss=ce",), keys | {"trainer": {"ema": None, "epochs": 2}})
    assert made.run_dir == odd
    assert (made.init, made.name, list(made.features), made.seed) == (None, "true", ["color", "normal"], 3)
    assert made.trainer.epochs == 2


@pytest.mark.parametrize(
    ("overrides", "keys", "message"),
    [
        (("epochs",), {}, "arguments without a name are written key=value"),
        ((), {"epohcs": 3}, "epohcs"),
        ((), {"trainer": {"epochs": 0}}, "trainer.epochs=0: must be at least 1"),
        ((), {"loss": object()}, "loss: a object cannot be a setting"),
        ((), {"loss": "no_loss"}, "no_loss"),
        (("experiment=longtail",), {}, "a study of several runs"),
    ],
)
def test_errors_are_one_line(overrides, keys, message):
    with pytest.raises(UserError, match=message) as caught:
        ceco3d.train(*overrides, **keys)
    assert "\n" not in str(caught.value)
