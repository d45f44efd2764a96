"""``python -m ceco3d.visualize``: pictures of runs (conf/visualize.yaml)."""

from pathlib import Path

from omegaconf import DictConfig

from ceco3d.config import check_lists, command
from ceco3d.errors import UserError
from ceco3d.output import check_writable
from ceco3d.report.collapse import choose_classes, read_runs


@command("visualize")
def main(cfg: DictConfig) -> None:
    """Read the runs, draw them, print what was written."""
    check(cfg)
    try:
        from ceco3d.report.figures import write_pictures
    except ModuleNotFoundError as error:
        raise UserError(f"pictures need {error.name}: pip install 'ceco3d[plot]'") from error
    out = Path(cfg.out)
    check_writable(out)
    runs = read_runs([Path(str(folder)) for folder in cfg.runs], cfg.labels)
    for path in write_pictures(runs, choose_classes(runs, cfg.classes), out):
        print(path)


def check(cfg: DictConfig) -> None:
    """Refuse values that would only fail later."""
    if cfg.what != "collapse":
        raise UserError(f"what={cfg.what}: choose collapse")
    check_lists(cfg, ("runs", "labels", "classes"))
    if not cfg.runs:
        raise UserError("runs=[]: name a run folder at least, e.g. runs=[outputs/mine]")


if __name__ == "__main__":
    main()
