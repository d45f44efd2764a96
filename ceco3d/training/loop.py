"""The training loop."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from ceco3d.data.batch import Batch
from ceco3d.inference.evaluation import Evaluation, ReportFailed
from ceco3d.metrics.neural_collapse import summary
from ceco3d.training.checkpoint import BEST, LAST, Position, training_state
from ceco3d.training.checkpoint_writer import CheckpointWriter
from ceco3d.training.guards import NonFiniteGuard, UnreadableSceneGuard, loader_guard
from ceco3d.training.interrupt import Interrupt
from ceco3d.training.loggers import Logger
from ceco3d.training.prefetcher import Prefetcher
from ceco3d.training.random_state import random_state
from ceco3d.training.schedule import Schedule
from ceco3d.training.settings import TrainerSettings
from ceco3d.utils.distributed import broadcast_buffers, gather, is_main, reduce, world
from ceco3d.utils.progress import StepDisplay

logger = logging.getLogger(__name__)


class Trainer:
    """Steps through epochs of batches, validates, saves; alone or as one of several processes (utils.distributed).

    objective   ``batch -> {"loss": scalar, ...}``, with the modules ``model`` and ``criterion`` and a function
                ``prepare``; whatever else it returns is logged by its name
    optimizer   its learning rates are the peaks that ``schedule`` scales
    prefetcher  batches with ``scenes``, ``failed`` and a length in voxels (Batch, PairBatch)
    validate    scores the network and reports unreadable scenes; None: nothing to score (pretraining), no best.pt
    settings    epochs, logging, saving, limits
    setup       what ``models.load_trained`` needs, kept in checkpoints
    folder      for checkpoints
    dtype       of the convolutions
    average     moving average of the network's weights (``build.make_average``) or None; ``validate`` should score it,
                and it becomes the ``model`` of checkpoints
    """

    def __init__(
        self,
        objective: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        prefetcher: Prefetcher,
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
        self.parallel = objective
        self.peak_rates = [group["lr"] for group in optimizer.param_groups]
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        self.position = Position()
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
        # `average` holds the tensors of `model` and their count; a file stores shared tensors once.
        return parts | {"model": self.average.module, "average": self.average, "raw_model": self.objective.model}

    @property
    def steps_per_epoch(self) -> int:
        """Updates in an epoch."""
        return len(self.prefetcher)

    @property
    def total_steps(self) -> int:
        """Updates of the whole run."""
        return self.settings.epochs * self.steps_per_epoch

    def run(self, log: Logger) -> Evaluation | None:
        """Train from ``position`` to the end; returns the last validation, if there is any."""
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
            if evaluation is None and self.validate is not None:  # finished before, but killed in this validation
                evaluation = self._evaluate()
            self.writer.finish()
        self.scene_guard.report()
        return evaluation

    def _validates(self) -> bool:
        """Whether a validation follows the epoch that has just ended."""
        last = self.position.epoch == self.settings.epochs
        return last or self.position.epoch % self.settings.validate_every == 0

    def _epoch(self, log: Logger, interrupt: Interrupt) -> None:
        self.objective.train()
        position = self.position
        started, voxels = time.monotonic(), 0
        for batches in self.prefetcher.steps(position.epoch, position.batch, self.objective.prepare):
            for batch in batches:
                self.scene_guard.add(batch.failed)
            self._set_learning_rate(position.step / self.total_steps)
            values, number = self._step(batches, interrupt)
            position.step += 1
            position.batch += 1
            voxels += sum(map(len, batches))
            self.display.step()
            self.writer.retry()
            if position.step % self.settings.log_every == 0:
                rate = world() * voxels / (time.monotonic() - started)
                self._report(
                    log, values, {"voxels_per_second": rate, "skipped": self.step_guard.total} | self._memory()
                )
                started, voxels = time.monotonic(), 0
            if number:
                self._leave(number)
            if self.settings.save_every is not None and position.step % self.settings.save_every == 0:
                self._save(LAST)
        position.epoch += 1
        position.batch = 0

    def _step(self, batches: Sequence[Batch], interrupt: Interrupt) -> tuple[dict[str, float], int]:
        """One update, or none if a process has a loss that is not finite: (its values, signal that some process got).

        A skipped step leaves everything as it was, running statistics of batch norms included.
        """
        buffers = [buffer.clone() for buffer in self.objective.buffers()]
        values = self._differentiate(batches)
        # Infinite gradients are normal in float16: the scaler skips such a step by itself and lowers its factor.
        scales = self.scaler.is_enabled() and self.scaler.get_scale() > 1
        bad = not math.isfinite(values["loss"]) or not (scales or math.isfinite(values["grad_norm"]))
        someone_bad, number = (int(flag) for flag in reduce(torch.tensor([bad, interrupt.signal or 0]), "max"))
        if someone_bad:
            for buffer, before in zip(self.objective.buffers(), buffers, strict=True):
                buffer.copy_(before)
            self.scaler.update(self.scaler.get_scale())  # the same scale; but these gradients are done with
            self.step_guard.skip(self.position.step + 1, batches, bad)
            return values, number
        self.step_guard.finite()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update_parameters(self.objective.model)
        return values, number

    def _differentiate(self, batches: Sequence[Batch]) -> dict[str, float]:
        """Set the gradients to those of the mean loss over ``batches``; mean losses and the norm of the gradient."""
        self.optimizer.zero_grad(set_to_none=True)
        found: list[dict[str, Tensor]] = []
        for number, batch in enumerate(batches, start=1):
            last = number == len(batches)  # only then the processes exchange gradients
            with nullcontext() if last or world() == 1 else self.parallel.no_sync():
                with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                    losses = self.parallel(batch)
                self.scaler.scale(losses["loss"] / len(batches)).backward()
            found.append({name: value.detach() for name, value in losses.items()})
        self.scaler.unscale_(self.optimizer)
        limit = self.settings.clip_grad_norm
        norm = torch.nn.utils.clip_grad_norm_(self.objective.parameters(), math.inf if limit is None else limit)
        means = [torch.stack([losses[name] for losses in found]).mean() for name in found[0]]
        values = torch.stack([*means, norm])
        self.prefetcher.look_ahead()  # while a GPU computes all that
        values = values.tolist()  # the only time that the host waits for the step
        return dict(zip([*found[0], "grad_norm"], values, strict=True))

    def _set_learning_rate(self, progress: float) -> None:
        factor = self.schedule(progress)
        for group, peak in zip(self.optimizer.param_groups, self.peak_rates, strict=True):
            group["lr"] = peak * factor

    def _leave(self, number: int) -> None:
        """End the process as signal ``number`` asks, with the state saved."""
        if self._save(LAST):
            logger.warning(f"saved {self.folder / LAST}; resume with resume=auto")
        sys.exit(128 + number)

    def _report(self, log: Logger, values: dict[str, float], rates: dict[str, float]) -> None:
        """Log one step and show its losses: means over the processes."""
        position, rate = self.position, self.optimizer.param_groups[0]["lr"]
        terms = [name for name in values if name != "grad_norm"]
        values = values | rates
        means = reduce(torch.tensor(list(values.values()), dtype=torch.float64), "mean").tolist()
        values = dict(zip(values, means, strict=True))
        log.log({"step": position.step, "epoch": position.epoch + 1, "lr": rate} | values)
        parts = " ".join(f"{name} {values[name]:.3f}" for name in terms)
        speed = f"{values['voxels_per_second'] / 1000:.1f}k voxels/s"
        where = f"epoch {position.epoch + 1} step {position.step}/{self.total_steps}"
        self.display.line(f"{where} {parts} lr {rate:.2g} {speed}", passing=True)

    def _memory(self) -> dict[str, float]:
        """GiB of a GPU: the most that tensors took so far, and what torch has taken for them."""
        if self.device.type != "cuda":
            return {}
        taken = torch.cuda.max_memory_allocated(self.device), torch.cuda.memory_reserved(self.device)
        return dict(zip(("gpu_gib", "gpu_reserved_gib"), (size / 2**30 for size in taken), strict=True))

    def _validate(self, log: Logger) -> Evaluation:
        evaluation = self._evaluate()
        scores = evaluation.scores
        means = {f"val_{key}": scores[key]["present"] for key in ("miou", "head", "common", "tail")}
        means["val_accuracy"] = scores["accuracy"]
        means = {key: value for key, value in means.items() if value is not None}
        collapse = summary(evaluation.collapse)
        log.log({"step": self.position.step, "epoch": self.position.epoch} | means | collapse)
        shown = " ".join(f"{key[4:]} {value:.4f}" for key, value in means.items())
        self.display.line(f"validation after epoch {self.position.epoch}: {shown}")
        if means.get("val_miou", -1.0) > self.position.best:
            self.position.best = means["val_miou"]
            self._save(BEST)
        return evaluation

    def _evaluate(self) -> Evaluation:
        broadcast_buffers(self.objective.model if self.average is None else self.average.module)
        return self.validate(self.scene_guard.add)

    def _save(self, name: str) -> bool:
        """Save as ``name``, on the first process; false if that has to wait."""
        state = training_state(self.setup, self.position, **self.parts) | {"random": gather(random_state())}
        return not is_main() or self.writer.save(name, state)
