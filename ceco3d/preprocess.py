"""``python -m ceco3d.preprocess``: raw scenes to processed scenes (conf/preprocess.yaml)."""

import re
import sys

from omegaconf import DictConfig

from ceco3d.cli.app import command
from ceco3d.preprocessing.sources import make_processed
from ceco3d.utils.errors import UserError


def parse_shard(text: str) -> tuple[int, int]:
    """``i/n`` as (i, n); UserError unless 1 <= i <= n."""
    found = re.fullmatch(r"(\d+)/(\d+)", str(text))
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UserError(f"shard={text}: must be i/n with i from 1 to n, e.g. shard=1/4")
    return int(found[1]), int(found[2])


@command("preprocess")
def main(cfg: DictConfig) -> None:
    """Preprocess; exit code 2 when scenes failed."""
    summary = make_processed(cfg.dataset, cfg.splits, cfg.workers, parse_shard(cfg.shard))
    print(f"{cfg.dataset.root}: {summary.done} scenes made, {summary.skipped} were there, {len(summary.failed)} failed")
    if summary.failed:
        sys.exit(2)


if __name__ == "__main__":
    main()
