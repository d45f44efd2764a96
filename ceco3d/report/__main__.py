"""``python -m ceco3d.report``: tables of finished runs (conf/report.yaml)."""

from pathlib import Path

from omegaconf import DictConfig

from ceco3d.config import command
from ceco3d.errors import UserError
from ceco3d.output import write_text
from ceco3d.report.study import read_study, study_markdown


@command("report")
def main(cfg: DictConfig) -> None:
    """Write ``study.md`` beside the runs of a study and print it."""
    if cfg.study is None:
        raise UserError("study is not set: pass the folder with the runs, e.g. study=outputs/longtail")
    folder = Path(cfg.study)
    table = study_markdown(read_study(folder, cfg.convention), cfg.baseline)
    write_text(folder / "study.md", table)
    print(table)
    print(f"written to {folder / 'study.md'}")


if __name__ == "__main__":
    main()
