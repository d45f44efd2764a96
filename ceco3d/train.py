"""``python -m ceco3d.train``: train a network (conf/train.yaml)."""

from __future__ import annotations

from ceco3d.cli.start import start

if __name__ == "__main__":
    start("train")  # answers --help and wrong keys before the imports below, which take seconds

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ceco3d.api.calls import callable_module, settings_from
from ceco3d.cli.app import command, compose
from ceco3d.cli.settings import to_settings
from ceco3d.metrics.tables import print_scores
from ceco3d.preprocessing.joint import parts_of
from ceco3d.pretraining.method import PretrainSettings
from ceco3d.pretraining.run import pretrain
from ceco3d.reports.final_report import report_run, reporting_interruption
from ceco3d.runs.open_run import open_run
from ceco3d.training.run import train
from ceco3d.training.settings import TrainSettings
from ceco3d.utils.device import choose_device

# What the pretraining before a training shares with it.
SHARED = ("dataset", "model", "features", "engine", "device", "precision", "seed", "workers", "log_level")


def call(*overrides: str, **keys: Any) -> Path:
    """Train, as ``python -m ceco3d.train`` does with the same keys; returns the folder of the run.

    overrides, keys  see ``api.settings_from``: ``ceco3d.train("trainer.epochs=3", dataset="rooms200")``
    UserError if a key does not exist, or a value makes no sense.
    """
    settings = settings_from("train", TrainSettings, overrides, keys)
    run(settings)
    return settings.run_dir


@command("train", TrainSettings)
def main(settings: TrainSettings) -> None:
    """Train a network."""
    run(settings)


def run(settings: TrainSettings) -> None:
    """Train, then print the final validation scores; write the report of the run, also if it is interrupted."""
    if os.environ.get("RANK", "0") != "0":  # not the first of the processes that torchrun started
        train(settings, pretraining(settings))
        return
    with open_run(settings.run_dir):
        with reporting_interruption(settings.run_dir):
            scores = train(settings, pretraining(settings))
        for name, part in parts_of(settings.dataset).items():
            print_scores(
                scores["parts"][name] if name else scores,
                f"{settings.run_dir}, {f'{name} ' if name else ''}validation",
                part.space(),
            )
        report_run(settings.run_dir, choose_device(settings.device))


def pretraining(settings: TrainSettings) -> Callable[[], Path] | None:
    """The pretraining that ``settings.pretrain`` asks for (conf/recipe/csc.yaml), to be called for its weights."""
    if settings.pretrain is None:
        return None
    return lambda: pretrain(to_settings(PretrainSettings, pretraining_config(settings)), wait=True)


def pretraining_config(settings: TrainSettings) -> dict[str, Any]:
    """The configuration of that pretraining: data, augmentation and network of the training, the method's schedule."""
    request, config = settings.pretrain, settings.config
    assert request is not None
    dataset = config["dataset"]
    content = compose(
        "pretrain",
        [f"method={request.method}", f"dataset={dataset['name']}", f"dataset.voxel_size={dataset['voxel_size']}"],
    )
    content |= {key: config[key] for key in SHARED}
    content["transforms"] = {**config["transforms"], "paste": None}  # pasting is for the training's rare classes
    if request.bn_momentum is not None:
        content["model"] = {**content["model"], "bn_momentum": request.bn_momentum}
    content |= {"run_dir": str(request.run_dir), "resume": "auto"}
    if request.voxel_size is not None:
        content["voxel_size"] = request.voxel_size
    if request.epochs is not None:
        content["trainer"]["epochs"] = request.epochs
    return content


if __name__ == "__main__":
    main()
elif __name__ == "ceco3d.train":  # not in the processes that it starts
    callable_module(__name__, call)
