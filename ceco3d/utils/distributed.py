"""Runs with several processes, started by torchrun (RANK, WORLD_SIZE, LOCAL_RANK). Everything also works with one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

COLLECTIVE_TIMEOUT = timedelta(minutes=10)  # a hanging process then ends the run
PREPARATION_TIMEOUT = timedelta(days=2)  # the other processes wait this long for the first to prepare the data


def rank() -> int:
    """Index of this process."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this process prints, logs and writes."""
    return rank() == 0


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the process group of torchrun; inside, only the first process prints. Does nothing without torchrun.

    On an error the group is not destroyed, because other processes may be waiting in a collective operation: this
    process ends with its error, and torchrun ends the others.
    """
    if dist.is_initialized() or "WORLD_SIZE" not in os.environ or "RANK" not in os.environ:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=COLLECTIVE_TIMEOUT)
    stdout = sys.stdout
    with open(os.devnull, "w") as nowhere:
        sys.stdout = stdout if is_main() else nowhere
        try:
            yield
        finally:
            sys.stdout = stdout
    dist.destroy_process_group()


@contextmanager
def main_first() -> Iterator[None]:
    """Run the body on the first process, then on the others, which find its work done."""
    if world() == 1:
        yield
        return
    group = dist.new_group(backend="gloo", timeout=PREPARATION_TIMEOUT)
    if not is_main():
        dist.barrier(group)
    yield
    if is_main():
        dist.barrier(group)


def of_main(value: Any) -> Any:
    """The ``value`` (picklable) of the first process, on every process."""
    box = [value]
    if world() > 1:
        dist.broadcast_object_list(box)
    return box[0]


def gather(value: Any) -> list[Any]:
    """The ``value`` (picklable) of each process in order of rank, on every process."""
    values = [value]
    if world() > 1:
        values = [None] * world()
        dist.all_gather_object(values, value)
    return values


def reduce(value: Tensor, how: str = "sum") -> Tensor:
    """The "sum", "mean" or "max" of ``value`` over the processes, without a gradient."""
    if world() == 1:
        return value
    device = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else value.device
    result = value.detach().to(device, copy=True)
    dist.all_reduce(result, dist.ReduceOp.MAX if how == "max" else dist.ReduceOp.SUM)
    return (result / world() if how == "mean" else result).to(value.device)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return _Sum.forward(_, gradient)


def differentiable_sum(value: Tensor) -> Tensor:
    """The sum of ``value`` over the processes, with a gradient: the loss of each process reaches the values of all."""
    add: Callable[[Tensor], Tensor] = _Sum.apply
    return value if world() == 1 else add(value)


def broadcast_buffers(module: nn.Module) -> None:
    """Copy the buffers of the first process to all: running statistics of batch norms differ between processes."""
    if world() > 1:
        for buffer in module.buffers():
            dist.broadcast(buffer, 0)
