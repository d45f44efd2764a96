"""``python -m ceco3d.visualize``: pictures of segmentations and of runs (conf/visualize.yaml)."""

from __future__ import annotations

from ceco3d.cli.start import start

if __name__ == "__main__":
    start("visualize")  # answers --help and wrong keys before the imports below, which take seconds

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from ceco3d.cli.app import command
from ceco3d.cli.scoring import FragmentPasses, ViewSettings
from ceco3d.models.pretrained import WeightsPath
from ceco3d.preprocessing.datasets import DataSet
from ceco3d.reports.neural_collapse_geometry import choose_classes
from ceco3d.reports.neural_collapse_runs import read_runs
from ceco3d.utils.atomic import check_writable, write_bytes, write_text
from ceco3d.utils.device import choose_device, choose_precision
from ceco3d.utils.errors import UserError
from ceco3d.utils.plain_text import visible
from ceco3d.utils.settings import BUILT, CommonSettings, Count, FilePath, Positive, Text, settings
from ceco3d.visualization.labeled_scenes import find_scene, labels_space, read_labeled, segment_scene
from ceco3d.visualization.page import MAX_PANELS, viewer_page
from ceco3d.visualization.segmented import SegmentedScene


@settings
class VisualizeSettings(CommonSettings):
    """conf/visualize.yaml."""

    dataset: Annotated[DataSet, BUILT]
    tta: ViewSettings
    scene: Text | None = None
    input: FilePath | None = None
    runs: Sequence[WeightsPath] = ()
    labels: Sequence[Text] | None = None
    out: FilePath
    up: Literal["z", "y", "-y"] = "z"
    points: Count = 500_000
    voxel_size: Positive | None = None
    head: str | None = None
    fragments: FragmentPasses = 4
    window: bool = False
    classes: Sequence[Text] | None = None


@command("visualize", VisualizeSettings)
def main(settings: VisualizeSettings) -> None:
    """Draw a scene or, when none is named, the neural collapse of the runs; print what was written."""
    check(settings)
    check_writable(settings.out)
    of_runs = settings.scene is None and settings.input is None
    for path in draw_runs(settings) if of_runs else draw_scene(settings):
        print(visible(path))


def draw_runs(settings: VisualizeSettings) -> list[Path]:
    """Pictures of the runs; returns the files written."""
    try:
        from ceco3d.reports.neural_collapse_figures import write_figures
    except ModuleNotFoundError as error:
        raise missing_plot(error) from error
    runs = read_runs(settings.runs, settings.labels)
    return write_figures(runs, choose_classes(runs, settings.classes), settings.out)


def draw_scene(settings: VisualizeSettings) -> Iterator[Path]:
    """The picture and the page of a scene or a labeled file, and the window where asked for."""
    try:
        from ceco3d.visualization.picture import scene_picture
    except ModuleNotFoundError as error:
        raise missing_plot(error) from error
    if settings.window:
        from ceco3d.visualization.window import load_open3d, show

        load_open3d()
    scene, out = read_scene(settings), settings.out
    picture, page = scene_picture(scene), viewer_page(scene, settings.points, settings.seed)
    write_bytes(out / f"{scene.name}.png", picture)
    yield out / f"{scene.name}.png"
    write_text(out / f"{scene.name}.html", page)
    yield out / f"{scene.name}.html"
    if settings.window:
        show(scene)


def read_scene(settings: VisualizeSettings) -> SegmentedScene:
    """The labeled file, or the scene with what the runs predict."""
    if settings.input is not None:
        return read_labeled(settings.input, labels_space(settings.input) or settings.dataset.space(), settings.up)
    device = choose_device(settings.device)
    dtype = choose_precision(settings.precision, device)
    folder = find_scene(str(settings.scene), settings.dataset.root)
    views, size = settings.tta.views(), settings.voxel_size
    space = None if settings.runs else settings.dataset.space()
    rest = dtype, size, settings.head, settings.fragments
    return segment_scene(folder, space, settings.runs, settings.labels, device, views, *rest)


def check(settings: VisualizeSettings) -> None:
    """Refuse combinations that make no sense."""
    if settings.scene is not None and settings.input is not None:
        raise UserError(f"scene={settings.scene} input={settings.input}: choose one of them")
    if settings.input is not None and settings.runs:
        raise UserError(f"input={settings.input}: has its own labels; leave runs= out, or name a scene=")
    if settings.scene is None and settings.input is None and not settings.runs:
        raise UserError("runs=[]: name at least one run folder, e.g. runs=[outputs/mine], or a labeled file, input=")
    if settings.scene is not None and len(settings.runs) > MAX_PANELS - 2:
        raise UserError(
            f"runs: {len(settings.runs)} given, but of {MAX_PANELS} panels two are original and ground truth"
        )


def missing_plot(error: ModuleNotFoundError) -> UserError:
    """What to say when matplotlib is not there."""
    return UserError(f"pictures need {error.name}: pip install 'ceco3d[plot]'")


if __name__ == "__main__":
    main()
