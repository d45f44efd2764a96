"""Load network weights from files."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ceco3d.data.labels import LabelBlock
from ceco3d.models.checkpoint_file import list_names, read_checkpoint
from ceco3d.models.classifier import carried_text, carry_over, is_own, match_classes, predicted_classes
from ceco3d.models.matching import HEAD, OPTIONAL, Match, Tensors, collect_tensors, find_matches, is_required, originals
from ceco3d.models.minkowski04 import looks_like_v04, reorder_v04
from ceco3d.models.spunet import STEM, from_spunet, looks_like_spunet, spunet_name, to_spunet
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import one_line

logger = logging.getLogger(__name__)

COLORS = (
    "Pointcept 1.6.0 and later divides colors by 255 (features=[rgb,...]); before, see scripts/pointcept_weights.py"
)


def load_weights(
    model: nn.Module,
    path: str | Path,
    leave_out: Sequence[str] = (),
    minkowski: str = "auto",
    classes: Sequence[LabelBlock] = (),
) -> None:
    """Load the weights in ``path`` into ``model``.

    leave_out  name prefixes to skip; those parameters keep their initial values, e.g. ``["final"]``. A prefix can also
               be one of the file, e.g. ``["teacher"]``.
    minkowski  the MinkowskiEngine that trained the weights: "0.5" (ceco3d too), "0.4" (see ``reorder_v04``), or "auto":
               0.4 if ``looks_like_v04``, else 0.5
    classes    those that ``model`` predicts. If they are given, the classifier of a checkpoint of ceco3d is taken class
               by class, by their names, see ``match_classes``.

    The weights may lie under any key and have any prefix, see ``matching``. Those of Pointcept's SpUNet are converted,
    see ``spunet``; prefixes to leave out may then be names of either. A classifier (``final``) that is missing or
    has another shape keeps its initial values, with a warning; so do names of other networks and heads in the file.
    UserError when names or shapes differ otherwise, when two sets of weights fit equally, or when values are NaN or
    infinite; the model then stays unchanged.
    """
    if minkowski not in ("auto", "0.4", "0.5"):
        raise UserError(f"minkowski={minkowski}: choose auto, 0.4 or 0.5")
    path = Path(path)
    content, skipped = read_checkpoint(path)
    tensors = _tensors(path, content, skipped)
    own = model.state_dict()
    spunet = "conv0p1s1.kernel" in own and looks_like_spunet(tensors.by_name)
    known = to_spunet(own) if spunet else own
    expected = _without(known, own, leave_out, spunet)
    tensors = tensors.without(leave_out)
    match = _choose(path, find_matches(tensors, expected), tensors, expected)
    state = {name: tensors.by_name[match.prefix + name] for name in expected if match.prefix + name in tensors.by_name}
    head, level, text = _classifier(path, content, state, expected, classes)
    state = {name: value for name, value in state.items() if not name.startswith(HEAD)} | head
    _check_fit(path, state, expected, _foreign(tensors, match, expected, known))
    check_finite(path, state)
    _report(path, match, tensors, state, known)
    if text:
        logger.log(level, text)
    if spunet:
        logger.info(f"{path}: weights of Pointcept's SpUNet; {COLORS}")
        state = from_spunet(state, own)
    elif minkowski == "0.4" or (minkowski == "auto" and looks_like_v04(state)):
        state = reorder_v04(state)
    model.load_state_dict(state, strict=False)


def _without(
    known: Mapping[str, Tensor], own: Mapping[str, Tensor], leave_out: Sequence[str], spunet: bool
) -> dict[str, Tensor]:
    """The weights of the network by their names in the file, but those with a prefix to leave out in either name."""
    left = tuple(leave_out)
    kept = [name for name in own if not name.startswith(left)]
    names = [spunet_name(name) if spunet else name for name in kept]
    return {name: known[name] for name in names if not name.startswith(left)}


def read_tensors(path: Path) -> Tensors:
    """The tensors in a checkpoint file, by their dotted names. UserError when it is missing, damaged or has none."""
    return _tensors(path, *read_checkpoint(path))


def _tensors(path: Path, content: Mapping[str, Any], skipped: list[str]) -> Tensors:
    tensors = collect_tensors(content)
    if not tensors.by_name:
        held = f", but objects of {list_names(skipped)}" if skipped else ""
        raise UserError(f"{path}: no weights in this file{held}; save the state_dict of the model with torch.save")
    return tensors


def check_finite(path: Path, state: Mapping[str, Tensor]) -> None:
    """UserError if a weight is NaN or infinite."""
    bad = [name for name, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if bad:
        raise UserError(
            f"{path}: {len(bad)} of {len(state)} weights have NaN or infinite values ({list_names(bad)}), so its "
            "training diverged; take an earlier checkpoint"
        )


def _choose(path: Path, matches: list[Match], tensors: Tensors, expected: Mapping[str, Tensor]) -> Match:
    """The match to load. UserError if there is none, or several that fit equally."""
    if not matches:
        raise UserError(
            f"{path}: weights of another model: none of the network's {len(expected)} names is in it, but "
            f"{list_names(list(tensors.by_name))}; choose the model that was trained"
        )
    found = matches if len(matches) == 1 else originals(matches)
    if len(found) != 1:
        labels = [match.label for match in found or matches]
        raise UserError(
            f"{path}: holds the network more than once, under {list_names(labels)}; add all but one of these to "
            "init_leave_out"
        )
    others = [match.label for match in matches if match is not found[0]]
    if others:
        taken = one_line(found[0].label, 60)
        how = f" (add {taken} to init_leave_out to take it)" if found[0].prefix else ""
        logger.warning(f"{path}: holds the network more than once: taking {taken}, not {list_names(others)}{how}")
    return found[0]


def _classifier(
    path: Path,
    content: Mapping[str, Any],
    state: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    classes: Sequence[LabelBlock],
) -> tuple[dict[str, Tensor], int, str]:
    """The classifier's weights to load, none if it keeps its initial values; and a line for the log, with its level."""
    fresh = {name: value for name, value in expected.items() if name.startswith(HEAD)}
    found = {name: value for name, value in state.items() if name in fresh}
    without = logging.WARNING, f"{path}: no classifier that fits; {HEAD.rstrip('.')} keeps its initial values"
    if not fresh:
        return {}, logging.INFO, ""
    if classes and is_own(content):
        theirs = predicted_classes(path, content)
        if not theirs:
            return {}, logging.INFO, f"classifier: starts fresh; the network of {path} predicts no classes"
        matches = match_classes(classes, theirs)
        carried = carry_over(fresh, found, matches, theirs[-1].outputs.stop)
        return ({}, *without) if carried is None else (carried, logging.INFO, carried_text(path, classes, matches))
    if found.keys() != fresh.keys() or any(found[name].shape != value.shape for name, value in fresh.items()):
        return {}, *without
    how = "as it is, because the file names no classes; init_leave_out=[final] starts it fresh"
    return found, logging.INFO, f"classifier: taken from {path} {how}" if classes else ""


