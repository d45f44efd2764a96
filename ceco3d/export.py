"""``python -m ceco3d.export``: write a benchmark submission (conf/export.yaml)."""

from omegaconf import DictConfig

from ceco3d.cli.app import command
from ceco3d.inference.setup import output_folder, prepare_inference
from ceco3d.inference.submission import export_submission
from ceco3d.metrics.tables import print_scores


@command("export")
def main(cfg: DictConfig) -> None:
    """Export, and print the scores where the split has labels."""
    out = output_folder(cfg, "export")
    predictor, folders, space = prepare_inference(cfg)
    title = f"{cfg.checkpoint} on {cfg.dataset.name} {cfg.split}"
    scores = export_submission(predictor, folders, space, out, title)
    if scores is not None:
        print_scores(scores, title)


if __name__ == "__main__":
    main()
