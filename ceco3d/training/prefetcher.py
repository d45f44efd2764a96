"""Batches for the training loop: on the device, complete, and one step ahead of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader


class Prefetcher:
    """Steps of ``parts`` batches each.

    loader  reads in other processes what batches are made of
    finish  makes a batch on the device of what the loader gives: copies it, or augments and voxelises it there

    ``look_ahead``, called when the loop has queued the work of a step, gets the next step's batches while a GPU
    computes. That happens in a stream of its own, so that what the host must wait for there (how many voxels there are)
    does not wait for the step's work. Without a GPU it is the same in the only order there is.
    """

    def __init__(
        self, loader: DataLoader[Any], finish: Callable[[Any], Any], device: torch.device, parts: int = 1
    ) -> None:
        self.loader, self.finish, self.device, self.parts = loader, finish, device, parts
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._batches: Iterator[Any] = iter(())
        self._prepare: Callable[[Any], Any] = lambda batch: batch
        self._ahead: list[Any] | Exception | None = None

    @property
    def sources(self) -> int:
        """Number of different scenes."""
        return self.loader.dataset.sources

    def __len__(self) -> int:
        """Steps in an epoch."""
        return len(self.loader.batch_sampler) // self.parts

    def steps(self, epoch: int, first: int, prepare: Callable[[Any], Any]) -> Iterator[list[Any]]:
        """The batches of each step of ``epoch`` from number ``first`` on, each after ``prepare``."""
        self.loader.batch_sampler.set_position(epoch, first * self.parts)
        self._batches, self._prepare, self._ahead = iter(self.loader), prepare, None
        self._hand_over()
        while True:
            self.look_ahead()
            batches, self._ahead = self._ahead, None
            if isinstance(batches, Exception):
                raise batches
            if len(batches) < self.parts:
                return
            self._hand_over()
            yield batches

    def look_ahead(self) -> None:
        """Get the batches of the next step, unless they are there. An error is raised when their turn comes."""
        if self._ahead is not None:
            return
        try:
            with self._aside():
                self._ahead = [self._prepare(self.finish(batch)) for batch in islice(self._batches, self.parts)]
        except Exception as error:
            self._ahead = error

    def _aside(self) -> AbstractContextManager:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def _hand_over(self) -> None:
        """Order the two streams where batches change hands.

        The step begins when its batches are complete. And what comes into being beside it may take the place of the
        batches before, so that it begins when all work on those is done: it has been queued by now.
        """
        if self._stream is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_stream(self._stream)
            self._stream.wait_stream(current)
