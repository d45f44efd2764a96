"""``python -m ceco3d.predict``: label scan files (conf/predict.yaml)."""

from pathlib import Path

from omegaconf import DictConfig, ListConfig

from ceco3d.cli.app import command, number
from ceco3d.data.pointclouds.files import find_scans
from ceco3d.data.pointclouds.to_scene import AXES, METRES
from ceco3d.inference.predictor import load_predictor, make_views
from ceco3d.inference.scan_labeling import LabelingOptions, label_scans
from ceco3d.utils.atomic import check_writable
from ceco3d.utils.device import choose_device, choose_precision
from ceco3d.utils.errors import UserError


@command("predict")
def main(cfg: DictConfig) -> None:
    """Find the scans, load the network, label one scan after the other."""
    settings = read_settings(cfg)
    scans = find_scans([str(entry) for entry in (cfg.input if isinstance(cfg.input, ListConfig) else [cfg.input])])
    out = Path(str(cfg.out))
    check_writable(out)
    device = choose_device(cfg.device)
    dtype = choose_precision(cfg.precision, device)
    predictor, space = load_predictor(Path(cfg.checkpoint), device, make_views(cfg.tta), dtype)
    label_scans(predictor, space, scans, out, settings, str(cfg.checkpoint))
    print(f"written to {out}")


def read_settings(cfg: DictConfig) -> LabelingOptions:
    """The settings of ``cfg``; UserError for values that make no sense."""
    if cfg.unit not in METRES or cfg.up not in AXES:
        raise UserError(f"unit={cfg.unit} up={cfg.up}: choose unit={'|'.join(METRES)} and up={'|'.join(AXES)}")
    overlap = None if cfg.overlap is None else number(cfg, "overlap", above=-1, whole=True)
    return LabelingOptions(cfg.unit, cfg.up, number(cfg, "max_voxels", whole=True), overlap)


if __name__ == "__main__":
    main()
