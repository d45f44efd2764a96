"""``python -m ceco3d.evaluate``: score a checkpoint on a split (conf/evaluate.yaml)."""

from __future__ import annotations

from ceco3d.cli.start import start

if __name__ == "__main__":
    start("evaluate")  # answers --help and wrong keys before the imports below, which take seconds

import logging
from contextlib import nullcontext

from ceco3d.cli.app import command
from ceco3d.cli.scoring import ScoringSettings
from ceco3d.inference.evaluation import evaluate_scenes
from ceco3d.metrics.tables import print_scores, scores_markdown
from ceco3d.reports.final_report import report_evaluation
from ceco3d.runs.open_run import locked_folder
from ceco3d.utils.atomic import write_text
from ceco3d.utils.device import choose_device
from ceco3d.utils.distributed import is_main, process_group
from ceco3d.utils.environment import write_environment

logger = logging.getLogger(__name__)


@command("evaluate", ScoringSettings)
def main(settings: ScoringSettings) -> None:
    """Evaluate, write ``metrics.json``, ``scores.md``, ``report.html`` and what they are made of, print the scores."""
    out = settings.output_folder("evaluate")
    with process_group(choose_device(settings.device)), locked_folder(out, "out") if is_main() else nullcontext():
        predictor, folders, space = settings.load()
        evaluation = evaluate_scenes(predictor, folders, space)
        if is_main():
            evaluation.write(out, settings.split, checkpoint=str(settings.checkpoint))
            write_text(out / "scores.md", scores_markdown(evaluation.scores, space, settings.title))
            write_environment(out, predictor.device)
            report_evaluation(out, space, settings.title)
        print_scores(evaluation.scores, settings.title, space.grouping)
        logger.info(f"written to {out}")


if __name__ == "__main__":
    main()
