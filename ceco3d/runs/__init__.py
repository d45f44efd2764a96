"""Read the folders that runs leave on disk."""

from ceco3d.runs.folder import RunConfig, read_collapse, read_config, read_curves, read_log, read_scores
from ceco3d.runs.naming import run_labels

__all__ = ["RunConfig", "read_collapse", "read_config", "read_curves", "read_log", "read_scores", "run_labels"]
