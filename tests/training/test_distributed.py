"""Several processes as one run: losses, gradients and scores of one process; no hang when one of them dies."""

import csv
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from ceco3d.data.batch import Batch, make_batch
from ceco3d.data.labels import label_blocks
from ceco3d.data.scenes.scene import Scene
from ceco3d.losses import CenterCollapseLoss, JointLoss, PointLoss, SegmentationLoss
from ceco3d.metrics import ClassMoments, Confusion
from ceco3d.training import batches
from ceco3d.training.objective import Objective
from ceco3d.training.run import train
from ceco3d.training.sync_batch_norm import synchronize
from ceco3d.utils.errors import UserError
from tests.helpers.commands import settings_of
from tests.helpers.label_spaces import numbered
from tests.helpers.thin import MODEL, ThinUNet

CLASSES = 5
PARTS = numbered(2), numbered(3)


def spawn(function, world, folder, *arguments):
    """``function(rank, world, *arguments)`` in ``world`` processes joined by gloo; what each of them returns."""
    folder = folder / f"{function.__name__}-{world}"
    folder.mkdir()
    if world == 1:
        enter(0, function, world, str(folder), arguments)
        return [torch.load(folder / "0.pt", weights_only=True)]
    arguments = (function, world, str(folder), arguments)
    torch.multiprocessing.start_processes(enter, arguments, nprocs=world, start_method="forkserver")
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(world)]


