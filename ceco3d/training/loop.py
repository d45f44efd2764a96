"""The training loop."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from ceco3d.data.batch import Batch
from ceco3d.inference.evaluation import Evaluation, ReportFailed
from ceco3d.metrics.neural_collapse import summary
from ceco3d.training.checkpoint import BEST, LAST, Position, training_state
from ceco3d.training.checkpoint_writer import Saver
from ceco3d.training.guards import BadScenes, SkippedSteps, loader_deaths
from ceco3d.training.interrupt import Interrupt
from ceco3d.training.loggers import Loggers
from ceco3d.training.prefetcher import Feed
from ceco3d.training.random_state import random_state
from ceco3d.training.schedule import Schedule
from ceco3d.utils.distributed import broadcast_buffers, gather, is_main, reduce, world
from ceco3d.utils.progress import StepDisplay

SHOWN = ("loss", "ce", "lovasz", "ceco", "chance", "match_accuracy")  # on the progress line, where there are any


class Trainer:
    """Steps through epochs of batches, validates, saves; alone or as one of several processes (utils.distributed).

    objective ``batch -> {"loss": ..., ...}``, with the modules ``model`` and ``criterion`` and a function ``prepare``
    feed      batches with ``scenes``, ``failed`` and a length in voxels (Batch, PairBatch)
    settings  ``conf/trainer``
    dtype     what convolutions compute in
    setup     see checkpoint.trained_setup
    validate  scores the network as it is and reports scenes that cannot be read; None: there is nothing to score
              (pretraining), and no best.pt
    average   running mean of the network's weights (``build.make_average``), or None. It is what ``validate`` should
              score, and then the ``model`` of checkpoints
    """

    def __init__(
        self,
        objective: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        feed: Feed,
        validate: Callable[[ReportFailed], Evaluation] | None,
        settings: DictConfig,
        setup: Mapping[str, Any],
        folder: Path,
        device: torch.device,
        dtype: torch.dtype,
        average: AveragedModel | None = None,
    ) -> None:
        self.objective, self.optimizer, self.schedule = objective, optimizer, schedule
        self.feed, self.validate, self.settings, self.setup = feed, validate, settings, setup
        self.folder, self.device, self.dtype, self.average = folder, device, dtype, average
        self.peak_rates = [group["lr"] for group in optimizer.param_groups]
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        self.position = Position()
        self.saver = Saver(folder)
        self.bad_scenes = BadScenes(feed.sources, settings.max_bad_scenes)
        self.skipped = SkippedSteps(folder.parent / "skipped", settings.max_skipped)

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
        return len(self.feed)

    @property
    def total_steps(self) -> int:
        """Updates of the whole run."""
        return self.settings.epochs * self.steps_per_epoch

    def run(self, log: Loggers) -> Evaluation | None:
        """Train from ``position`` to the end; returns the last validation, if there is any."""
        evaluation = None
        self.parallel = self.objective if world() == 1 else DistributedDataParallel(self.objective)
        with Interrupt() as interrupt, StepDisplay(self.position.step, self.total_steps) as self.display:
            while self.position.epoch < self.settings.epochs:
                with loader_deaths():
                    self._epoch(log, interrupt)
                if self.validate is not None and self._validates():
                    evaluation = self._validate(log)
                self._save(LAST)
            if evaluation is None and self.validate is not None:  # finished before, but killed in this validation
                evaluation = self._evaluate()
            self.saver.finish()
        self.bad_scenes.report()
        return evaluation

    def _validates(self) -> bool:
        """Whether a validation follows the epoch that has just ended."""
        last = self.position.epoch == self.settings.epochs
        return last or self.position.epoch % self.settings.validate_every == 0

    def _epoch(self, log: Loggers, interrupt: Interrupt) -> None:
        self.objective.train()
        position = self.position
        started, voxels = time.monotonic(), 0
        for batches in self.feed.steps(position.epoch, position.batch, self.objective.prepare):
            for batch in batches:
                self.bad_scenes.add(batch.failed)
            self._set_learning_rate(position.step / self.total_steps)
            values, number = self._step(batches, interrupt)
            position.step += 1
            position.batch += 1
            voxels += sum(map(len, batches))
            self.display.step()
            self.saver.retry()
            if position.step % self.settings.log_every == 0:
                rate = world() * voxels / (time.monotonic() - started)
                self._report(log, values | {"voxels_per_second": rate, "skipped": self.skipped.total} | self._memory())
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
            self.skipped.add(self.position.step + 1, batches, bad)
            return values, number
        self.skipped.clear()
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
        self.feed.look_ahead()  # while a GPU computes all that
        values = values.tolist()  # the only time that the host waits for the step
        return dict(zip([*found[0], "grad_norm"], values, strict=True))

    def _set_learning_rate(self, progress: float) -> None:
        factor = self.schedule(progress)
        for group, peak in zip(self.optimizer.param_groups, self.peak_rates, strict=True):
            group["lr"] = peak * factor

    def _leave(self, number: int) -> None:
        """End the process as signal ``number`` asks, with the state saved."""
        if self._save(LAST):
            print(f"saved {self.folder / LAST}; go on with resume=auto", file=sys.stderr)
        sys.exit(128 + number)

    def _report(self, log: Loggers, values: dict[str, float]) -> None:
        position, rate = self.position, self.optimizer.param_groups[0]["lr"]
        means = reduce(torch.tensor(list(values.values()), dtype=torch.float64), "mean").tolist()
        values = dict(zip(values, means, strict=True))
        log.log({"step": position.step, "epoch": position.epoch + 1, "lr": rate} | values)
        parts = " ".join(f"{name} {values[name]:.3f}" for name in SHOWN if name in values)
        speed = f"{values['voxels_per_second'] / 1000:.1f}k voxels/s"
        where = f"epoch {position.epoch + 1} step {position.step}/{self.total_steps}"
        self.display.line(f"{where} {parts} lr {rate:.2g} {speed}", passing=True)

    def _memory(self) -> dict[str, float]:
        """GiB of a GPU: the most that tensors took so far, and what torch has taken for them."""
        if self.device.type != "cuda":
            return {}
        taken = torch.cuda.max_memory_allocated(self.device), torch.cuda.memory_reserved(self.device)
        return dict(zip(("gpu_gib", "gpu_reserved_gib"), (size / 2**30 for size in taken), strict=True))

    def _validate(self, log: Loggers) -> Evaluation:
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
        return self.validate(self.bad_scenes.add)

    def _save(self, name: str) -> bool:
        """Save as ``name``, on the first process; false if that has to wait."""
        state = training_state(self.setup, self.position, **self.parts) | {"random": gather(random_state())}
        return not is_main() or self.saver.save(name, state)
