"""Batches for the training loop, made on the device one step ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any, Generic, Protocol, cast

import torch
from torch.utils.data import DataLoader

from ceco3d.data.collate import Collate
from ceco3d.training.objective import B


class _Dataset(Protocol):
    @property
    def sources(self) -> int: ...

    def __len__(self) -> int: ...


class _Sampler(Protocol):
    def set_position(self, epoch: int, batch: int = 0) -> None: ...

    def __len__(self) -> int: ...


class Prefetcher(Generic[B]):
    """The batches of each training step: ``parts`` of them, whose gradients are accumulated.

    loader  reads samples in worker processes, see ``data.loader.make_loader``
    finish  makes a batch on the device from what the loader returns: copies it, or augments and voxelizes it there

    The loop calls ``look_ahead`` once it has queued the work of a step: the next step's batches are then made while the
    GPU computes. This runs on a CUDA stream of its own. Where the host must wait for a result (the number of voxels),
    it then does not wait for the step as well. Without a GPU, everything runs in the same order.
    """

    def __init__(
        self, loader: DataLoader[Any], finish: Callable[[Any], B], device: torch.device, parts: int = 1
    ) -> None:
        self.loader, self.finish, self.device, self.parts = loader, finish, device, parts
        self._dataset = cast(_Dataset, loader.dataset)
        self._sampler = cast(_Sampler, loader.batch_sampler)
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._batches: Iterator[Any] = iter(())
        self._prepare: Callable[[B], B] = lambda batch: batch
        self._ahead: list[B] | Exception | None = None

    @property
    def sources(self) -> int:
        """Number of distinct scenes, or frame pairs."""
        return self._dataset.sources

    @property
    def augments(self) -> bool:
        """Whether the device augments and voxelizes, not the loader processes."""
        return isinstance(self.finish, Collate)

    @property
    def samples(self) -> int:
        """Number of samples in an epoch, repeats included."""
        return len(self._dataset)

    def __len__(self) -> int:
        """Steps in an epoch."""
        return len(self._sampler) // self.parts

    def steps(self, epoch: int, first: int, prepare: Callable[[B], B]) -> Iterator[list[B]]:
        """Yield the batches of each step of ``epoch``, from step ``first`` on, passed through ``prepare``."""
        self._sampler.set_position(epoch, first * self.parts)
        self._batches, self._prepare, self._ahead = iter(self.loader), prepare, None
        self._synchronize_streams()
        while True:
            batches = self._take()
            if len(batches) < self.parts:
                return
            self._synchronize_streams()
            yield batches

    def look_ahead(self) -> None:
        """Make the batches of the next step, unless they are there already. Errors are raised at that step."""
        if self._ahead is not None:
            return
        try:
            with self._on_own_stream():
                self._ahead = [self._prepare(self.finish(batch)) for batch in islice(self._batches, self.parts)]
        except Exception as error:
            self._ahead = error

    def _take(self) -> list[B]:
        """The batches of the next step, fewer than ``parts`` at the end of the epoch."""
        self.look_ahead()
        batches, self._ahead = self._ahead, None
        assert batches is not None  # look_ahead made them
        if isinstance(batches, Exception):
            raise batches
        return batches

    def _on_own_stream(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def _synchronize_streams(self) -> None:
        """Make each stream wait for the work queued on the other.

        The step must not start before its batches are complete. And the batches after it may reuse the memory of those
        before it, so they must wait for the work on those, which is all queued by now.
        """
        if self._stream is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_stream(self._stream)
            self._stream.wait_stream(current)
