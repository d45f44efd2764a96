"""``python -m ceco3d.export``: write a benchmark submission (conf/export.yaml)."""

from __future__ import annotations

from ceco3d.cli.start import start

if __name__ == "__main__":
    start("export")  # answers --help and wrong keys before the imports below, which take seconds

from ceco3d.cli.app import command
from ceco3d.cli.scoring import ScoringSettings
from ceco3d.inference.submission import export_submission
from ceco3d.metrics.tables import print_scores
from ceco3d.runs.open_run import locked_folder


@command("export", ScoringSettings)
def main(settings: ScoringSettings) -> None:
    """Export, and print the scores where the split has labels."""
    out = settings.output_folder("export")
    with locked_folder(out, "out"):
        predictor, folders, space = settings.load()
        scores = export_submission(predictor, folders, space, out, settings.title, settings.segments())
        if scores is not None:
            print_scores(scores, settings.title, space)


if __name__ == "__main__":
    main()
