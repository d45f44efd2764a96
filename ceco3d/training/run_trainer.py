"""Run a Trainer in its run folder, for training and pretraining."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import yaml

from ceco3d.inference.evaluation import Evaluation
from ceco3d.training.loggers import Loggers
from ceco3d.training.loop import Trainer
from ceco3d.training.settings import RunSettings
from ceco3d.utils.atomic import write_text
from ceco3d.utils.distributed import is_main
from ceco3d.utils.environment import write_environment
from ceco3d.utils.settings import Factory

logger = logging.getLogger(__name__)


def run_trainer(
    trainer: Trainer, settings: RunSettings, loggers: Mapping[str, Factory], title: str
) -> Evaluation | None:
    """Write ``config.yaml`` and ``environment.json``, log ``title``, and train; returns the last validation.

    Only the first process writes and logs.
    """
    run_dir = settings.run_dir
    if is_main():
        write_text(run_dir / "config.yaml", yaml.safe_dump(dict(settings.config), sort_keys=False))
        write_environment(run_dir, trainer.device)
    logger.info(title)
    makers = loggers.values() if is_main() else ()
    log = Loggers([make(run_dir=run_dir, start=trainer.position.moment) for make in makers])
    try:
        return trainer.run(log)
    finally:
        log.close()