def _foreign(tensors: Tensors, match: Match, expected: Mapping[str, Tensor], known: Mapping[str, Tensor]) -> list[str]:
    """Names inside the network's modules that it does not have: the network is another one then."""
    modules = {name.partition(".")[0] for name in expected if is_required(name)}
    names = [name.removeprefix(match.prefix) for name in tensors.by_name if name.startswith(match.prefix)]
    return [name for name in names if name not in known and name.partition(".")[0] in modules]


def _check_fit(path: Path, state: Mapping[str, Tensor], expected: Mapping[str, Tensor], foreign: list[str]) -> None:
    reshaped = sorted(name for name in state if state[name].shape != expected[name].shape)
    mistyped = sorted(
        name for name in state if expected[name].is_floating_point() and not state[name].is_floating_point()
    )
    problems = {
        "missing": sorted(name for name in expected if is_required(name) and name not in state),
        "unexpected": sorted(foreign),
        "of another shape": [f"{k} {tuple(state[k].shape)} instead of {tuple(expected[k].shape)}" for k in reshaped],
        "of another type": [f"{k} {state[k].dtype}" for k in mistyped],
    }
    found = [f"{len(names)} {kind} ({list_names(names)})" for kind, names in problems.items() if names]
    if found:
        stem = ", with its features and model.stem_kernel" if "conv0p1s1.kernel" in reshaped else ""
        stem = " (model=spunet34c with its features)" if STEM in expected else stem
        raise UserError(
            f"{path}: weights of another model: {'; '.join(found)}; choose the model that was trained{stem}, or list "
            "name prefixes to leave out (init_leave_out)"
        )


def _report(
    path: Path,
    match: Match,
    tensors: Tensors,
    state: Mapping[str, Tensor],
    known: Mapping[str, Tensor],
) -> None:
    """Say under which prefix the weights were found, and what in the file is of no use to the network."""
    used = {match.prefix + name for name in state}
    containers = {tensors.containers[name] for name in used}
    rest = [name for name in tensors.by_name if name not in used and tensors.containers[name] in containers]
    rest = [name for name in rest if not name.endswith(OPTIONAL)]
    rest = [tensors.within(name) for name in rest if name.removeprefix(match.prefix) not in known]
    if match.prefix:
        logger.info(f"{path}: {len(state)} weights found under {one_line(match.label, 60)}")
    if rest:
        logger.warning(f"{path}: left out {len(rest)} weights that are not of this network ({list_names(rest)})")
