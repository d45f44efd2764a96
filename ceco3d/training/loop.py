"""The training loop."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from ceco3d.inference.evaluation import Evaluation, ReportFailed
from ceco3d.metrics.neural_collapse import summary
from ceco3d.training.checkpoint import BEST, LAST, Position, inference_state, training_state
from ceco3d.training.checkpoint_writer import CheckpointWriter
from ceco3d.training.guards import NonFiniteGuard, UnreadableSceneGuard, copy_all, loader_guard
from ceco3d.training.interrupt import Interrupt
from ceco3d.training.loggers import Logger
from ceco3d.training.objective import TrainingBatch, TrainingObjective
from ceco3d.training.optimizer import follow
from ceco3d.training.prefetcher import Prefetcher
from ceco3d.training.random_state import random_state
from ceco3d.training.reporting import (
    Clock,
    check_terms,
    gpu_memory,
    mean_over_processes,
    step_texts,
    validation_text,
    validation_values,
)
from ceco3d.training.schedule import Schedule
from ceco3d.training.settings import TrainerSettings
from ceco3d.utils.distributed import broadcast_buffers, gather, is_main, reduce, world
from ceco3d.utils.progress import StepDisplay

logger = logging.getLogger(__name__)


class Trainer:
    """Trains, validates and saves checkpoints; alone or as one of several processes (``utils.distributed``).

    objective   network and loss
    optimizer   its learning rates are the peaks that ``schedule`` scales
    prefetcher  the batches of each step
    validate    scores the network and reports unreadable scenes; None = no validation and no best.pt (pretraining)
    settings    epochs, logging, saving, limits
    setup       what ``models.load_trained`` needs; stored in checkpoints
    folder      where checkpoints go
    dtype       of the convolutions
    average     moving average of the network's weights (``build.make_average``) or None. ``validate`` should score it,
                and checkpoints store it as ``model``.
    """

    def __init__(
        self,
        objective: TrainingObjective[Any],
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        prefetcher: Prefetcher[Any],
        validate: Callable[[ReportFailed], Evaluation] | None,
        settings: TrainerSettings,
        setup: Mapping[str, Any],
        folder: Path,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        average: AveragedModel | None = None,
    ) -> None:
        self.objective, self.optimizer, self.schedule = objective, optimizer, schedule
        self.prefetcher, self.validate, self.settings, self.setup = prefetcher, validate, settings, setup
        self.folder, self.device, self.dtype, self.average = folder, device, dtype, average
        self.parallel: TrainingObjective[Any] | DistributedDataParallel = objective
        self.peak_rates = [group["lr"] for group in optimizer.param_groups]
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        self.position = Position()
        self.clock = Clock()
        self.writer = CheckpointWriter(folder)
        self.scene_guard = UnreadableSceneGuard(prefetcher.sources, settings.max_bad_scenes)
        self.step_guard = NonFiniteGuard(folder.parent / "skipped", settings.max_skipped)

    @property
    def parts(self) -> dict[str, Any]:
        """Everything with a state_dict that a resumed run needs."""
        parts = {
            "model": self.objective.model,
            "criterion": self.objective.criterion,
            "optimizer": self.optimizer,
            "scaler": self.scaler,
        }
        if self.average is None:
            return parts
        # `average` holds the tensors of `model` and a step count; a checkpoint stores shared tensors once.
        return parts | {"model": self.average.module, "average": self.average, "raw_model": self.objective.model}

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch."""
        return len(self.prefetcher)

    @property
    def total_steps(self) -> int:
        """Optimizer steps in the whole run."""
        return self.settings.epochs * self.steps_per_epoch

    def run(self, log: Logger) -> Evaluation | None:
        """Train from ``position`` to the end; returns the last validation, or None without ``validate``."""
        evaluation = None
        if world() > 1:
            self.parallel = DistributedDataParallel(self.objective)
        with Interrupt() as interrupt, StepDisplay(self.position.step, self.total_steps) as self.display:
            while self.position.epoch < self.settings.epochs:
                with loader_guard():
                    self._epoch(log, interrupt)
                if self.validate is not None and self._validates():
                    evaluation = self._validate(log)
                self._save(LAST)
            if evaluation is None and self.validate is not None:  # resumed after its last epoch
                evaluation = self._evaluate()
            self.writer.finish()
        self.scene_guard.report()
        return evaluation

    def _validates(self) -> bool:
        """Whether a validation follows the epoch that just ended."""
        last = self.position.epoch == self.settings.epochs
        return last or self.position.epoch % self.settings.validate_every == 0

    def _epoch(self, log: Logger, interrupt: Interrupt) -> None:
        """Train on the rest of an epoch: log, save, and stop on a signal between steps."""
        self.objective.train()
        position = self.position
        started, voxels = time.monotonic(), 0
        for batches in self.prefetcher.steps(position.epoch, position.batch, self.objective.prepare):
            for batch in batches:
                self.scene_guard.add(batch.failed)
            follow(self.schedule, self.optimizer, self.peak_rates, position.step / self.total_steps)
            losses, signal = self._step(batches, interrupt)
            position.step += 1
            position.batch += 1
            voxels += sum(map(len, batches))
            self.display.step()
            self.writer.retry()
            if position.step % self.settings.log_every == 0:
                self._report(log, losses, world() * voxels / (time.monotonic() - started))
                started, voxels = time.monotonic(), 0
            if signal:
                self._exit(signal)
            if self.settings.save_every is not None and position.step % self.settings.save_every == 0:
                self._save(LAST)
        position.epoch += 1
        position.batch = 0

    def _step(self, batches: Sequence[TrainingBatch], interrupt: Interrupt) -> tuple[dict[str, float], int]:
        """One optimizer step; returns its losses, and the signal that any process received (0 = none).

        If the loss of any process is not finite, the step is skipped and leaves everything as it was, running
        statistics of batch norms included.
        """
        buffers = list(self.objective.buffers())
        before = [torch.empty_like(buffer) for buffer in buffers]
        copy_all(before, buffers)
        losses = self._compute_gradients(batches)
        # Infinite gradients are normal in float16: the scaler skips such a step by itself and lowers its factor.
        scaled = self.scaler.is_enabled() and self.scaler.get_scale() > 1
        bad = not math.isfinite(losses["loss"]) or not (scaled or math.isfinite(losses["grad_norm"]))
        any_bad, signal = (int(flag) for flag in reduce(torch.tensor([bad, interrupt.signal or 0]), "max"))
        if any_bad:
            copy_all(buffers, before)
            self.scaler.update(self.scaler.get_scale())  # keep the factor, but drop these gradients
            self.step_guard.skip(self.position.step + 1, batches, bad)
            return losses, signal
        self.step_guard.finite()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update_parameters(self.objective.model)
        return losses, signal

    def _compute_gradients(self, batches: Sequence[TrainingBatch]) -> dict[str, float]:
        """Set the gradients to those of the mean loss over ``batches``; returns mean losses and the gradient norm."""
        self.optimizer.zero_grad(set_to_none=True)
        found: list[dict[str, Tensor]] = []
        for number, batch in enumerate(batches, start=1):
            with self._gradient_exchange(last=number == len(batches)):
                with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                    losses: dict[str, Tensor] = self.parallel(batch)
                self.scaler.scale(losses["loss"] / len(batches)).backward()
            found.append({name: value.detach() for name, value in losses.items()})
        check_terms(found[0])
        self.scaler.unscale_(self.optimizer)
        limit = self.settings.clip_grad_norm
        norm = torch.nn.utils.clip_grad_norm_(self.objective.parameters(), math.inf if limit is None else limit)
        means = [torch.stack([losses[name] for losses in found]).mean() for name in found[0]]
        values = torch.stack([*means, norm])
        self.prefetcher.look_ahead()  # while the GPU computes all of this
        # The host waits for the step here, and nowhere else.
        return dict(zip([*found[0], "grad_norm"], values.tolist(), strict=True))

    def _gradient_exchange(self, last: bool) -> AbstractContextManager[None]:
        """Processes exchange gradients on the last batch of a step only."""
        if last or not isinstance(self.parallel, DistributedDataParallel):
            return nullcontext()
        return self.parallel.no_sync()

    def _exit(self, signal: int) -> None:
        """Save, then end the process with the exit code of ``signal``."""
        if self._save(LAST):
            logger.warning(f"saved {self.folder / LAST}; resume with resume=auto")
        sys.exit(128 + signal)

    def _report(self, log: Logger, losses: dict[str, float], voxels_per_second: float) -> None:
        """Log one step and show it: means over the processes."""
        position, rate = self.position, self.optimizer.param_groups[0]["lr"]
        rates = {"voxels_per_second": voxels_per_second, "skipped": self.step_guard.total}
        values = mean_over_processes(losses | rates | self._memory())
        log.log(
            {"step": position.step, "epoch": position.epoch + 1, "seconds": self.clock.seconds, "lr": rate} | values
        )
        self.display.passing(
            step_texts(position.epoch + 1, position.step, self.total_steps, list(losses), values, rate)
        )

    def _memory(self) -> dict[str, float]:
        return gpu_memory(self.device)

    def _validate(self, log: Logger) -> Evaluation:
        """Evaluate, log and show the scores; save the network if it is the best so far."""
        evaluation = self._evaluate()
        values = validation_values(evaluation)
        moment = {"step": self.position.step, "epoch": self.position.epoch, "seconds": self.clock.seconds}
        log.log(moment | values | summary(evaluation.collapse))
        self.display.line(f"validation after epoch {self.position.epoch}: {validation_text(values)}")
        if evaluation.quality is not None and evaluation.quality > self.position.best:
            self.position.best = evaluation.quality
            self._save(BEST)
        return evaluation

    def _evaluate(self) -> Evaluation:
        assert self.validate is not None
        broadcast_buffers(self.objective.model if self.average is None else self.average.module)
        return self.validate(self.scene_guard.add)

    def _save(self, name: str) -> bool:
        """Save a checkpoint as ``name``, on the first process; False if writing failed and will be retried."""
        if name == BEST:
            state = inference_state(self.setup, self.position, self.parts["model"])
        else:
            state = training_state(self.setup, self.position, **self.parts) | {"random": gather(random_state())}
        return not is_main() or self.writer.save(name, state)
