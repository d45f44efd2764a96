"""Recovery from damaged checkpoints, full disks, unreadable scenes, infinite losses, signals, dead loaders."""

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from ceco3d.preprocess import parse_shard
from ceco3d.preprocessing.pipeline import preprocess_scenes
from ceco3d.training.checkpoint import LAST, PREVIOUS, read_newest, save
from ceco3d.training.checkpoint_writer import CheckpointWriter
from ceco3d.training.guards import UnreadableSceneGuard
from ceco3d.training.loggers import CsvLogger, Loggers
from ceco3d.training.loop import Trainer
from ceco3d.training.random_state import random_state, set_random_state
from ceco3d.training.run import train
from ceco3d.utils import atomic as output
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of
from tests.helpers.training import SMALL, equal, rows, weights


def config(tiny, run_dir, *overrides):
    return settings_of("train", *tiny, *SMALL, "loss=ce", f"run_dir={run_dir}", *overrides)


@pytest.fixture
def own_scenes(tiny, tmp_path):
    """The processed scenes of ``tiny`` as a copy that a test may damage, and the overrides that select it."""
    root = Path(next(o for o in tiny if o.startswith("dataset.root=")).partition("=")[2])
    copied = tmp_path / "processed"
    shutil.copytree(root, copied)
    return copied, [tiny[0], "dataset.raw=null", f"dataset.root={copied}"]


# Checkpoints ---------------------------------------------------------------------------------------------------------


