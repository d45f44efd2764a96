"""``python -m ceco3d.train``: train a network (conf/train.yaml)."""

import os

from omegaconf import DictConfig

from ceco3d.config import command
from ceco3d.report.tables import print_scores
from ceco3d.training.run import train


@command("train")
def main(cfg: DictConfig) -> None:
    """Train, then print the final validation scores."""
    scores = train(cfg)
    if os.environ.get("RANK", "0") == "0":
        print_scores(scores, f"{cfg.run_dir}, validation")


if __name__ == "__main__":
    main()
