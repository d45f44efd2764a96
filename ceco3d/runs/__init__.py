"""The folders of runs: hold one while working in it, and read what runs leave on disk."""

from ceco3d.runs.folder import (
    EvaluationRecord,
    RunConfig,
    read_all_scores,
    read_collapse,
    read_config,
    read_curves,
    read_environment,
    read_evaluation,
    read_log,
    read_scene_scores,
    read_scores,
)
from ceco3d.runs.lock import FolderLock, HeldError
from ceco3d.runs.naming import run_labels
from ceco3d.runs.open_run import begin_log, locked_folder, open_run

__all__ = [
    "EvaluationRecord",
    "FolderLock",
    "HeldError",
    "RunConfig",
    "begin_log",
    "locked_folder",
    "open_run",
    "read_all_scores",
    "read_collapse",
    "read_config",
    "read_curves",
    "read_environment",
    "read_evaluation",
    "read_log",
    "read_scene_scores",
    "read_scores",
    "run_labels",
]
