"""Training on the GPU: steps of changing size, mixed precision, resuming; at toy size on the CPU."""

import math
import os
import signal
from functools import partial

import pytest
import torch

from ceco3d.models.minkunet import VARIANTS, MinkUNet
from ceco3d.sparse import SparseTensor, load_engine
from ceco3d.training.loop import Trainer
from ceco3d.training.run import train
from tests.helpers.commands import settings_of
from tests.helpers.gpu import DEVICE, ENGINE, ON_GPU, allocated, cases, surface
from tests.helpers.thin import THIN
from tests.helpers.training import SMALL, TIMINGS, equal, rows, weights


def config(tiny, run_dir, *overrides):
    here = [f"device={DEVICE.type}", f"engine={ENGINE}", f"run_dir={run_dir}", "loss=ce"]
    return settings_of("train", *tiny, *SMALL, *here, *overrides)


@cases("steps,voxels", [(12, 60)], [(500, 30_000)], slow=True)
def test_memory_does_not_creep(steps, voxels):
    """After as many steps of as many sizes again, no more bytes are live, and on a GPU no more are reserved."""
    variant = VARIANTS["MinkUNet14A"] if ON_GPU else THIN
    network = MinkUNet(variant, 9, 20, stem_kernel=3, engine=load_engine(ENGINE)).to(DEVICE)
    used, reserved = [], []
    for step in range(steps):
        count = voxels // 2 + step * 7919 % (voxels // 2)
        x = SparseTensor(torch.ones(count, 9, device=DEVICE), surface(count, step))
        with torch.autocast(DEVICE.type, torch.bfloat16):
            out = network(x).features
        out.float().square().mean().backward()
        network.zero_grad(set_to_none=True)
        del x, out
        if step + 1 in (steps // 4, steps):
            used.append(allocated())
            reserved.append(torch.cuda.memory_reserved() if ON_GPU else 0)
    assert used[0] > 0
    assert used[1] <= 1.001 * used[0]
    assert reserved[1] <= 1.2 * reserved[0]


@cases(
    "precision,augment_on",
    [("bf16", "loader")],
    [("bf16", "device"), ("fp16", "device"), ("tf32", "loader")],
    slow=True,
)
def test_resuming_equals_not_stopping(tiny, tmp_path, monkeypatch, precision, augment_on):
    """Weights, optimizer, scale and log are those of the uninterrupted run, bit for bit."""
    options = [f"precision={precision}", f"trainer.augment_on={augment_on}", "trainer.epochs=2"]
    options += ["trainer.validate_every=2", "resume=auto"]
    train(config(tiny, tmp_path / "whole", *options))
    original = Trainer._step

    def step(self, *arguments):
        if self.position.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", step)
        with pytest.raises(SystemExit):
            train(config(tiny, tmp_path / "parts", *options))
    train(config(tiny, tmp_path / "parts", *options))
    assert equal(*(weights(tmp_path / name / "checkpoints/last.pt") for name in ("whole", "parts")))
    changing = (*TIMINGS, "gpu_gib", "gpu_reserved_gib")
    whole, parts = (
        [{name: value for name, value in row.items() if name not in changing} for row in rows(tmp_path / folder)]
        for folder in ("whole", "parts")
    )
    assert whole == parts


@cases("scale", [2.0**30], [2.0**30], slow=True)
def test_float16_recovers_from_overflow(tiny, tmp_path, monkeypatch, scale):
    """Scaled gradients overflow at first: those steps change no weight and halve the scale, and training goes on."""
    monkeypatch.setattr(torch.amp, "GradScaler", partial(torch.amp.GradScaler, init_scale=scale))
    train(config(tiny, tmp_path, "precision=fp16", "trainer.epochs=8", "trainer.validate_every=8"))
    norms = [float(row["grad_norm"]) for row in rows(tmp_path) if row["loss"]]
    overflowed = sum(not math.isfinite(norm) for norm in norms)
    assert 0 < overflowed < len(norms)
    assert math.isfinite(norms[-1])
    assert weights(tmp_path / "checkpoints/last.pt")["scaler"]["scale"] == scale / 2**overflowed