def flip(path, share):
    """One byte of the file becomes another."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 0x55
    path.write_bytes(data)


def truncate(path, share):
    os.truncate(path, int(path.stat().st_size * share))


@pytest.mark.parametrize(("damage", "share"), [(flip, 0.5), (flip, 0.1), (truncate, 0.9), (truncate, 0.0)])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, capsys, damage, share):
    save(tmp_path / LAST, {"step": 1, "weight": torch.zeros(5000)}, tmp_path / PREVIOUS)
    save(tmp_path / LAST, {"step": 2, "weight": torch.ones(5000)}, tmp_path / PREVIOUS)
    assert read_newest(tmp_path).content["step"] == 2
    damage(tmp_path / LAST, share)
    assert read_newest(tmp_path).content["step"] == 1
    assert "warning: " in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {PREVIOUS, LAST + ".damaged"}
    damage(tmp_path / PREVIOUS, share)
    with pytest.raises(UserError, match="no checkpoint in it can be read"):
        read_newest(tmp_path)


def test_a_file_with_code_in_it_is_not_run(tmp_path):
    (tmp_path / LAST).write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(UserError, match="no checkpoint in it can be read"):
        read_newest(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_run_with_a_damaged_checkpoint_ends_like_one_without(tiny, tmp_path):
    options = ["trainer.epochs=2", "trainer.validate_every=2", "resume=auto"]
    train(config(tiny, tmp_path / "whole", *options))
    train(config(tiny, tmp_path / "parts", *options))
    (tmp_path / "parts/metrics.json").unlink()
    flip(tmp_path / "parts/checkpoints/last.pt", 0.3)
    train(config(tiny, tmp_path / "parts", *options))
    a, b = (weights(tmp_path / name / "checkpoints/last.pt") for name in ("whole", "parts"))
    assert equal(a, b)


def test_what_does_not_fit_is_not_begun(tmp_path):
    save(tmp_path / LAST, {"step": 1})
    with pytest.raises(OSError, match="MB needed"):
        save(tmp_path / LAST, {"weight": torch.empty(2**52, device="meta")}, tmp_path / PREVIOUS)
    assert [path.name for path in tmp_path.iterdir()] == [LAST]
    assert read_newest(tmp_path).content["step"] == 1


def test_a_full_disk_keeps_the_checkpoint_and_is_tried_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(output, "RETRY_SECONDS", 0.0)
    writer, weight = CheckpointWriter(tmp_path), torch.ones(50000)
    assert writer.save(LAST, {"weight": weight})
    (tmp_path / "last.part").symlink_to("/dev/full")  # every write fails with ENOSPC
    weight += 1
    assert not writer.save(LAST, {"weight": weight})
    assert read_newest(tmp_path).content["weight"].max() == 1
    weight += 1  # training goes on, what waits does not change
    writer.retry()
    assert read_newest(tmp_path).content["weight"].max() == 2
    writer.finish()
    assert "not saved" in capsys.readouterr().err


def test_training_outlives_a_folder_that_cannot_be_written(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(output, "RETRY_SECONDS", 0.0)
    folder, original = tmp_path / "checkpoints", Trainer._step

    def step(self, *arguments):
        if self.position.step == 1:  # a file where the folder was: also root cannot write into it
            folder.rename(tmp_path / "away") if folder.exists() else None
            folder.write_text("")
        if self.position.step == 5:
            folder.unlink()
        return original(self, *arguments)

    monkeypatch.setattr(Trainer, "_step", step)
    train(config(tiny, tmp_path, "trainer.epochs=2", "trainer.validate_every=2", "trainer.save_every=1"))
    assert weights(folder / "last.pt")["position"]["step"] == 6
    assert "training continues" in capsys.readouterr().err


def test_rows_of_the_log_wait_for_the_disk(tmp_path, capsys):
    log = Loggers([CsvLogger(tmp_path, 0)])
    log.log({"step": 1, "loss": 1.0})
    (tmp_path / "metrics.csv").rename(tmp_path / "kept")
    (tmp_path / "metrics.csv").mkdir()
    log.log({"step": 2, "loss": 2.0})
    (tmp_path / "metrics.csv").rmdir()
    (tmp_path / "kept").rename(tmp_path / "metrics.csv")
    log.log({"step": 3, "loss": 3.0})
    assert [row["loss"] for row in rows(tmp_path)] == ["1.0", "2.0", "3.0"]
    assert capsys.readouterr().err.count("warning: ") == 1


def test_results_wait_for_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(output, "RETRY_SECONDS", 0.01)
    attempts = []

    def write():
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError("full")

    output.retry_on_disk_error(write)
    assert len(attempts) == 3
    monkeypatch.setattr(output, "PATIENCE_SECONDS", -1.0)
    attempts.clear()
    with pytest.raises(OSError, match="full"):
        output.retry_on_disk_error(write)


def test_global_generators_go_on_where_they_were(tmp_path):
    save(tmp_path / LAST, {"random": random_state()})
    expected = torch.rand(3), np.random.random(3)  # noqa: NPY002
    set_random_state(read_newest(tmp_path).content["random"])
    assert torch.equal(torch.rand(3), expected[0])
    np.testing.assert_array_equal(np.random.random(3), expected[1])  # noqa: NPY002


# Data ----------------------------------------------------------------------------------------------------------------


def write_nan(folder):
    coord = np.load(folder / "coord.npy")
    coord[3, 1] = np.nan
    np.save(folder / "coord.npy", coord)


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_scenes_are_left_out_and_named_once(own_scenes, tmp_path, capsys, workers):
    root, overrides = own_scenes
    train_scenes, val_scenes = sorted((root / "train").iterdir()), sorted((root / "val").iterdir())
    truncate(train_scenes[2] / "color.npy", 0.5)
    write_nan(train_scenes[5])
    (val_scenes[0] / "segment200.npy").write_bytes(b"not an array")
    options = ["trainer.epochs=2", "trainer.max_bad_scenes=0.3", f"trainer.workers={workers}"]
    train(config(overrides, tmp_path / "run", *options))
    err = capsys.readouterr().err
    for scene in (train_scenes[2], train_scenes[5], val_scenes[0]):
        assert err.count(f"skipping scene {scene.name}") == 1
    assert "trained without 3 unreadable scenes" in err
    assert len([row for row in rows(tmp_path / "run") if row["loss"]]) == 6, "batches stay full"


def test_too_many_bad_scenes_end_the_run():
    bad = UnreadableSceneGuard(total=20, limit=0.1)
    bad.add([("a", "torn"), ("b", "torn")])
    bad.add([("a", "torn")])
    with pytest.raises(UserError, match=r"3 of 20 scenes cannot be read.*the first is a: torn"):
        bad.add([("c", "torn")])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_vanished_data_folder_ends_the_run_with_one_line(own_scenes, tmp_path, monkeypatch, workers):
    root, overrides = own_scenes
    original = Trainer._step

    def step(self, *arguments):
        if self.position.step == 4:
            shutil.rmtree(root)
        return original(self, *arguments)

    monkeypatch.setattr(Trainer, "_step", step)
    with pytest.raises(UserError, match=r"scenes can be read|cannot be read"):
        train(config(overrides, tmp_path / "run", "trainer.epochs=9", f"trainer.workers={workers}"))
    assert weights(tmp_path / "run/checkpoints/last.pt")["position"]["step"] % 3 == 0


# Steps ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_loss_that_is_not_finite_changes_nothing(tiny, tmp_path, monkeypatch, capsys, precision):
    original, seen = Trainer._step, []

    def step(self, batches, interrupt):
        state = {name: value.clone() for name, value in self.objective.model.state_dict().items()}
        if self.position.step == 1:
            batches[0].features.mul_(1e38)  # finite, but no longer after the first layer
        result = original(self, batches, interrupt)
        after = self.objective.model.state_dict()
        seen.append(all(torch.equal(state[name], after[name]) for name in state))
        return result

    monkeypatch.setattr(Trainer, "_step", step)
    train(config(tiny, tmp_path, "trainer.epochs=1", f"precision={precision}"))
    assert seen == [False, True, False]  # weights and statistics of batch norms
    assert all(value.isfinite().all() for value in weights(tmp_path / "checkpoints/last.pt")["model"].values())
    assert "step 2 skipped" in capsys.readouterr().err
    assert [float(row["skipped"]) for row in rows(tmp_path) if row["skipped"]] == [0, 1, 1]


def test_a_run_without_finite_losses_keeps_what_it_failed_on(tiny, tmp_path):
    with pytest.raises(UserError, match="2 steps in a row"):
        train(config(tiny, tmp_path, "optimizer.lr=1e30", "trainer.clip_grad_norm=null", "trainer.max_skipped=2"))
    (kept,) = (tmp_path / "skipped").iterdir()
    (batch,) = weights(kept)
    assert len(batch["scenes"]) == 4
    assert len(batch["coordinates"]) == len(batch["features"]) == len(batch["labels"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_signals_save_and_give_their_number(tiny, tmp_path, monkeypatch, number):
    original = Trainer._step

    def step(self, *arguments):
        if self.position.step == 1:
            os.kill(os.getpid(), number)
        return original(self, *arguments)

    monkeypatch.setattr(Trainer, "_step", step)
    with pytest.raises(SystemExit) as ended:
        train(config(tiny, tmp_path, "trainer.epochs=2"))
    assert ended.value.code == 128 + number
    assert weights(tmp_path / "checkpoints/last.pt")["position"]["step"] == 2


def test_a_dead_loader_process_ends_the_run_with_one_line(tiny, tmp_path, monkeypatch):
    original = Trainer._step

    def step(self, *arguments):
        if self.position.step == 1:
            for worker in self.prefetcher.loader._iterator._workers:
                os.kill(worker.pid, signal.SIGKILL)
        return original(self, *arguments)

    monkeypatch.setattr(Trainer, "_step", step)
    with pytest.raises(UserError, match="a loader process died"):
        train(config(tiny, tmp_path, "trainer.epochs=9", "trainer.workers=1"))


def test_gradients_of_parts_add_up(tiny, tmp_path):
    cfg = config(tiny, tmp_path, "trainer.epochs=1", "trainer.accumulate=2", "trainer.save_every=1")
    train(cfg)
    assert len([row for row in rows(tmp_path) if row["loss"]]) == 3
    with pytest.raises(UserError, match=r"trainer\.batch_size=4: must be a multiple of 3"):
        train(config(tiny, tmp_path / "other", "trainer.accumulate=3"))


# Preprocessing in shards ---------------------------------------------------------------------------------------------


def test_shards_make_all_scenes(tiny, tmp_path):
    raw = Path(next(o for o in tiny if o.startswith("dataset.raw=")).partition("=")[2])
    done = [preprocess_scenes(raw, tmp_path, None, 1, True, shard=(i, 3)).done for i in (1, 2, 3)]
    assert sum(done) == len(list(tmp_path.glob("*/scene*"))) == 18
    assert max(done) - min(done) <= 1
    assert json.loads((tmp_path / "preprocess.json").read_text())["align"] is True
    assert preprocess_scenes(raw, tmp_path, None, 1, True).skipped == 18


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "-1/2", "1/0"])
def test_impossible_shards_are_refused(text):
    with pytest.raises(UserError, match="shard="):
        parse_shard(text)
    assert parse_shard("2/3") == (2, 3)


def test_a_validation_that_was_not_saved_is_not_logged_twice(tiny, tmp_path, monkeypatch):
    options = ["trainer.epochs=1", "trainer.save_every=1", "resume=auto"]
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_validates", lambda _: True)
        original = Trainer._validate

        def killed(self, log):
            original(self, log)
            raise KeyboardInterrupt  # after the row of the validation, before the checkpoint that knows of it

        patch.setattr(Trainer, "_validate", killed)
        with pytest.raises(KeyboardInterrupt):
            train(config(tiny, tmp_path, *options))
    assert sum(bool(row["val_miou"]) for row in rows(tmp_path)) == 1
    train(config(tiny, tmp_path, *options))
    assert [row["step"] for row in rows(tmp_path)] == ["1", "2", "3", "3"]
