"""``python -m ceco3d.pretrain``: pretrain a network (conf/pretrain.yaml)."""

from __future__ import annotations

from ceco3d.cli.start import start

if __name__ == "__main__":
    start("pretrain")  # answers --help and wrong keys before the imports below, which take seconds

import logging
import os
from contextlib import nullcontext

from ceco3d.cli.app import command
from ceco3d.models import build_model
from ceco3d.pretraining.method import PretrainSettings
from ceco3d.pretraining.run import pretrain
from ceco3d.runs.open_run import open_run

logger = logging.getLogger(__name__)


@command("pretrain", PretrainSettings)
def main(settings: PretrainSettings) -> None:
    """Pretrain, then say how to continue."""
    with open_run(settings.run_dir) if os.environ.get("RANK", "0") == "0" else nullcontext():
        checkpoint = pretrain(settings)
        features, model = ",".join(settings.features), settings.model
        network = f" model={model.name.lower()} model.stem_kernel={model.arguments.get('stem_kernel', 5)}"
        own = model.target is not build_model  # the user knows its name in conf/model
        logger.info(
            f"continue with: python -m ceco3d.train init={checkpoint} features=[{features}]{'' if own else network}"
        )


if __name__ == "__main__":
    main()
