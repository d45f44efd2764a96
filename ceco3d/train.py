"""``python -m ceco3d.train``: train a network (conf/train.yaml)."""

import os
from pathlib import Path

from omegaconf import DictConfig

from ceco3d.cli.app import command
from ceco3d.metrics.tables import print_scores
from ceco3d.reports.final_report import report_run
from ceco3d.training.run import train
from ceco3d.utils.device import choose_device


@command("train")
def main(cfg: DictConfig) -> None:
    """Train, then print the final validation scores and write the report of the run."""
    scores = train(cfg)
    if os.environ.get("RANK", "0") == "0":
        print_scores(scores, f"{cfg.run_dir}, validation")
        report_run(Path(cfg.run_dir), choose_device(cfg.device))


if __name__ == "__main__":
    main()
