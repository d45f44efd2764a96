"""Folders as runs leave them, made without training."""

import json

import numpy as np
import yaml

from ceco3d.data.labels import GROUPS, label_space
from ceco3d.metrics.scores import CONVENTIONS

SPACE = label_space("scannet200")
EPOCHS, STEPS = 4, 25  # steps are those of an epoch
TERMS = ("loss", "ce", "ceco")


def write_run(folder, name="ceco", epochs=EPOCHS, done=EPOCHS, scored=True, **config):
    """Write a run of ``epochs`` that has logged ``done`` of them, with a validation after each; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, name, epochs, **config)
    write_log(folder, done)
    if scored:
        write_scores(folder)
    return folder


def write_config(folder, name="ceco", epochs=EPOCHS, **config):
    content = {
        "name": name,
        "seed": 0,
        "dataset": {
            "name": "rooms200",
            "label_space": "scannet200",
            "size": "tiny",
            "seed": 0,
            "root": "data/rooms200",
        },
        "model": {"name": "MinkUNet14A"},
        "loss": {"name": "ceco", "center_weight": 0.1},
        "trainer": {"epochs": epochs},
        "voxel_size": 0.1,
        "run_dir": "outputs/run",
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(content | config))


def write_log(folder, done=EPOCHS, seconds=False):
    """Write the log of ``done`` epochs, one row a step: loss 100 - step, ce half of it, ceco a tenth."""
    extra = ",seconds" if seconds else ""
    lines = [f"step,epoch,lr,loss,ce,ceco,grad_norm,voxels_per_second,val_miou,val_head,val_nc1{extra}"]
    for step in range(1, done * STEPS + 1):
        loss, epoch = 100 - step, (step - 1) // STEPS + 1
        time = f",{2 * step}" if seconds else ""
        lines.append(f"{step},{epoch},0.01,{loss},{loss / 2},{loss / 10},1.5,20000,,,{time}")
        if step % STEPS == 0:
            lines.append(f"{step},{epoch},,,,,,,{epoch / 10},{epoch / 5},{9 - epoch}{time}")
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")


def write_scores(folder, miou=0.25):
    """Write scores, a confusion in which every third class is right, and the counts of training points."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = np.zeros((len(SPACE), len(SPACE) + 1), np.int64)
    for k in range(len(SPACE)):
        counts[k, k if k % 3 == 0 else 0] = 1000 - k
    union = counts.sum(1) + counts[:, : len(SPACE)].sum(0) - counts.diagonal()
    iou = counts.diagonal() / union
    scores = {key: dict.fromkeys(CONVENTIONS, miou) for key in ("miou", *GROUPS)}
    scores["per_class"] = dict(zip(SPACE.names, iou.tolist(), strict=True))
    (folder / "metrics.json").write_text(json.dumps(scores))
    np.savez(folder / "confusion.npz", counts=counts)
    np.savez(folder / "collapse.npz", train_counts=np.arange(len(SPACE))[::-1])
