"""Pictures of a run's report: scenes of the validation split with ground truth, prediction and errors.

The images have no background and their titles and legend are text of the page, so that they fit light and dark pages.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ceco3d.data.labels import LabelSpace
from ceco3d.data.scenes.processed import list_scenes
from ceco3d.inference.predictor import View
from ceco3d.metrics import Confusion
from ceco3d.runs.folder import read_scene_scores
from ceco3d.utils.errors import UserError
from ceco3d.utils.plain_text import html_text
from ceco3d.utils.untrusted import one_line
from ceco3d.visualization.segmented import SegmentedScene

if TYPE_CHECKING:
    from ceco3d.visualization.render import Frame

UNSCORED = "Validation scene"  # which of them, where their scores are unknown


@dataclass(frozen=True)
class Choice:
    """A scene to draw: its folder, and why it was chosen ("Best")."""

    folder: Path
    which: str


def scene_pictures(
    run: Path, config: Mapping[str, Any], folder: str, space: LabelSpace, device: torch.device | None
) -> tuple[str, str]:
    """Return pictures of the run's best and worst validation scene as HTML, or "" and the reason in one line.

    folder  where the run was started; a relative ``dataset.root`` starts there
    device  predicts; None: nothing is drawn
    UserError if ``scenes.json`` is damaged.
    """
    scored = read_scene_scores(run)
    if device is None:
        return "", "an interrupted training draws none; python -m ceco3d.report run=... draws them from its checkpoint"
    checkpoint = next((name for name in ("best.pt", "last.pt") if (run / "checkpoints" / name).is_file()), "")
    if not checkpoint:
        return "", "the run has no checkpoint to predict with"
    if find_spec("matplotlib") is None:
        return "", "drawing needs matplotlib: pip install 'ceco3d[plot]'"
    try:
        chosen, reason = _choose(data_roots(run, config, folder), scored)
        head = scored_dataset(config)[0]
        return "".join(_scene(choice, space, run, checkpoint, device, head) for choice in chosen), reason
    except (UserError, OSError, RuntimeError, ValueError) as error:
        return "", one_line(error, 300)


def data_roots(run: Path, config: Mapping[str, Any], folder: str) -> list[Path]:
    """Return where the processed data of a run may be, most certain first.

    A relative ``dataset.root`` starts in the folder that the run was started in (``environment.json``). If run and data
    have moved together, that folder is what precedes ``run_dir`` in the path of the run. Runs that recorded neither
    were started somewhere unknown: then it is the current folder.
    """
    dataset = scored_dataset(config)[1]
    root = Path(str(dataset["root"])) if isinstance(dataset, Mapping) and dataset.get("root") else None
    if root is None or root.is_absolute():
        return [root] if root else []
    bases = [Path(folder)] if folder else []
    parts, run_dir = run.absolute().parts, Path(str(config.get("run_dir") or "")).parts
    if run_dir and not Path(*run_dir).is_absolute() and parts[-len(run_dir) :] == run_dir:
        bases.append(Path(*parts[: -len(run_dir)]))
    return [base / root for base in bases or [Path.cwd()]]


def scored_dataset(config: Mapping[str, Any]) -> tuple[str | None, Any]:
    """Return the part of a joint training whose scores are those of the run, None of any other, and its data set."""
    dataset = config.get("dataset")
    parts = dataset.get("parts") if isinstance(dataset, Mapping) else None
    return next(iter(parts.items())) if isinstance(parts, Mapping) and parts else (None, dataset)


def _choose(roots: Sequence[Path], scored: Mapping[str, float] | None) -> tuple[list[Choice], str]:
    """Return the best and the worst of the ``scored`` scenes, the first two without scores; or the reason."""
    root = next((root / "val" for root in roots if (root / "val").is_dir()), None)
    if root is None:
        where = " or ".join(map(str, roots)) or "an unknown folder"
        return [], f"the data set is not there any more ({where})"
    if scored is None:
        return [Choice(path, UNSCORED) for path in list_scenes(root.parent, "val")[:2]], ""
    there = {path.name for path in root.iterdir()}  # a name in the file is never taken for a path
    found = sorted(
        (name for name in scored if name in there and (root / name / "coord.npy").is_file()),
        key=lambda name: scored[name],
    )
    if not found:
        return [], f"none of the {len(scored)} scored scenes is in {root}"
    of = "" if len(found) == len(scored) else f" of the {len(found)} scenes that are there (of {len(scored)})"
    if len(found) == 1:
        return [Choice(root / found[0], f"Only scene{of}")], ""
    return [Choice(root / found[-1], f"Best{of}"), Choice(root / found[0], f"Worst{of}")], ""


def _scene(
    choice: Choice, space: LabelSpace, run: Path, checkpoint: str, device: torch.device, head: str | None
) -> str:
    from ceco3d.visualization.labeled_scenes import segment_scene

    scene = segment_scene(choice.folder, space, [run], ["Prediction"], device, [View()], torch.float32, head=head)
    score = ""
    if scene.truth is not None:
        confusion = Confusion(len(space))
        confusion.update(torch.from_numpy(scene.predictions[0].labels), torch.from_numpy(scene.truth.labels))
        miou = confusion.miou
        score = "" if miou is None else f", mIoU {100 * miou:.1f} %"
    title = f"{choice.which}: {scene.name}{score} ({checkpoint})"
    views = "".join(_view(scene.name, title, png) for title, png in scene_views(scene))
    return (
        f'<figure class="scene"><figcaption>{html_text(title)}</figcaption><div class="views">{views}</div>'
        f"{_legend(scene)}</figure>"
    )


def scene_views(scene: SegmentedScene) -> list[tuple[str, bytes]]:
    """Return (title, PNG without background): original, ground truth, prediction and errors, from each camera."""
    from ceco3d.visualization.picture import error_colors, scene_frames

    prediction = scene.predictions[0]
    columns: list[tuple[str, np.ndarray]] = [("Original", scene.original)]
    columns += [(panel.title, scene.palette[panel.labels]) for panel in scene.panels]
    if scene.truth is not None:
        columns.append(("Errors", error_colors(scene.truth, prediction)))
    frames = scene_frames(scene)
    return [(f"{title}, {camera}", _png(f, colors)) for camera, f in frames.items() for title, colors in columns]


def _png(frame: Frame, colors: np.ndarray) -> bytes:
    from matplotlib.image import imsave

    from ceco3d.visualization.render import Frame, paint

    colored = paint(frame, colors, background=0).astype(np.float32)
    white = np.full_like(colors, 255)
    covered = paint(Frame(frame.point, np.ones_like(frame.shade)), white, background=0)[..., :1]
    straight = np.clip(colored * 255 / np.maximum(covered, 1), 0, 255).round().astype(np.uint8)
    file = BytesIO()
    imsave(file, np.concatenate([straight, covered], 2), format="png")
    return file.getvalue()


def _view(scene: str, title: str, png: bytes) -> str:
    source = f"data:image/png;base64,{b64encode(png).decode()}"
    alt = html_text(f"{title}: scene {scene}")
    return f'<figure><img alt="{alt}" src="{source}"><figcaption>{html_text(title)}</figcaption></figure>'


def _legend(scene: SegmentedScene) -> str:
    from ceco3d.visualization.picture import RIGHT, UNKNOWN, WRONG

    classes: list[tuple[str, Sequence[int] | np.ndarray]] = [
        (scene.space.names[k], scene.palette[k]) for k in scene.classes
    ]
    if scene.counts[:, -1].any():
        classes.append(("no label", scene.palette[-1]))
    errors = [("correct", RIGHT), ("wrong", WRONG), ("no ground truth", UNKNOWN)] if scene.truth is not None else []
    return _swatches("Errors", errors) + _swatches("Classes, most frequent first", classes)


def _swatches(title: str, entries: Sequence[tuple[str, Sequence[int] | np.ndarray]]) -> str:
    items = "".join(
        f'<li><i style="background:#{bytes(int(part) for part in color).hex()}"></i>{html_text(name)}</li>'
        for name, color in entries
    )
    return f'<ul class="swatches"><li><b>{title}</b></li>{items}</ul>' if entries else ""
