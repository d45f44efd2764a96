"""Tables, figures and pages about runs. What draws needs matplotlib and is imported by module."""

from ceco3d.reports.final_report import report_evaluation, report_run, reporting_interruption
from ceco3d.reports.leaderboard import (
    Leaderboard,
    Row,
    leaderboard_csv,
    leaderboard_markdown,
    read_leaderboard,
)
from ceco3d.reports.leaderboard_html import leaderboard_html
from ceco3d.reports.neural_collapse_geometry import choose_classes
from ceco3d.reports.neural_collapse_runs import Run, read_runs
from ceco3d.reports.study import read_study, study_markdown

__all__ = [
    "Leaderboard",
    "Row",
    "Run",
    "choose_classes",
    "leaderboard_csv",
    "leaderboard_html",
    "leaderboard_markdown",
    "read_leaderboard",
    "read_runs",
    "read_study",
    "report_evaluation",
    "report_run",
    "reporting_interruption",
    "study_markdown",
]
