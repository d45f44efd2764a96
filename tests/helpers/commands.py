"""Commands: their settings and how they end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ceco3d.benchmark import BenchmarkSettings
from ceco3d.cli.app import compose
from ceco3d.cli.scoring import ScoringSettings
from ceco3d.cli.settings import to_settings
from ceco3d.diagnose import DiagnoseSettings
from ceco3d.doctor import DoctorSettings
from ceco3d.evaluate import EvaluateSettings
from ceco3d.predict import PredictSettings
from ceco3d.preprocess import PreprocessSettings
from ceco3d.pretraining.method import PretrainSettings
from ceco3d.report import ReportSettings
from ceco3d.serve import ServeSettings
from ceco3d.training.settings import TrainSettings
from ceco3d.visualize import VisualizeSettings

KINDS = {
    "train": TrainSettings,
    "pretrain": PretrainSettings,
    "preprocess": PreprocessSettings,
    "evaluate": EvaluateSettings,
    "diagnose": DiagnoseSettings,
    "export": ScoringSettings,
    "predict": PredictSettings,
    "serve": ServeSettings,
    "visualize": VisualizeSettings,
    "benchmark": BenchmarkSettings,
    "report": ReportSettings,
    "doctor": DoctorSettings,
}


def settings_of(name: str, *overrides: str) -> Any:
    """The settings of a command, as on its command line."""
    return to_settings(KINDS[name], compose(name, list(overrides)))


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str
