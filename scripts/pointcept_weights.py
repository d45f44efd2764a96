#!/usr/bin/env python3
"""Turn a checkpoint of Pointcept's SpUNet-v1m1 into one of ceco3d, or one of ceco3d into its weights.

    python scripts/pointcept_weights.py from MODEL_BEST.pth OUT.pt --colors 255
    python scripts/pointcept_weights.py to CHECKPOINT.pt OUT.pth

Pointcept's files do not say what the network was trained on; its config does:

--colors    what NormalizeColor does: 255: color / 255, since Pointcept 1.6.0; 127.5: color / 127.5 - 1, before
--features  feat_keys; needed unless the network has 9 inputs
--classes   a label space that comes with ceco3d, or a class file; its order is that of the outputs
--voxel-size  grid_size in meters
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ceco3d.cli.endings import fail
from ceco3d.data.batch import feature_channels
from ceco3d.data.labels import LabelSpace, label_space, read_classes, stored_space
from ceco3d.models import build_model, load_trained, load_weights
from ceco3d.models.spunet import STEM, looks_like_spunet, to_spunet
from ceco3d.models.weights import read_tensors
from ceco3d.training.checkpoint import Position, inference_state, save
from ceco3d.utils.errors import UserError

MODEL: dict[str, Any] = {"name": "SpUNet34C", "stem_kernel": 5, "bn_momentum": 0.01}
KEYS = ("coord", "color", "normal")  # of Pointcept's feat_keys, those that ceco3d has; all have 3 channels
COLORS = {"255": "rgb", "127.5": "color"}  # the feature that fits: color / 255; color / 255 - 0.5, half of Pointcept's


def import_weights(
    source: Path, out: Path, features: list[str] | None, colors: str | None, classes: str, size: float
) -> None:
    """Write the checkpoint ``out``; UserError if the file is no SpUNet, or what is said of it does not fit."""
    if not 0 < size < 1000:
        raise UserError(f"--voxel-size {size:g}: must be a length in meters")
    inputs, outputs = _sizes(source)
    keys = _keys(source, inputs, features)
    if "color" in keys and colors is None:
        raise UserError(f"{source}: how were its colors scaled? pass --colors 255 (Pointcept 1.6.0 and later) or 127.5")
    space = _space(classes)
    if outputs != len(space):
        raise UserError(f"{source}: predicts {outputs} classes, {classes} has {len(space)}; pass --classes")
    model = build_model(**MODEL, in_channels=inputs, out_channels=outputs)
    load_weights(model, source)
    ours = [COLORS[colors] if key == "color" else key for key in keys]
    _scale_colors(model, ours, 2)
    setup = {
        "model": MODEL | {"in_channels": inputs, "out_channels": outputs},
        "label_space": stored_space(space),
        "features": ours,
        "voxel_size": size,
    }
    _save(out, inference_state(setup, Position(), model))
    print(f"{out}: features=[{','.join(ours)}] voxel_size={size:g}, {outputs} classes of {space.name}")


def export_weights(source: Path, out: Path) -> None:
    """Write ``out`` for Pointcept; UserError if the network or its features have no equal there."""
    model, setup = load_trained(source)
    given, features = setup["model"], list(setup["features"])
    if (given.get("name"), given.get("stem_kernel")) != (MODEL["name"], MODEL["stem_kernel"]):
        name = f"{given.get('name', given.get('_target_'))} with stem_kernel={given.get('stem_kernel')}"
        raise UserError(f"{source}: {name}; Pointcept's SpUNet is model=spunet34c with stem_kernel=5")
    keys = ["color" if feature == "rgb" else feature for feature in features]
    if not set(keys) <= set(KEYS) or len(set(keys)) < len(keys):
        raise UserError(f"{source}: features=[{','.join(features)}]; Pointcept has coord, color, normal, once each")
    _scale_colors(model, features, 0.5)
    state = {f"backbone.{name}": value for name, value in to_spunet(model.state_dict()).items()}
    _save(out, {"epoch": 0, "state_dict": state})
    scaled = [f", colors scaled as --colors {how}" for how, name in COLORS.items() if name in features]
    print(
        f"{out}: in_channels={given['in_channels']} num_classes={given['out_channels']} "
        f"feat_keys={tuple(keys)} grid_size={setup['voxel_size']:g}{''.join(scaled)}"
    )


def _sizes(source: Path) -> tuple[int, int]:
    """Input channels and classes of the SpUNet in a file."""
    tensors = read_tensors(source).by_name
    if not looks_like_spunet(tensors):
        raise UserError(f"{source}: not the weights of Pointcept's SpUNet-v1m1 (no {STEM}, down.0.0.weight in it)")
    stem = min((name for name in tensors if name.endswith(STEM)), key=len)
    head = tensors.get(stem.removesuffix(STEM) + "final.weight")
    if head is None or head.ndim != 5 or tensors[stem].ndim != 5:
        raise UserError(f"{source}: has no classifier (final.weight); train it on with init={source} model=spunet34c")
    return tensors[stem].shape[-1], head.shape[0]


def _keys(source: Path, inputs: int, features: Sequence[str] | None) -> Sequence[str]:
    """The inputs of the network in Pointcept's words."""
    keys = features or (KEYS if inputs == 9 else ())
    if not keys:
        raise UserError(f"{source}: what are its {inputs} inputs? pass --features, such as color,normal or coord,color")
    if not set(keys) <= set(KEYS) or len(set(keys)) < len(keys) or feature_channels(keys) != inputs:
        raise UserError(
            f"{source}: {inputs} inputs, not --features {','.join(keys)}: coord, color, normal, 3 channels each"
        )
    return keys


def _space(classes: str) -> LabelSpace:
    return read_classes(Path(classes)) if classes.endswith(".csv") else label_space(classes)


def _scale_colors(model: nn.Module, features: Sequence[str], factor: float) -> None:
    """Scale the stem's weights of the feature color. Powers of two change no digit."""
    kernel: Tensor = model.get_parameter("conv0p1s1.kernel")
    if "color" in features:
        start = 3 * features.index("color")
        with torch.no_grad():
            kernel[:, start : start + 3] *= factor


def _save(out: Path, content: dict[str, Any]) -> None:
    try:
        save(out, content)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error}); choose another file") from error


def main(arguments: list[str]) -> None:
    """Convert one file; print one line and exit with code 2 if that fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("direction", choices=["from", "to"], help="from Pointcept, or to Pointcept")
    parser.add_argument("source", type=Path, metavar="IN")
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--colors", choices=list(COLORS))
    parser.add_argument("--features", type=lambda text: text.split(","))
    parser.add_argument("--classes", default="scannet200")
    parser.add_argument("--voxel-size", type=float, default=0.02)
    given = parser.parse_args(arguments)
    try:
        if given.out.exists() and given.out.samefile(given.source):
            raise UserError(f"{given.out}: would overwrite its input; choose another file")
        if given.direction == "to":
            export_weights(given.source, given.out)
        else:
            import_weights(given.source, given.out, given.features, given.colors, given.classes, given.voxel_size)
    except UserError as error:
        fail(error)


if __name__ == "__main__":
    main(sys.argv[1:])
