"""``python -m ceco3d.preprocess``: raw scenes to processed scenes (conf/preprocess.yaml)."""

import sys

from omegaconf import DictConfig

from ceco3d.config import command
from ceco3d.scenes.sources import make_processed


@command("preprocess")
def main(cfg: DictConfig) -> None:
    """Preprocess; exit code 2 when scenes failed."""
    summary = make_processed(cfg.dataset, cfg.splits, cfg.workers)
    print(f"{cfg.dataset.root}: {summary.done} scenes made, {summary.skipped} were there, {len(summary.failed)} failed")
    if summary.failed:
        sys.exit(2)


if __name__ == "__main__":
    main()
