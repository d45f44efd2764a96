"""``python -m ceco3d.report [study|table|run]``: tables and pages of finished runs (conf/report.yaml)."""

import sys
from pathlib import Path

from omegaconf import DictConfig

from ceco3d.cli.app import check_lists, command
from ceco3d.reports.leaderboard import leaderboard_csv, leaderboard_markdown, read_leaderboard
from ceco3d.reports.leaderboard_html import leaderboard_html
from ceco3d.reports.study import read_study, study_markdown
from ceco3d.utils.atomic import check_writable, write_text
from ceco3d.utils.device import choose_device
from ceco3d.utils.errors import UserError


@command("report")
def report(cfg: DictConfig) -> None:
    """Write what ``cfg.what`` names."""
    kinds = {"study": study, "table": table, "run": run}
    what = cfg.what or ("study" if cfg.run is None else "run")
    if what not in kinds:
        raise UserError(f"what={what}: choose {' or '.join(kinds)}")
    kinds[what](cfg)


def run(cfg: DictConfig) -> None:
    """Write ``report.html`` into the folder of a run."""
    if cfg.run is None:
        raise UserError("run is not set: pass the folder of a finished run, e.g. run=outputs/ceco")
    try:
        from ceco3d.reports.run_report import write_run_report
    except ModuleNotFoundError as error:
        raise UserError(f"the report needs {error.name}: pip install 'ceco3d[plot]'") from error
    check_writable(Path(str(cfg.run)))
    print(f"written to {write_run_report(Path(str(cfg.run)), choose_device(cfg.device))}")


def study(cfg: DictConfig) -> None:
    """Write ``study.md`` beside the runs of a study and print it."""
    if cfg.study is None:
        raise UserError("study is not set: pass the folder with the runs, e.g. study=outputs/longtail")
    folder = Path(cfg.study)
    text = study_markdown(read_study(folder, cfg.convention), cfg.baseline)
    write_text(folder / "study.md", text)
    print(text)
    print(f"written to {folder / 'study.md'}")


def table(cfg: DictConfig) -> None:
    """Write the leaderboard of ``cfg.runs`` as ``leaderboard.{html,md,csv}`` and print its overview."""
    check_lists(cfg, ("runs", "labels"))
    if not cfg.runs:
        raise UserError("runs is not set: pass the folders of finished runs, e.g. runs=[outputs/ceco,outputs/csc]")
    out = Path(cfg.out)
    check_writable(out)
    board = read_leaderboard([Path(str(folder)) for folder in cfg.runs], cfg.convention, cfg.labels)
    text = leaderboard_markdown(board)
    write_text(out / "leaderboard.html", leaderboard_html(board))
    write_text(out / "leaderboard.csv", leaderboard_csv(board))
    write_text(out / "leaderboard.md", text)
    print(text.split("\n## Classes")[0])
    print(f"written to {out / 'leaderboard.html'}, .md and .csv")


def main() -> None:
    """``report table ...`` is short for ``report what=table ...``."""
    if len(sys.argv) > 1 and sys.argv[1].isidentifier():
        sys.argv[1] = f"what={sys.argv[1]}"
    report()


if __name__ == "__main__":
    main()
