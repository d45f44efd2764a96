"""Recipes: their effective configuration, as golden files keep it."""

from __future__ import annotations

import json
from typing import Any

import yaml

from ceco3d.cli.app import compose, config_dir
from ceco3d.cli.settings import to_settings
from ceco3d.train import pretraining_config
from ceco3d.training.settings import TrainSettings

RECIPES = sorted(path.stem for path in (config_dir() / "recipe").glob("*.yaml"))
# What a recipe is not about: the machine, the data, where results go.
OTHER = ("device", "seed", "workers", "log_level", "logger", "dataset", "run_dir", "resume", "engine", "init")
MACHINE = ("workers", "cache", "log_every", "augment_on", "save_every", "max_bad_scenes", "max_skipped", "batch_voxels")


def effective(recipe: str, *overrides: str) -> dict[str, Any]:
    """What ``recipe`` trains with on ScanNet200, and its pretraining."""
    config = compose(
        "train", ["dataset=scannet200", "dataset.raw=/raw", f"recipe={recipe}", "run_dir=/run", *overrides]
    )
    found = own(config)
    if config["pretrain"] is not None:
        found["pretrain"] = own(pretraining_config(to_settings(TrainSettings, config)))
    return found


def own(config: dict[str, Any]) -> dict[str, Any]:
    """``config`` without what is not a matter of the recipe."""
    kept = {key: value for key, value in config.items() if key not in OTHER}
    kept["trainer"] = {key: value for key, value in kept["trainer"].items() if key not in MACHINE}
    return kept


def differences(a: Any, b: Any, key: str = "") -> list[str]:
    """Dotted keys in which two configurations differ."""
    if not (isinstance(a, dict) and isinstance(b, dict)):
        return [] if a == b else [key]
    names = sorted(a.keys() | b.keys())
    return [text for name in names for text in differences(a.get(name), b.get(name), f"{key}.{name}".strip("."))]


def as_text(config: dict[str, Any]) -> str:
    """The text of a golden file."""
    apart = json.loads(json.dumps(config))  # YAML would write a list that occurs twice once
    return yaml.safe_dump(apart, sort_keys=True, width=120)
