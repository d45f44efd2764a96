"""What evaluating and exporting begin with."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from ceco3d.data.scenes.labels import LabelSpace
from ceco3d.inference.predictor import Predictor, load_predictor, make_views
from ceco3d.preprocessing.sources import processed_scenes
from ceco3d.utils.atomic import check_writable
from ceco3d.utils.device import choose_device, choose_precision
from ceco3d.utils.errors import UserError


def output_folder(cfg: DictConfig, command: str) -> Path:
    """``cfg.out``, or ``<command>-<split>`` in the run that the checkpoint belongs to; UserError if not writable."""
    out = Path(cfg.out) if cfg.out else Path(cfg.checkpoint).absolute().parent.parent / f"{command}-{cfg.split}"
    check_writable(out)
    return out


def prepare_inference(cfg: DictConfig) -> tuple[Predictor, list[Path], LabelSpace]:
    """The network of ``cfg.checkpoint``, the processed scenes of ``cfg.split`` and the label space of both.

    UserError when the network was trained on another label space.
    """
    device = choose_device(cfg.device)
    dtype = choose_precision(cfg.precision, device)
    predictor, space = load_predictor(Path(cfg.checkpoint), device, make_views(cfg.tta), dtype)
    if space.name != cfg.dataset.label_space:
        raise UserError(f"{cfg.checkpoint}: predicts {space.name}, but dataset={cfg.dataset.name} has other classes")
    if cfg.split not in ("train", "val", "test"):
        raise UserError(f"split={cfg.split}: choose train, val or test")
    return predictor, processed_scenes(cfg.dataset, (cfg.split,), cfg.workers)[cfg.split], space
