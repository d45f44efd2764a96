"""Run a Trainer in its run folder, for training and pretraining."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import yaml

from ceco3d.inference.evaluation import Evaluation
from ceco3d.runs.metrics_csv import seconds_until
from ceco3d.runs.open_run import begin_log
from ceco3d.training.loggers import Loggers
from ceco3d.training.loop import Trainer
from ceco3d.training.reporting import Clock
from ceco3d.training.results import Results
from ceco3d.training.settings import RunSettings
from ceco3d.utils.atomic import write_text
from ceco3d.utils.components import Component
from ceco3d.utils.distributed import is_main
from ceco3d.utils.environment import write_environment
from ceco3d.utils.settings import Factory

logger = logging.getLogger(__name__)


def run_trainer(
    trainer: Trainer,
    settings: RunSettings,
    loggers: Mapping[str, Factory],
    title: str,
    finish: Callable[[Evaluation], Results] | None = None,
) -> Evaluation | None:
    """Write ``config.yaml`` and ``environment.json``, log ``title``, and train; returns the last validation.

    Only the first process writes and logs. There, ``finish`` writes the results and returns them for the loggers.
    """
    run_dir, start = settings.run_dir, trainer.position.moment
    if is_main():
        write_text(run_dir / "config.yaml", yaml.safe_dump(dict(settings.config), sort_keys=False))
        write_environment(run_dir, trainer.device)
        begin_log(run_dir)
    logger.info(title)
    trainer.clock = Clock(seconds_until(run_dir / "metrics.csv", start))
    known = {"run_dir": run_dir, "start": start, "config": settings.config}
    makers = loggers.items() if is_main() else ()
    log = Loggers([Component(f"logger.{name}", make, {})(**known) for name, make in makers])
    try:
        evaluation = trainer.run(log)
        if finish is not None and evaluation is not None and is_main():
            log.finish(finish(evaluation))
        return evaluation
    finally:
        log.close()
