"""Say what a file of weights is: whose, which network, and whether it fits here. Names and shapes tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ceco3d.data.labels import is_joint, restored_blocks, restored_space
from ceco3d.models.build import build_model
from ceco3d.models.checkpoint_file import list_names, read_checkpoint
from ceco3d.models.classifier import is_own
from ceco3d.models.matching import Match, Tensors, collect_tensors, find_matches, is_required, originals
from ceco3d.models.minkowski04 import looks_like_v04
from ceco3d.models.minkunet import VARIANTS
from ceco3d.models.pretrained import describe_setup
from ceco3d.models.spunet import STEM as SPUNET_STEM
from ceco3d.models.spunet import looks_like_spunet, to_spunet
from ceco3d.models.trained import load_trained
from ceco3d.utils.untrusted import one_line

STEM, CLASSIFIER = "conv0p1s1.kernel", "final.kernel"
MOST = 10_000  # input channels and classes of what is still a network
SPUNET_WRITER = "Pointcept (SpUNet, spconv)"
TRANSFORMER = "embedding.stem.conv.weight"  # of Pointcept's Point Transformer V3


def identify(path: Path) -> Iterator[str]:
    """Lines on the file at ``path``: who wrote it, the network, its classes and input, and how to use it.

    UserError if the file is missing, damaged, or has weights that are NaN.
    """
    content, skipped = read_checkpoint(path)
    if is_own(content):
        yield from _own(path)
        return
    tensors = collect_tensors(content)
    if not tensors.by_name:
        yield f"no weights in it, but {list_names(skipped or sorted(content)) or 'nothing'}"
        return
    name = next((name for name in tensors.by_name if name.endswith(STEM)), None)
    if name is None and looks_like_spunet(tensors.by_name):
        yield from _spunet(path, tensors)
        return
    if name is None:
        yield f"written by {_other_writer(tensors)}"
        yield f"does not fit: no MinkUNet; its weights are named {list_names(list(tensors.by_name))}"
        return
    yield from _minkunet(path, content, tensors, name.removesuffix(STEM))


def _own(path: Path) -> Iterator[str]:
    """A checkpoint of ceco3d, or a file of ``save_weights``."""
    _, setup = load_trained(path)
    yield f"written by ceco3d: {describe_setup(setup)}"
    yield f"classes: {_classes(setup['label_space'])}"
    yield f"temperature of the confidence: {setup.get('temperature', 1):g}"
    use = "checkpoint= of every command" if setup["label_space"] is not None else "init= of train, as it has no classes"
    yield f"fits: {use}; as init= with voxels of another size it works, but worse"


def _classes(stored: Any) -> str:
    if stored is None:
        return "none, pretrained only"
    if is_joint(stored):
        parts = [f"{len(block.space)} of {one_line(block.name)}" for block in restored_blocks(stored)]
        return f"several data sets: {', '.join(parts)}"
    space = restored_space(stored)
    return f"{len(space)} of {one_line(space.name)}"


def _minkunet(path: Path, content: Mapping[str, Any], tensors: Tensors, prefix: str) -> Iterator[str]:
    """A MinkUNet in the names of MinkowskiEngine, whose stem lies under ``prefix``."""
    stem, head = tensors.by_name[prefix + STEM], tensors.by_name.get(prefix + CLASSIFIER)
    found = _variant(tensors, stem, head)
    if found is None:
        yield f"written by {_writer(content, prefix)}"
        yield f"does not fit: a MinkUNet, but none of {', '.join(VARIANTS)} with a stem of {tuple(stem.shape)}"
        return
    name, side, match = found
    state = {key.removeprefix(match.prefix): value for key, value in tensors.by_name.items()}
    version = "0.4 (other order of offsets)" if looks_like_v04(state) else "0.5, or ceco3d"
    channels, classes = stem.shape[1], "no classifier" if head is None else f"{head.shape[-1]} classes, not named"
    yield f"written by {_writer(content, prefix)}, for MinkowskiEngine {version}"
    yield f"network: {name}, stem of {side}^3, {channels} input channels, {classes}; under {one_line(match.label, 60)}"
    yield "voxel size and features are not in the file: the project that published it says them"
    keys = f"model={name.lower()} model.stem_kernel={side}"
    yield f"fits: train init={path} {keys} features=[...] of {channels} channels (coord, color, normal: 3 each)"


def _spunet(path: Path, tensors: Tensors) -> Iterator[str]:
    """A SpUNet in the names of Pointcept."""
    prefix = next(name for name in tensors.by_name if name.endswith(SPUNET_STEM)).removesuffix(SPUNET_STEM)
    state = {name.removeprefix(prefix): value for name, value in tensors.by_name.items() if name.startswith(prefix)}
    stem, head = state[SPUNET_STEM], state.get("final.weight")
    yield f"written by {SPUNET_WRITER}"
    if not _is_spunet34c(state, stem):
        yield f"does not fit: a SpUNet, but not SpUNet-v1m1 (spunet34c), with a stem of {tuple(stem.shape)}"
        return
    classes = "no classifier" if head is None else f"{len(head)} classes, not named"
    yield f"network: SpUNet34C, stem of {stem.shape[1]}^3, {stem.shape[-1]} input channels, {classes}"
    yield "voxel size, features and the scale of colors are not in the file: its config in Pointcept says them"
    yield (
        f"fits: train init={path} model=spunet34c features=[...] of {stem.shape[-1]} channels; to predict with it, "
        "scripts/pointcept_weights.py makes a checkpoint (docs/fine-tuning.md)"
    )


def _is_spunet34c(state: Mapping[str, Tensor], stem: Tensor) -> bool:
    """Whether every weight of SpUNet34C but the classifier is there, in its shape."""
    if stem.ndim != 5 or stem.shape[1] not in (3, 5) or not 0 < stem.shape[-1] < MOST:
        return False
    with torch.device("meta"):
        ours = build_model("SpUNet34C", stem.shape[-1], 1, stem.shape[1], engine="native").state_dict()
    wanted = to_spunet({name: value for name, value in ours.items() if is_required(name)})
    return all(name in state and state[name].shape == value.shape for name, value in wanted.items())


def _variant(tensors: Tensors, stem: Tensor, head: Tensor | None) -> tuple[str, int, Match] | None:
    """The member of the family whose every weight is there, the side of its stem, and where its weights lie."""
    side = {27: 3, 125: 5}.get(len(stem)) if stem.ndim == 3 else None
    outputs = 1 if head is None else head.shape[-1]
    if side is None or not all(0 < size < MOST for size in (stem.shape[1], outputs)):
        return None
    for name in VARIANTS:
        with torch.device("meta"):
            expected = build_model(name, stem.shape[1], outputs, side, engine="native").state_dict()
        matches = find_matches(tensors, expected)
        best = (originals(matches) or matches)[:1] if len(matches) > 1 else matches
        if best and best[0].body == sum(map(is_required, expected)):
            return name, side, best[0]
    return None


def _writer(content: Mapping[str, Any], prefix: str) -> str:
    """Who wraps a MinkUNet like this."""
    if "pytorch-lightning_version" in content:
        return "PyTorch Lightning, as LGround does"
    if prefix.endswith("backbone."):
        return "Pointcept"
    if {"iteration", "arch"} & content.keys() or "curr_iter" in content:
        return "SpatioTemporalSegmentation or CSC"
    return "a project that does not say its name"


def _other_writer(tensors: Tensors) -> str:
    """Who writes weights without the names of MinkowskiEngine."""
    if any(name.endswith(SPUNET_STEM) for name in tensors.by_name):
        return SPUNET_WRITER
    if any(name.endswith(TRANSFORMER) for name in tensors.by_name):
        return "Pointcept (Point Transformer V3)"
    return "another project"
