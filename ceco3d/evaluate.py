"""``python -m ceco3d.evaluate``: score a checkpoint on a split (conf/evaluate.yaml)."""

from __future__ import annotations

from ceco3d.cli.start import start

if __name__ == "__main__":
    start("evaluate")  # answers --help and wrong keys before the imports below, which take seconds

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BeforeValidator

from ceco3d.api.calls import callable_module, settings_from
from ceco3d.cli.app import command
from ceco3d.cli.executor import ExecutorSettings
from ceco3d.cli.scoring import ScoringSettings
from ceco3d.inference.calibration import calibrate
from ceco3d.inference.evaluation import evaluate_scenes
from ceco3d.inference.file_scores import score_files
from ceco3d.inference.on_cluster import evaluate_on_cluster, predictor_source
from ceco3d.metrics.tables import percent, print_scores, scores_markdown
from ceco3d.reports.final_report import report_evaluation
from ceco3d.runs.open_run import locked_folder
from ceco3d.utils.atomic import check_writable, encoded, json_bytes, write_files, write_text
from ceco3d.utils.device import choose_device
from ceco3d.utils.distributed import is_main, process_group
from ceco3d.utils.environment import write_environment
from ceco3d.utils.errors import UserError
from ceco3d.utils.settings import FilePath, as_texts, settings

logger = logging.getLogger(__name__)


@settings
class EvaluateSettings(ExecutorSettings, ScoringSettings):
    """conf/evaluate.yaml."""

    pred: Annotated[Sequence[str] | None, BeforeValidator(as_texts)] = None
    truth: Annotated[Sequence[str] | None, BeforeValidator(as_texts)] = None
    classes: FilePath | None = None
    calibrate: bool = False


def call(*overrides: str, **keys: Any) -> dict[str, Any]:
    """Evaluate, as ``python -m ceco3d.evaluate`` does with the same keys; returns the scores, as in ``metrics.json``.

    overrides, keys  see ``api.settings_from``: ``ceco3d.evaluate(checkpoint="pretrained", dataset="rooms200")``
    UserError if a key does not exist, or a value makes no sense.
    """
    return run(settings_from("evaluate", EvaluateSettings, overrides, keys))


@command("evaluate", EvaluateSettings)
def main(settings: EvaluateSettings) -> None:
    """Evaluate a network, or labeled files."""
    run(settings)


def run(settings: EvaluateSettings) -> dict[str, Any]:
    """Evaluate, write ``metrics.json``, ``scores.md``, ``report.html`` and what they are made of, print the scores."""
    if settings.pred is not None or settings.truth is not None:
        return compare(settings)
    if settings.calibrate:
        return print_temperature(settings)
    settings.check_cluster(settings.weights, settings.vote)
    out = settings.output_folder("evaluate")
    with (
        settings.connected() as cluster,
        process_group(choose_device("cpu" if cluster else settings.device)),
        locked_folder(out, "out") if is_main() else nullcontext(),
    ):
        predictor, folders, space = settings.load(on_cluster=cluster is not None)
        if cluster is None:
            evaluation = evaluate_scenes(predictor, folders, space, segments=settings.segments())
        else:
            own = settings.device, settings.precision or "fp32"  # workers may differ
            source = predictor_source(predictor, settings.weights[0], *own, space, settings.head)
            evaluation = evaluate_on_cluster(cluster, source, predictor, folders, space)
        if is_main():
            evaluation.write(out, settings.split, checkpoint=settings.names)
            write_text(out / "scores.md", scores_markdown(evaluation.scores, space, settings.title))
            write_environment(out, predictor.device)
            report_evaluation(out, space, settings.title)
        print_scores(evaluation.scores, settings.title, space)
        logger.info(f"written to {out}")
    return evaluation.scores


def print_temperature(settings: EvaluateSettings) -> dict[str, Any]:
    """Fit and print the temperature of the checkpoint on the split; returns it with the errors without and with it."""
    if settings.executor != "local":
        raise UserError(f"executor={settings.executor}: calibrate=true runs on this machine only")
    if settings.vote is not None:
        raise UserError(f"vote={settings.vote}: calibrate=true is about voxels; leave vote= out")
    found = calibrate(*settings.load())
    print(
        f"temperature {found.temperature:.3g}: expected calibration error {percent(found.before)} % without, "
        f"{percent(found.after)} % with it ({settings.split})"
    )
    return asdict(found)


def compare(settings: EvaluateSettings) -> dict[str, Any]:
    """Score labeled files; write the scores into ``out`` if it is set."""
    if settings.pred is None or settings.truth is None:
        missing = "truth" if settings.truth is None else "pred"
        raise UserError(f"{missing} is not set: pass pred=... and truth=... to compare labeled files")
    if settings.checkpoint is not None:
        raise UserError("checkpoint and pred are both set: score a checkpoint, or labeled files")
    if settings.out is not None:
        check_writable(settings.out)
    scores, space = score_files(settings.pred, settings.truth, settings.classes)
    title = f"{', '.join(settings.pred)} against {', '.join(settings.truth)}"
    print_scores(scores, title, space, classes=True)
    if settings.out is not None:
        table = encoded(scores_markdown(scores, space, title))
        write_files({settings.out / "scores.md": table, settings.out / "metrics.json": json_bytes(scores)})
        logger.info(f"written to {settings.out}")
    return scores


if __name__ == "__main__":
    main()
elif __name__ == "ceco3d.evaluate":  # not in the processes that it starts
    callable_module(__name__, call)
