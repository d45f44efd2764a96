"""The loggers, read back from the files they write."""

import csv
import json

import pytest
import yaml

from ceco3d.training import wandb_logger
from ceco3d.training.loggers import CsvLogger, Loggers, WandbLogger
from ceco3d.training.reporting import flat_settings, tag
from ceco3d.training.run import train
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of
from tests.helpers.source import ROOT
from tests.helpers.training import SMALL, rows
from tests.helpers.wandb_files import read_offline_run

OLD = ROOT / "docs/results/longtail/ce-0/metrics.csv"


def test_names_are_grouped():
    assert [tag(name) for name in ("loss", "val_miou", "test_miou")] == ["train/loss", "val/miou", "test/miou"]


def test_settings_are_flat_for_tensorboard():
    assert flat_settings({"a": {"b": 1, "c": None}, "d": [1, 2], "e": True}) == {"a.b": 1, "d": "[1, 2]", "e": True}


def test_training_and_validation_have_rows_of_their_own(tmp_path):
    log = CsvLogger(tmp_path, 0)
    log.log({"step": 1, "epoch": 1, "seconds": 0.5, "loss": 1.0})
    log.log({"step": 1, "epoch": 1, "seconds": 0.75, "val_miou": 0.1})
    assert [(row["phase"], row["seconds"]) for row in rows(tmp_path)] == [("train", "0.5"), ("val", "0.75")]
    assert list(rows(tmp_path)[0])[:4] == ["step", "phase", "epoch", "seconds"]


def test_a_log_of_an_older_version_goes_on_with_the_new_columns(tmp_path):
    with OLD.open(newline="") as file:
        old = list(csv.DictReader(file))
    (tmp_path / "metrics.csv").write_bytes(OLD.read_bytes())
    last = int(old[-1]["step"])
    log = CsvLogger(tmp_path, last + 0.5)
    log.log({"step": last + 1, "epoch": 99, "seconds": 4.5, "loss": 1.0})
    log.log({"step": last + 1, "epoch": 99, "seconds": 5.5, "val_miou": 0.5})
    *kept, one, two = rows(tmp_path)
    assert [{k: v for k, v in row.items() if k in old[0] and v} for row in kept] == [
        {k: v for k, v in row.items() if v} for row in old
    ]
    assert [row["phase"] for row in kept] == ["val" if row["val_miou"] else "train" for row in old]
    assert {row["seconds"] for row in kept} == {""}
    assert (one["phase"], one["loss"], one["seconds"]) == ("train", "1.0", "4.5")
    assert (two["phase"], two["val_miou"], two["seconds"]) == ("val", "0.5", "5.5")


def test_results_that_a_logger_cannot_take_are_a_warning(capsys):
    class Failing:
        def log(self, values):
            pass

        def finish(self, results):
            raise RuntimeError("no room")

        def close(self):
            pass

    Loggers([Failing()]).finish(None)
    assert capsys.readouterr().err == "warning: Failing: results not logged (no room)\n"


@pytest.fixture
def offline(monkeypatch, tmp_path):
    pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("NETRC", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setattr(wandb_logger, "_logged_in", lambda _: False)


@pytest.mark.slow
def test_all_loggers_of_a_training_tell_the_same(tiny, tmp_path, offline, capsys):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = tmp_path / "run"
    wandb_keys = ["logger.wandb.group=seeds", "logger.wandb.tags=[a,b]", "logger.wandb.notes=a try"]
    options = [*tiny, *SMALL, "loss=ce", f"run_dir={run}", "logger=[csv,tensorboard,wandb]", *wandb_keys, "resume=auto"]
    scores = train(settings_of("train", *options, "trainer.epochs=1"))
    written = [(float(row["loss"]), int(row["step"])) for row in rows(run) if row["loss"]]

    events = accumulator.EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    plotted = [(event.value, event.step) for event in events.Scalars("train/loss")]
    assert plotted == [(pytest.approx(loss), step) for loss, step in written]
    assert events.Scalars("val/miou")[0].value == pytest.approx(scores["miou"]["present"])
    assert all(name.partition("/")[0] in ("train", "val") for name in events.Tags()["scalars"])
    assert events.Tags()["images"] == ["val/best scene", "val/worst scene"]
    settings = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"trainer.epochs" in settings
    assert b"val/miou" in events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    classes = events.Tensors("val/classes/text_summary")[0].tensor_proto.string_val[0].decode()
    assert classes.splitlines()[0] == "| class | group | validation points | IoU % |"

    (folder,) = (run / "wandb").glob("offline-run-*")
    first = read_offline_run(folder)
    logged = [(row["train/loss"], row["step"]) for row in first.history if "train/loss" in row]
    assert logged == [(pytest.approx(loss), step) for loss, step in written]
    assert first.summary["val/miou"] == pytest.approx(scores["miou"]["present"])
    assert first.config["trainer"] == yaml.safe_load((run / "config.yaml").read_text())["trainer"]
    assert (first.name, first.group, first.tags, first.notes) == ("run", "seeds", ["a", "b"], "a try")
    assert (first.metrics["train/*"], first.metrics["val/*"], first.exit_code) == ("step", "step", 0)
    (table,) = folder.rglob("*.table.json")
    content = json.loads(table.read_text())
    assert content["columns"] == ["class", "group", "validation points", "IoU %"]
    assert len(content["data"]) == 200
    assert len(list(folder.rglob("*.png"))) == 2
    assert "not logged in, logging to" in capsys.readouterr().out

    train(settings_of("train", *options, "trainer.epochs=2"))
    (again,) = set((run / "wandb").glob("offline-run-*")) - {folder}
    second = read_offline_run(again)
    assert second.run_id == first.run_id == json.loads((run / "wandb.json").read_text())["id"]
    assert min(row["step"] for row in second.history) == 4
    seconds = [float(row["seconds"]) for row in rows(run)]
    assert seconds == sorted(seconds)
    assert seconds[-1] > seconds[0] > 0


def test_online_without_a_login_is_one_line(tmp_path, offline, monkeypatch):
    with pytest.raises(UserError, match=r"not logged in; run `wandb login`, or pass logger\.wandb\.mode=offline"):
        WandbLogger(tmp_path, 0, mode="online")
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(UserError, match="not logged in"):
        WandbLogger(tmp_path, 0)
    assert not (tmp_path / "wandb").exists()


def test_a_damaged_id_is_replaced_with_a_warning(tmp_path, caplog):
    (tmp_path / "wandb.json").write_text("{")
    found = wandb_logger._run_id(tmp_path)
    assert "gets a new id" in caplog.text
    assert wandb_logger._run_id(tmp_path) == found


def test_an_unknown_mode_names_the_key(tmp_path):
    with pytest.raises(UserError, match=r"logger\.wandb\.mode"):
        settings_of("train", "logger=[wandb]", "logger.wandb.mode=sometimes")
