"""``python -m examples.images``: render rooms200, train a 2D U-Net with CE and with CE + CeCo, compare them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from ceco3d.cli.app import compose, fail
from ceco3d.cli.settings import to_settings
from ceco3d.data.labels import GROUPS, label_space
from ceco3d.data.scenes.processed import read_scene
from ceco3d.metrics import segmentation_scores
from ceco3d.metrics.tables import markdown_table, percent
from ceco3d.preprocess import PreprocessSettings
from ceco3d.preprocessing.datasets import processed_scenes
from ceco3d.utils.atomic import check_writable
from ceco3d.utils.errors import UserError
from ceco3d.utils.progress import track
from examples.images.panel import need_matplotlib, write_panel
from examples.images.render import View, look_around
from examples.images.train import predict, score, train

SPLITS = ("train", "val")
SPACE = label_space("scannet200")
PANEL_ROWS = 4


def main() -> None:
    """Run the example; bad input ends it with one line and exit code 2."""
    try:
        run(arguments())
    except UserError as error:
        fail(error)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m examples.images", description="CeCo on images of rooms.")
    parser.add_argument("--scenes", type=Path, help="processed scenes (default: rooms200, generated if absent)")
    parser.add_argument("--out", type=Path, default=Path("outputs/images"), help="folder for panel.png (%(default)s)")
    parser.add_argument("--steps", type=positive, default=300, help="training steps per network (%(default)s)")
    parser.add_argument("--views", type=positive, default=8, help="images per scene (%(default)s)")
    parser.add_argument("--size", type=positive, default=72, help="height of an image in pixels (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of cameras, weights and batches (%(default)s)")
    return parser.parse_args()


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def run(args: argparse.Namespace) -> None:
    """Render the images, train both networks, print their scores and write the panel."""
    need_matplotlib()
    check_writable(args.out)
    views = render_scenes(args)
    truth = views["val"]
    print(f"{len(views['train'])} training and {len(truth)} validation images", flush=True)
    predictions, rows = [], []
    for name, ceco in (("CE", False), ("CE + CeCo", True)):
        model = train(views["train"], len(SPACE), ceco, args.steps, args.seed)
        predictions.append(predict(model, truth))
        scores = segmentation_scores(score(predictions[-1], truth, len(SPACE)), SPACE)
        means = [percent(scores[key]["present"]) for key in ("miou", *GROUPS)]
        rows.append((name, *means, percent(scores["accuracy"])))
    print("\n".join(markdown_table(("validation, percent", "mIoU", *GROUPS, "accuracy"), rows)))
    shown = range(0, len(truth), args.views)[:PANEL_ROWS]  # the first image of the first scenes
    panel = [(truth[i].color, truth[i].label, *(labels[i].numpy() for labels in predictions)) for i in shown]
    write_panel(args.out / "panel.png", panel, SPACE)
    print(args.out / "panel.png")


def render_scenes(args: argparse.Namespace) -> dict[str, list[View]]:
    """Return the images of each split in the order of its scenes, ``args.views`` per scene, 4:3."""
    dataset = to_settings(PreprocessSettings, compose("preprocess")).dataset
    if args.scenes is not None:
        dataset = replace(dataset, raw=None, root=args.scenes)
    folders = processed_scenes(dataset, SPLITS, workers=None)
    rng = np.random.default_rng(args.seed)
    views: dict[str, list[View]] = {split: [] for split in SPLITS}
    for split in SPLITS:
        for folder in track(folders[split], len(folders[split]), f"rendering {split}"):
            scene = read_scene(folder, SPACE)
            views[split] += look_around(scene, args.views, args.size, args.size * 4 // 3, rng)
    return views


if __name__ == "__main__":
    main()
