"""``python -m ceco3d.diagnose``: what the rare classes of a trained network lack (conf/diagnose.yaml)."""

from __future__ import annotations

from ceco3d.cli.start import start

if __name__ == "__main__":
    start("diagnose")  # answers --help and wrong keys before the imports below, which take seconds

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from rich.table import Table

from ceco3d.cli.app import command
from ceco3d.cli.scoring import FragmentPasses, ScoringSettings, ViewSettings
from ceco3d.inference.diagnosis import diagnose_network
from ceco3d.metrics.shortfall import diagnosis_markdown, measures_rows, parts_rows
from ceco3d.preprocessing.datasets import processed_scenes
from ceco3d.utils.atomic import check_writable, encoded, json_bytes, write_files
from ceco3d.utils.errors import UserError
from ceco3d.utils.plain_console import PlainConsole
from ceco3d.utils.settings import Count, Number, settings

logger = logging.getLogger(__name__)


@settings
class DiagnoseSettings(ScoringSettings):
    """conf/diagnose.yaml. One pass in one view: what is compared is the network."""

    tta: ViewSettings = ViewSettings()
    split: Literal["train", "val", "test"] = "val"
    fragments: FragmentPasses = 1
    scenes: Count | None = None
    taus: Sequence[Number] = ()

    @property
    def folder(self) -> Path:
        """``out``, or ``diagnose`` in the run; UserError if it is not writable, or for several checkpoints."""
        if len(self.weights) > 1:
            raise UserError("checkpoint: one network is diagnosed at a time; name one")
        out = self.out or self.run / "diagnose"
        check_writable(out)
        return out


@command("diagnose", DiagnoseSettings)
def main(settings: DiagnoseSettings) -> None:
    """Write ``diagnosis.md`` and ``diagnosis.json``; print the table and the verdict."""
    out = settings.folder
    predictor, val, space = settings.load()
    train = processed_scenes(settings.dataset, ("train",), settings.workers)["train"]
    scenes = some(train, settings.scenes), some(val, settings.scenes)
    found = diagnose_network(predictor, *scenes, space, settings.taus)
    numbers = {name: asdict(one) | {"parts": one.parts} for name, one in found.groups.items()}
    content = {"verdict": found.verdict, "groups": numbers, "tau": found.best, "sweep": found.sweep}
    text = diagnosis_markdown(found, settings.title)
    write_files({out / "diagnosis.md": encoded(text), out / "diagnosis.json": json_bytes(content)})
    print_table(*measures_rows(found), settings.title, f"IoU in percent; adjusted: tau {found.best:g}, optimistic")
    print_table(*parts_rows(found), "What adds up to 100", "a negative part is a gain")
    print(found.verdict)
    logger.info(f"written to {out / 'diagnosis.md'} and .json")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], title: str, caption: str) -> None:
    """Print a table."""
    table = Table(*header, title=title, title_justify="left", caption=caption)
    for row in rows:
        table.add_row(*row)
    PlainConsole().print(table)


def some(folders: Sequence[Path], most: int | None) -> list[Path]:
    """At most so many of the folders, evenly over the list."""
    if most is None or most >= len(folders):
        return list(folders)
    return [folders[len(folders) * k // most] for k in range(most)]


if __name__ == "__main__":
    main()
