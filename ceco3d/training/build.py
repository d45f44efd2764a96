"""The parts of a training run, made from its configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ceco3d.cli.app import number
from ceco3d.data.batch import feature_channels
from ceco3d.data.collate import Collate
from ceco3d.data.dataset import SceneDataset
from ceco3d.data.loader import make_loader
from ceco3d.data.sampler import VoxelCap, count_voxels
from ceco3d.data.scenes.cache import ArrayCache
from ceco3d.data.scenes.frequency import class_frequency
from ceco3d.data.scenes.instance_bank import InstanceBank
from ceco3d.data.scenes.labels import label_space
from ceco3d.data.seeded import SeededDataset
from ceco3d.data.transforms import InstanceAugmentation, PasteInstances, Transform, Transforms
from ceco3d.losses import CenterCollapseLoss, PointLoss, SegmentationLoss
from ceco3d.models import MinkUNet, build_model, load_weights
from ceco3d.training.prefetcher import Feed
from ceco3d.training.sync_batch_norm import synchronize
from ceco3d.utils.distributed import rank, world
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import read_npy


def make_model(cfg: DictConfig, out_channels: int | None = None) -> MinkUNet:
    """The network of ``cfg`` with the weights of ``cfg.init`` if given; one output a class unless told otherwise."""
    try:
        model = build_model(
            in_channels=feature_channels(cfg.features),
            out_channels=out_channels or len(label_space(cfg.dataset.label_space)),
            engine=cfg.engine,
            **cfg.model,
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    if cfg.trainer.sync_batch_norm:
        synchronize(model)
    if cfg.init is not None:
        load_weights(model, cfg.init, leave_out=list(cfg.init_leave_out), minkowski=str(cfg.init_minkowski))
    return model


def make_loss(cfg: DictConfig, in_channels: int, folders: list[Path]) -> SegmentationLoss:
    """The loss of ``cfg`` for features of ``in_channels``; ``folders`` are the training scenes (for class counts)."""
    settings = OmegaConf.to_container(cfg.loss, resolve=True)
    size = len(label_space(cfg.dataset.label_space))
    scenes, points = class_frequency(folders, cfg.dataset.label_space)
    center = settings["center"]
    try:
        if center is not None:
            prior = center.pop("prior")
            if prior not in (None, "scenes"):
                raise UserError(f"loss.center.prior={prior}: choose null or scenes")
            center = CenterCollapseLoss(size, in_channels, class_counts=scenes if prior else None, **center)
        point = PointLoss(size, class_points=points, **settings["point"])
    except ValueError as error:
        raise UserError(f"loss={cfg.loss.name}: {error}") from error
    return SegmentationLoss(point, center, settings["center_weight"], settings["lovasz_weight"])


def make_training_feed(cfg: DictConfig, folders: list[Path], device: torch.device) -> Feed:
    """Augmented batches of the training scenes; ``trainer.augment_on`` says where they are made."""
    if cfg.trainer.augment_on not in ("loader", "device"):
        raise UserError(f"trainer.augment_on={cfg.trainer.augment_on}: choose loader or device")
    transforms = Transforms(object_steps(cfg, folders) + [instantiate(step) for step in cfg.transforms.train])
    load = read_npy
    if cfg.trainer.cache is not None:
        load = ArrayCache(folders, int(number(cfg, "trainer.cache") * 1e9))
    crop = instantiate(cfg.transforms.crop)
    aside = cfg.trainer.augment_on == "device"
    read = (folders, cfg.dataset.label_space, None if aside else transforms, cfg.seed, cfg.trainer.repeat, crop, load)
    cap = None
    if cfg.trainer.batch_voxels is not None:
        voxels = count_voxels(folders, cfg.dataset.label_space, cfg.voxel_size)
        cap = VoxelCap(voxels, number(cfg, "trainer.batch_voxels", whole=True))
    collate = Collate(cfg.voxel_size, list(cfg.features), cfg.transforms.mix_prob, cfg.seed)
    if aside:
        finish = replace(collate, transforms=transforms, device=device)
        return make_feed(cfg, SceneDataset(*read), list, finish, device, cap)
    return make_feed(cfg, SceneDataset(*read), collate, lambda batch: batch.to(device), device, cap)


def make_feed(
    cfg: DictConfig,
    dataset: SeededDataset,
    collate: Callable,
    finish: Callable,
    device: torch.device,
    cap: VoxelCap | None = None,
) -> Feed:
    """What this process reads of ``dataset``: its part of ``trainer.batch_size``, in ``accumulate`` batches a step.

    Loader processes ``collate`` the samples, ``finish`` takes over on the device, see Feed. UserError when the
    processes cannot share ``trainer.batch_size`` equally.
    """
    size, parts = number(cfg, "trainer.batch_size", whole=True), world() * cfg.trainer.accumulate
    if size % parts:
        raise UserError(
            f"trainer.batch_size={size}: must be a multiple of {parts} "
            f"({world()} processes x trainer.accumulate={cfg.trainer.accumulate})"
        )
    loader = make_loader(
        dataset,
        collate,
        size // parts,
        shuffle=True,
        workers=cfg.trainer.workers,
        drop_last=True,
        rank=rank(),
        world=world(),
        cap=cap,
        pin_memory=device.type == "cuda",
    )
    return Feed(loader, finish, device, cfg.trainer.accumulate)


def object_steps(cfg: DictConfig, folders: list[Path]) -> list[Transform]:
    """The steps that ``transforms.paste`` and ``transforms.instances`` ask for; they come before ``transforms.train``.

    They need the training scenes and the label space, which a step of the configuration does not know.
    """
    settings = OmegaConf.to_container(cfg.transforms, resolve=True)
    space = cfg.dataset.label_space
    steps: list[Transform] = []
    try:
        if settings["paste"] is not None:
            places = {key: number(cfg, f"transforms.paste.{key}", whole=True) for key in ("count", "tries")}
            bank = {key: value for key, value in settings["paste"].items() if key not in places}
            steps.append(PasteInstances(InstanceBank(folders, space, **bank), **places))
        if settings["instances"] is not None:
            steps.append(InstanceAugmentation(label_space(space).structure, **settings["instances"]))
    except TypeError as error:
        raise UserError(f"transforms.paste and transforms.instances: {error}") from error
    return steps


def make_optimizer(cfg: DictConfig, parts: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of ``cfg`` over the trainable parameters of ``parts``."""
    number(cfg, "optimizer.lr")
    return instantiate(cfg.optimizer, params=[p for p in parts.parameters() if p.requires_grad])


def make_average(cfg: DictConfig, model: MinkUNet) -> AveragedModel | None:
    """The exponential moving average of the weights of ``model`` with decay ``cfg.trainer.ema``; None without.

    The decay rises to that as (1 + n) / (10 + n) with the number n of steps: short runs forget where they began.
    The running statistics of batch norms are averaged alike: they were measured under the raw weights of each step, so
    that this keeps them as old as the weights they belong to.
    """
    decay = cfg.trainer.ema
    if decay is None:
        return None
    if isinstance(decay, bool) or not isinstance(decay, (int, float)) or not 0 < decay < 1:
        raise UserError(f"trainer.ema={decay}: must be null or a decay between 0 and 1, such as 0.999")

    def average(means: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
        count = int(averaged.n_averaged)  # the same as `steps`, which may be on a GPU
        get_ema_multi_avg_fn(min(decay, (1 + count) / (10 + count)))(means, current, steps)

    averaged = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
    return averaged
