"""Build the batches of a training run: read, augmented, voxelized, on the device."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from ceco3d.data.collate import Collate
from ceco3d.data.dataset import Sample, SceneDataset
from ceco3d.data.labels import LabelSpace
from ceco3d.data.loader import make_loader
from ceco3d.data.sampler import VoxelCap, count_voxels
from ceco3d.data.scenes.blocks import Piece, find_pieces
from ceco3d.data.scenes.cache import ArrayCache
from ceco3d.data.scenes.device_cache import SHARE, DeviceCache, cached_bytes, device_bytes
from ceco3d.data.scenes.instance_bank import InstanceBank
from ceco3d.data.scenes.processed import FEATURES, Load
from ceco3d.data.seeded import SeededDataset
from ceco3d.data.transforms import PasteInstances, Transform, Transforms
from ceco3d.preprocessing.datasets import DataSet, Rooms200
from ceco3d.preprocessing.endless import EndlessRooms
from ceco3d.training.prefetcher import Prefetcher
from ceco3d.training.settings import RunSettings, TrainerSettings, TransformSettings
from ceco3d.utils.distributed import rank, world
from ceco3d.utils.errors import UserError
from ceco3d.utils.untrusted import read_npy

logger = logging.getLogger(__name__)


def training_batches(settings: RunSettings, folders: Sequence[Path], device: torch.device) -> Prefetcher:
    """Augmented batches of the training scenes, made where ``trainer.augment_on`` says."""
    trainer, space = settings.trainer, settings.dataset.space()
    transforms = augmentation(settings, folders, space)
    pieces = find_pieces(folders, settings.transforms.block)
    kept = device_cache(settings, pieces, device)
    dataset = SceneDataset(
        pieces,
        space,
        None if augments_on_device(trainer, device) else transforms,
        settings.seed,
        trainer.repeat,
        settings.transforms.crop,
        array_reader(trainer, folders),
        settings.features,
        kept,
        other_rooms(settings, settings.dataset),
    )
    cap = None
    if trainer.batch_voxels is not None:
        cap = VoxelCap(count_voxels(pieces, space, settings.voxel_size), trainer.batch_voxels)
    return collated(settings, dataset, transforms, device, cap, kept)


def augments_on_device(trainer: TrainerSettings, device: torch.device) -> bool:
    """Whether ``device`` augments, not the loader processes. "auto": a GPU, and the device that keeps the scenes."""
    return trainer.augment_on == "device" or (
        trainer.augment_on == "auto" and (device.type == "cuda" or trainer.cache == "device")
    )


def device_cache(settings: RunSettings, pieces: Sequence[Piece], device: torch.device) -> DeviceCache | None:
    """The memory for all ``pieces`` on ``device`` if ``trainer.cache`` asks for it and they fit; logs what it takes.

    UserError if other settings exclude it.
    """
    if settings.trainer.cache != "device":
        return None
    if settings.trainer.augment_on == "loader":
        raise UserError("trainer.cache=device: the scenes are on the device; set trainer.augment_on=auto or device")
    if settings.transforms.crop is not None:
        raise UserError(
            "trainer.cache=device: keeps whole scenes, but transforms.crop reads parts; move it to transforms.train"
        )
    size, memory = cached_bytes(pieces, settings.features), device_bytes(device)
    text = f"trainer.cache=device: {len(pieces):,} scenes, about {size / 1e9:.2g} GB"
    if size > SHARE * memory:
        share = f"{SHARE:.0%} of the {memory / 1e9:.0f} GB of {device}"
        logger.warning(f"{text}, are more than {share}: they are read each time")
        return None
    logger.info(f"{text}, stay on {device}")
    return DeviceCache(device)


def other_rooms(settings: RunSettings, dataset: DataSet) -> EndlessRooms | None:
    """What makes other scenes for each epoch, if ``dataset`` does; UserError if a setting needs the same ones again."""
    rooms = dataset.rooms() if isinstance(dataset, Rooms200) else None
    trainer = settings.trainer
    for key, used in (("cache", trainer.cache), ("batch_voxels", trainer.batch_voxels)):
        if rooms is not None and used:
            raise UserError(f"dataset.endless: each epoch has other rooms, so trainer.{key} has no use; leave it out")
    return rooms


def augmentation(settings: RunSettings, folders: Sequence[Path], space: LabelSpace) -> Transforms:
    """All transforms of a training scene with labels of ``space``; ``folders`` have the objects to paste."""
    known = {"structure": space.structure, "space": space}
    steps = object_steps(settings.transforms, folders, space, settings.features)
    return Transforms(steps + [make(**known) for make in settings.transforms.train])


def array_reader(trainer: TrainerSettings, folders: Sequence[Path]) -> Load:
    """Reads the arrays of the scenes in ``folders``, through a cache if ``trainer.cache`` is set."""
    return ArrayCache(folders, int(trainer.cache * 1e9)) if isinstance(trainer.cache, int | float) else read_npy


def collated(
    settings: RunSettings,
    dataset: SeededDataset[Sample],
    transforms: Transform,
    device: torch.device,
    cap: VoxelCap | None = None,
    kept: DeviceCache | None = None,
) -> Prefetcher:
    """Batches of the scenes of ``dataset``; ``transforms`` that it has not applied run on the device.

    kept  that ``dataset`` has: then it needs no loader processes
    """
    trainer = settings.trainer if kept is None else replace(settings.trainer, workers=0)
    own = settings.transforms
    collate = Collate(
        settings.voxel_size,
        list(settings.features),
        own.mix_prob,
        settings.seed,
        mix=own.mix,
        offset=own.offset,
        crop=own.crop_voxels,
    )
    if augments_on_device(trainer, device):
        finish = replace(collate, transforms=transforms, device=device)
        return make_prefetcher(trainer, dataset, list, finish, device, cap)
    return make_prefetcher(trainer, dataset, collate, lambda batch: batch.to(device), device, cap)


def make_prefetcher(
    trainer: TrainerSettings,
    dataset: SeededDataset,
    collate: Callable[..., Any],
    finish: Callable[[Any], Any],
    device: torch.device,
    cap: VoxelCap | None = None,
) -> Prefetcher:
    """The batches of this process: its share of ``batch_size``, in ``accumulate`` batches per step.

    ``collate`` runs in the loader processes, ``finish`` on the device (see Prefetcher). UserError if ``batch_size``
    does not divide evenly among the processes.
    """
    parts = world() * trainer.accumulate
    if trainer.batch_size % parts:
        raise UserError(
            f"trainer.batch_size={trainer.batch_size}: must be a multiple of {parts} "
            f"({world()} processes x trainer.accumulate={trainer.accumulate})"
        )
    loader = make_loader(
        dataset,
        collate,
        trainer.batch_size // parts,
        shuffle=True,
        workers=trainer.workers,
        drop_last=True,
        rank=rank(),
        world=world(),
        cap=cap,
        pin_memory=device.type == "cuda",
    )
    return Prefetcher(loader, finish, device, trainer.accumulate)


def object_steps(
    transforms: TransformSettings, folders: Sequence[Path], space: LabelSpace, features: Sequence[str] = FEATURES
) -> list[Transform]:
    """Instance pasting, if set. It runs before all other transforms."""
    if transforms.paste is None:
        return []
    options = asdict(transforms.paste)
    pasting = {name: options.pop(name) for name in ("count", "tries", "turn", "scale")}
    return [PasteInstances(InstanceBank(folders, space, **options, features=features), **pasting)]
