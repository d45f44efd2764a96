"""``python -m ceco3d.evaluate``: score a checkpoint on a split (conf/evaluate.yaml)."""

from omegaconf import DictConfig

from ceco3d.cli.app import command
from ceco3d.inference.evaluation import evaluate_scenes
from ceco3d.inference.setup import output_folder, prepare_inference
from ceco3d.metrics.tables import print_scores, scores_markdown
from ceco3d.reports.finished import report_evaluation
from ceco3d.utils.atomic import write_text
from ceco3d.utils.device import choose_device
from ceco3d.utils.distributed import is_main, process_group
from ceco3d.utils.environment import write_environment


@command("evaluate")
def main(cfg: DictConfig) -> None:
    """Evaluate, write ``metrics.json``, ``scores.md``, ``report.html`` and what they are made of, print the scores."""
    out = output_folder(cfg, "evaluate")
    with process_group(choose_device(cfg.device)):
        predictor, folders, space = prepare_inference(cfg)
        evaluation = evaluate_scenes(predictor, folders, space)
        title = f"{cfg.checkpoint} on {cfg.dataset.name} {cfg.split}"
        if is_main():
            evaluation.write(out)
            write_text(out / "scores.md", scores_markdown(evaluation.scores, space, title))
            write_environment(out, predictor.device)
            report_evaluation(out, space, title)
        print_scores(evaluation.scores, title)
        print(f"written to {out}")


if __name__ == "__main__":
    main()