def enter(rank, function, world, folder, arguments):
    if world > 1:
        torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=world)
    torch.save(function(rank, world, *arguments), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def scenes(count):
    rng = torch.Generator().manual_seed(0)
    for number in range(count):
        points = 120 + 60 * number  # shares of unequal size
        yield Scene(
            f"scene{number}",
            torch.rand(points, 3, generator=rng) * 2,
            torch.rand(points, 3, generator=rng) * 255,
            torch.zeros(points, 3),
            torch.randint(-1, CLASSES, (points,), generator=rng),
            torch.zeros(points, dtype=torch.int64),
        )


def joint_loss(counts):
    """Of two label spaces, the first of which has two of the classes."""
    blocks = label_blocks({"first": PARTS[0], "second": PARTS[1]})
    return JointLoss(blocks, [criterion(counts[block.outputs]) for block in blocks])


def criterion(counts):
    classes = len(counts)
    point = PointLoss(classes, label_smoothing=0.1, gamma=1.0, beta=0.9, class_points=counts)
    return SegmentationLoss(point, CenterCollapseLoss(classes, 24, dim=8, class_counts=counts), 0.4)


def remembering(counts):
    """Alignment, and centers mixed with remembered ones; all classes take part, also absent ones."""
    classes = len(counts)
    center = CenterCollapseLoss(classes, 24, dim=8, class_counts=counts, memory=0.5)
    center.memory.remembered.copy_(torch.arange(classes * 24).reshape(classes, 24) % 7)
    center.memory.known[::2] = True
    return SegmentationLoss(PointLoss(classes), center, 0.4, alignment=0.3)


def one_step(rank, world, count, make_loss):
    """Loss and gradients of ``count`` scenes, shared by the processes, in float64."""
    torch.manual_seed(0)
    model = ThinUNet(in_channels=3, out_channels=CLASSES)
    synchronize(model)
    objective = Objective(model, make_loss(torch.arange(1, CLASSES + 1))).double().train()
    parallel = DistributedDataParallel(objective) if world > 1 else objective
    share = list(scenes(count))[rank * count // world : (rank + 1) * count // world]
    batch = make_batch(share, 0.2, ["color"])
    batch = Batch(batch.coordinates, batch.features.double(), batch.labels, batch.scenes, batch.inverse)
    total = parallel(batch)["loss"]
    total.backward()
    total = total.detach().clone()
    dist.all_reduce(total)
    tensors = {name: p.grad for name, p in objective.named_parameters()} | dict(objective.named_buffers())
    return total / world, tensors


@pytest.mark.parametrize("make_loss", [criterion, joint_loss, remembering])
def test_two_processes_compute_the_gradients_of_one(tmp_path, make_loss):
    ((loss, whole),) = spawn(one_step, 1, tmp_path, 4, make_loss)
    for shared_loss, shared in spawn(one_step, 2, tmp_path, 4, make_loss):
        torch.testing.assert_close(shared_loss, loss, rtol=1e-12, atol=0)
        assert whole.keys() == shared.keys()
        for name, value in whole.items():
            torch.testing.assert_close(
                shared[name], value, rtol=1e-7, atol=1e-10, msg=lambda text, n=name: f"{n}: {text}"
            )


def moments_of_a_share(rank, world):
    """Confusion and moments of ten scenes, shared by the processes."""
    confusion, moments = Confusion(CLASSES), ClassMoments(CLASSES, 3)
    for number, scene in list(enumerate(scenes(10)))[rank::world]:
        moments.seed(number)
        moments.update(scene.coord, scene.segment)
        confusion.update((scene.segment + number) % CLASSES, scene.segment)
    confusion.share()
    moments.share()
    squares = torch.stack(list(moments.squares.values()))
    return [confusion.counts, moments.counts, moments.centers, squares, moments.features, moments.labels]


def test_shared_scores_are_those_of_one_process(tmp_path):
    (whole,) = spawn(moments_of_a_share, 1, tmp_path)
    for shared in spawn(moments_of_a_share, 3, tmp_path):
        assert torch.equal(shared[0], whole[0])
        for ours, expected in zip(shared[1:], whole[1:], strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


# Whole runs ----------------------------------------------------------------------------------------------------------

SMALL = [
    *MODEL,
    "voxel_size=0.15",
    "trainer.batch_size=4",
    "trainer.log_every=1",
    "trainer.sync_batch_norm=true",
    "optimizer=sgd",
    "optimizer.lr=0.001",
]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def start(tiny, run_dir, *overrides):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m"]
    command = ["ceco3d.train", *tiny, *SMALL, f"run_dir={run_dir}", *overrides]
    return subprocess.Popen(
        torchrun + command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def rows(run_dir):
    with (run_dir / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def wait_for_steps(run_dir, count, seconds=120):
    """Until ``count`` steps are logged."""
    end = time.monotonic() + seconds
    while not (run_dir / "metrics.csv").exists() or len(rows(run_dir)) < count:
        assert time.monotonic() < end, "no steps"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("frozen", ["", "conv0p1s1,bn0,block1"])
def test_two_processes_have_the_loss_curve_and_scores_of_one(tiny, tmp_path, frozen):
    options = ["trainer.epochs=2", "trainer.validate_every=2", "trainer.accumulate=1", "transforms=light"]
    options += [f"trainer.freeze=[{frozen}]", "trainer.layer_decay=0.8"] if frozen else []
    shared = start(tiny, tmp_path / "2", *options)
    train(settings_of("train", *tiny, *SMALL, f"run_dir={tmp_path / '1'}", *options))
    _, err = shared.communicate(timeout=200)
    assert shared.returncode == 0, err
    one, two = rows(tmp_path / "1"), rows(tmp_path / "2")
    assert len(one) == len(two) == 7  # six steps and a validation
    for a, b in zip(one[:-1], two[:-1], strict=True):
        assert float(b["loss"]) == pytest.approx(float(a["loss"]), rel=1e-5)
    assert float(two[-1]["val_miou"]) == pytest.approx(float(one[-1]["val_miou"]), abs=1e-4)
    a, b = (torch.load(tmp_path / n / "checkpoints/last.pt", weights_only=True) for n in "12")
    assert a["position"]["step"] == b["position"]["step"] == 6
    assert len(b["random"]) == 2


def test_a_killed_process_ends_the_run(tiny, tmp_path):
    run = start(tiny, tmp_path, "trainer.epochs=1000")
    try:
        wait_for_steps(tmp_path, 2)
        listed = subprocess.run(["pgrep", "-P", str(run.pid)], capture_output=True, text=True, check=True)
        victim = max(map(int, listed.stdout.split()))
        os.kill(victim, signal.SIGKILL)
        _, err = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode != 0
    assert "SIGKILL" in err


@pytest.mark.slow
def test_termination_saves_and_another_number_of_processes_goes_on(tiny, tmp_path, capsys):
    run = start(tiny, tmp_path, "trainer.epochs=1000", "trainer.accumulate=2")
    try:
        wait_for_steps(tmp_path, 2)
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=60)
    finally:
        run.kill()
    position = torch.load(tmp_path / "checkpoints/last.pt", weights_only=True)["position"]
    assert position["step"] >= 2
    epochs = position["epoch"] + 1
    train(settings_of("train", *tiny, *SMALL, f"run_dir={tmp_path}", f"trainer.epochs={epochs}", "resume=auto"))
    assert f"step {position['step']}" in capsys.readouterr().out
    assert torch.load(tmp_path / "checkpoints/last.pt", weights_only=True)["position"]["step"] == 3 * epochs


def test_a_batch_that_processes_cannot_share_is_refused(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "world", lambda: 2)
    settings = settings_of("train", *tiny, *SMALL, "trainer.batch_size=3", f"run_dir={tmp_path}")
    message = "trainer.batch_size=3: must be a multiple of 2 (2 processes x trainer.accumulate=1)"
    with pytest.raises(UserError, match=re.escape(message)):
        train(settings)
