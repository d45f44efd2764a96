"""``python -m ceco3d.report [run|study|table]``: tables and pages of finished runs (conf/report.yaml)."""

from __future__ import annotations

from ceco3d.cli.start import start

if __name__ == "__main__":
    start("report", first="what")  # answers --help and wrong keys before the imports below, which take seconds

import logging
from collections.abc import Sequence
from typing import Literal

from ceco3d.cli.app import command
from ceco3d.reports.leaderboard import LEADING, leaderboard_csv, leaderboard_markdown, read_leaderboard
from ceco3d.reports.leaderboard_html import leaderboard_html
from ceco3d.reports.study import read_study, study_markdown
from ceco3d.utils.atomic import check_writable, encoded, write_files, write_text
from ceco3d.utils.device import choose_device
from ceco3d.utils.errors import UserError
from ceco3d.utils.plain_text import LINES, visible
from ceco3d.utils.settings import CommonSettings, FilePath, Text, settings

logger = logging.getLogger(__name__)


@settings
class ReportSettings(CommonSettings):
    """conf/report.yaml."""

    what: Literal["run", "study", "table"] | None = None
    run: FilePath | None = None
    study: FilePath | None = None
    baseline: Text = "ce"
    runs: Sequence[FilePath] | None = None
    labels: Sequence[Text] | None = None
    out: FilePath
    convention: Literal["present", "union", "zero_filled"] | None = None


@command("report", ReportSettings, first="what")
def main(settings: ReportSettings) -> None:
    """Write what ``what`` names."""
    kinds = {"study": study, "table": table, "run": run}
    kinds[settings.what or ("study" if settings.run is None else "run")](settings)


def run(settings: ReportSettings) -> None:
    """Write ``report.html`` into the folder of a run, finished or not."""
    if settings.run is None:
        raise UserError("run is not set: pass the folder of a run, e.g. run=outputs/ceco")
    from ceco3d.reports.run_report import write_run_report

    check_writable(settings.run)
    logger.info(f"written to {write_run_report(settings.run, choose_device(settings.device))}")


def study(settings: ReportSettings) -> None:
    """Write ``study.md`` and figures beside the runs of a study, and print the tables."""
    if settings.study is None:
        raise UserError("study is not set: pass the folder with the runs, e.g. study=outputs/longtail")
    found = read_study(settings.study, settings.convention or "present")
    text = study_markdown(found, settings.baseline)
    write_text(settings.study / "study.md", text)
    print(visible(text, LINES))
    names = ["study.md"]
    try:
        from ceco3d.reports.study_figures import write_study_figures  # needs matplotlib

        names += [path.name for path in write_study_figures(found, settings.study)]
    except ModuleNotFoundError:
        logger.warning("no figures of the study: pip install 'ceco3d[plot]'")
    logger.info(f"written to {settings.study}: {', '.join(names)}")


def table(settings: ReportSettings) -> None:
    """Write the leaderboard of the runs as ``leaderboard.{html,md,csv}`` and print its overview."""
    if not settings.runs:
        raise UserError("runs is not set: pass the folders of finished runs, e.g. runs=[outputs/ceco,outputs/csc]")
    out = settings.out
    check_writable(out)
    board = read_leaderboard(settings.runs, settings.convention or LEADING, settings.labels)
    text = leaderboard_markdown(board)
    pages = {"html": leaderboard_html(board), "csv": leaderboard_csv(board), "md": text}
    write_files({out / f"leaderboard.{kind}": encoded(page) for kind, page in pages.items()})
    print(visible(text.split("\n## Classes")[0], LINES))
    logger.info(f"written to {out / 'leaderboard.html'}, .md and .csv")


if __name__ == "__main__":
    main()
