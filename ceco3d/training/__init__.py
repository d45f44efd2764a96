"""Training: the loop, its batches, checkpoints, schedules, loggers, and recovery from faults.

``train`` runs what conf/train.yaml describes. The other names are its parts, which also work without a configuration:
docs/architecture.md trains a network with them.
"""

from ceco3d.training.loggers import CsvLogger, Logger, TensorBoardLogger, WandbLogger
from ceco3d.training.loop import Trainer
from ceco3d.training.objective import Objective
from ceco3d.training.prefetcher import Prefetcher
from ceco3d.training.run import train
from ceco3d.training.schedule import Exponential, MultiStep, OneCycle, Poly, Schedule
from ceco3d.training.settings import TrainerSettings, TrainSettings

__all__ = [
    "CsvLogger",
    "Exponential",
    "Logger",
    "MultiStep",
    "Objective",
    "OneCycle",
    "Poly",
    "Prefetcher",
    "Schedule",
    "TensorBoardLogger",
    "TrainSettings",
    "Trainer",
    "TrainerSettings",
    "WandbLogger",
    "train",
]
