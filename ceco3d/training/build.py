"""Build the parts of a training run from its settings."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ceco3d.data.batch import feature_channels
from ceco3d.data.labels import LabelBlock, LabelSpace, stored_space
from ceco3d.data.scenes.frequency import class_frequency
from ceco3d.data.scenes.missing import available_features
from ceco3d.models import Network, build_model, load_weights
from ceco3d.models.build import find_network
from ceco3d.sparse import Engine, load_engine
from ceco3d.training.settings import RunSettings, TrainSettings
from ceco3d.training.sync_batch_norm import synchronize
from ceco3d.utils.components import TARGET, Component
from ceco3d.utils.errors import UserError

AUTO = "auto"  # features: what the scenes have

Run = TypeVar("Run", bound=RunSettings)

logger = logging.getLogger(__name__)


def make_network(settings: RunSettings, out_channels: int | None = None, classes: Sequence[LabelBlock] = ()) -> Network:
    """The network, with the weights of ``init`` if given.

    out_channels  outputs; None: one for each class of the data set
    classes       of the outputs, if ``out_channels`` is given and they stand for classes
    UserError if a checkpoint could not store the network, see ``network_arguments``.
    """
    network_arguments(settings.model)  # raises now rather than after the training
    if out_channels is None:
        classes = (LabelBlock("", settings.dataset.space(), 0),)
        out_channels = classes[-1].outputs.stop
    model: Network = settings.model(
        in_channels=feature_channels(settings.features), out_channels=out_channels, engine=_engine(settings)
    )
    trainer = settings.trainer
    if trainer.sync_batch_norm:
        synchronize(model)
    if settings.init is not None:
        load_weights(model, settings.init, list(settings.init_leave_out), settings.init_minkowski, classes)
    elif trainer.freeze or trainer.layer_decay is not None:
        logger.warning("trainer.freeze and trainer.layer_decay hold back random weights; pass init=CHECKPOINT")
    if trainer.freeze:
        model.freeze(trainer.freeze)
    return model


def with_features(settings: Run, folders: Sequence[Path]) -> Run:
    """``settings`` with the features that the training scenes in ``folders`` have, if it asks for them."""
    if list(settings.features) != [AUTO]:
        return settings
    features = available_features(folders)
    logger.info(f"features: {', '.join(features)}")
    return replace(settings, features=features)


def _engine(settings: RunSettings) -> str | Engine:
    """The network's argument ``engine``: a name for ``build_model``, an Engine for other classes."""
    return settings.engine if settings.model.target is build_model else engine_layers(settings.engine)


def engine_layers(engine: str) -> Engine:
    """The engine by its name. UserError if it is unknown or not installed."""
    try:
        return load_engine(engine)
    except ValueError as error:
        raise UserError(str(error)) from error


def network_setup(settings: RunSettings, out_channels: int, space: LabelSpace | None) -> dict[str, Any]:
    """What ``models.load_trained`` needs to rebuild the network; checkpoints store it.

    space  that the network predicts; None: it predicts no labels
    """
    return {
        "model": network_arguments(settings.model)
        | {"in_channels": feature_channels(settings.features), "out_channels": out_channels},
        "label_space": None if space is None else stored_space(space),
        "features": list(settings.features),
        "voxel_size": settings.voxel_size,
    }


def network_arguments(model: Component) -> dict[str, Any]:
    """The settings that ``models.build_network`` rebuilds the network from.

    These are the arguments of ``build_model``, or those of another subclass of Network with its dotted path as
    ``_target_``. UserError if that class has no dotted path to import it by, or an argument is not a plain value.
    """
    if model.target is build_model:  # a checkpoint has weights, whatever they began with
        return {name: value for name, value in model.arguments.items() if name != "init"}
    path = f"{model.target.__module__}.{model.target.__qualname__}"
    try:
        importable = find_network(path) is model.target
    except ValueError:
        importable = False
    if not importable:
        raise UserError(
            f"{model.key}: checkpoints could not name {path}; define a subclass of ceco3d.models.Network at the top "
            "level of a module"
        )
    for name, value in model.arguments.items():
        if not _is_plain(value):
            raise UserError(
                f"{model.key}.{name}: checkpoints store plain values only, not {type(value).__name__}; "
                "use numbers, text, lists or mappings"
            )
    return {TARGET: path} | dict(model.arguments)


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_plain(item) for name, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def make_loss(settings: TrainSettings, in_channels: int, folders: Sequence[Path]) -> nn.Module:
    """The loss for features of ``in_channels``, with class counts from ``folders``, the training scenes."""
    space = settings.dataset.space()
    scenes, points = class_frequency(folders, space)
    known = {"num_classes": len(space), "in_channels": in_channels, "class_names": space.names}
    return settings.loss(**known, class_points=points, class_counts=scenes, engine=engine_layers(settings.engine))


def make_average(decay: float | None, model: nn.Module) -> AveragedModel | None:
    """An exponential moving average of the weights of ``model``; None without ``decay``.

    After n steps the decay is (1 + n) / (10 + n), up to ``decay``, so even short runs forget their initial weights. The
    running statistics of batch norms are averaged too: each was measured with the raw weights of its step, so averaging
    both keeps them matched.
    """
    if decay is None:
        return None

    def average(means: Any, current: Any, steps: Any) -> None:
        count = int(averaged.n_averaged)  # equals `steps`, which may be on a GPU
        get_ema_multi_avg_fn(min(decay, (1 + count) / (10 + count)))(means, current, steps)

    averaged = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
    return averaged
