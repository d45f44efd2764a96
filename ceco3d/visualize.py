"""``python -m ceco3d.visualize``: pictures of segmentations and of runs (conf/visualize.yaml)."""

from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig

from ceco3d.cli.app import check_lists, command, number
from ceco3d.data.pointclouds.axes import UP_ROTATIONS
from ceco3d.data.scenes.labels import label_space
from ceco3d.inference.predictor import make_views
from ceco3d.reports.collapse import choose_classes, read_runs
from ceco3d.utils.atomic import check_writable, write_bytes, write_text
from ceco3d.utils.device import choose_device, choose_precision
from ceco3d.utils.errors import UserError
from ceco3d.visualization.page import MAX_PANELS, viewer_page
from ceco3d.visualization.segmented import SegmentedScene
from ceco3d.visualization.sources import find_scene, read_labelled, segment_scene


@command("visualize")
def main(cfg: DictConfig) -> None:
    """Draw a scene or, when none is named, the neural collapse of the runs; print what was written."""
    check(cfg)
    out = Path(str(cfg.out))
    check_writable(out)
    for path in draw_runs(cfg, out) if cfg.scene is None and cfg.input is None else draw_scene(cfg, out):
        print(path)


def draw_runs(cfg: DictConfig, out: Path) -> list[Path]:
    """Pictures of ``cfg.runs``; returns the files written."""
    try:
        from ceco3d.reports.figures import write_pictures
    except ModuleNotFoundError as error:
        raise missing_plot(error) from error
    runs = read_runs([Path(str(folder)) for folder in cfg.runs], cfg.labels)
    return write_pictures(runs, choose_classes(runs, cfg.classes), out)


def draw_scene(cfg: DictConfig, out: Path) -> Iterator[Path]:
    """The picture and the page of ``cfg.scene`` or ``cfg.input``, and the window where asked for."""
    try:
        from ceco3d.visualization.picture import scene_picture
    except ModuleNotFoundError as error:
        raise missing_plot(error) from error
    if cfg.window:
        from ceco3d.visualization.window import load_open3d, show

        load_open3d()
    scene = read_scene(cfg)
    picture, page = scene_picture(scene), viewer_page(scene, cfg.points, cfg.seed)
    write_bytes(out / f"{scene.name}.png", picture)
    yield out / f"{scene.name}.png"
    write_text(out / f"{scene.name}.html", page)
    yield out / f"{scene.name}.html"
    if cfg.window:
        show(scene)


def read_scene(cfg: DictConfig) -> SegmentedScene:
    """The labelled file, or the scene with what the runs predict."""
    space = label_space(cfg.dataset.label_space)
    if cfg.input is not None:
        return read_labelled(Path(str(cfg.input)), space, str(cfg.up))
    device = choose_device(cfg.device)
    dtype = choose_precision(cfg.precision, device)
    runs = [Path(str(run)) for run in cfg.runs]
    return segment_scene(
        find_scene(str(cfg.scene), cfg.dataset), space, runs, cfg.labels, device, make_views(cfg.tta), dtype
    )


def check(cfg: DictConfig) -> None:
    """Refuse values that would only fail later."""
    check_lists(cfg, ("runs", "labels", "classes"))
    number(cfg, "points", whole=True)
    if cfg.scene is not None and cfg.input is not None:
        raise UserError(f"scene={cfg.scene} input={cfg.input}: choose one of them")
    if cfg.input is not None and cfg.runs:
        raise UserError(f"input={cfg.input}: has its own labels; leave runs= out, or name a scene=")
    if cfg.up not in UP_ROTATIONS:
        raise UserError(f"up={cfg.up}: choose one of {', '.join(UP_ROTATIONS)}")
    if cfg.scene is None and cfg.input is None and not cfg.runs:
        raise UserError("runs=[]: name a run folder at least, e.g. runs=[outputs/mine], or a labelled file, input=")
    if cfg.scene is not None and len(cfg.runs) > MAX_PANELS - 2:
        raise UserError(f"runs: {len(cfg.runs)} given, but of {MAX_PANELS} panels two are original and ground truth")


def missing_plot(error: ModuleNotFoundError) -> UserError:
    """What to say when matplotlib is not there."""
    return UserError(f"pictures need {error.name}: pip install 'ceco3d[plot]'")


if __name__ == "__main__":
    main()
