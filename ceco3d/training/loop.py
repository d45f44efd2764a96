"""The training loop."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from ceco3d.errors import UserError
from ceco3d.inference.evaluate import Evaluation
from ceco3d.metrics.neural_collapse import summary
from ceco3d.progress import StepDisplay
from ceco3d.scenes.batch import Batch
from ceco3d.training.checkpoint import Position, save, training_state
from ceco3d.training.interrupt import Interrupt
from ceco3d.training.loggers import Loggers
from ceco3d.training.schedule import Schedule

SHOWN = ("loss", "ce", "lovasz", "ceco", "chance", "match_accuracy")  # on the progress line, where there are any


class Trainer:
    """Steps through epochs of batches, validates, saves.

    objective ``batch -> {"loss": ..., ...}``, with the modules ``model`` and ``criterion``
    loader    batches with ``to``, ``scenes`` and a length in voxels (Batch, PairBatch)
    settings  ``conf/trainer``
    dtype     what convolutions compute in
    setup     see checkpoint.trained_setup
    validate  scores the network as it is; None: there is nothing to score (pretraining), and no best.pt
    average   running mean of the network's weights (``build.make_average``), or None. It is what ``validate`` should
              score, and then the ``model`` of checkpoints
    """

    def __init__(
        self,
        objective: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        loader: DataLoader,
        validate: Callable[[], Evaluation] | None,
        settings: DictConfig,
        setup: Mapping[str, Any],
        folder: Path,
        device: torch.device,
        dtype: torch.dtype,
        average: AveragedModel | None = None,
    ) -> None:
        self.objective, self.optimizer, self.schedule = objective, optimizer, schedule
        self.loader, self.validate, self.settings, self.setup = loader, validate, settings, setup
        self.folder, self.device, self.dtype, self.average = folder, device, dtype, average
        self.peak_rates = [group["lr"] for group in optimizer.param_groups]
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        self.position = Position()

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
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.settings.epochs * len(self.loader.batch_sampler)

    def run(self, log: Loggers) -> Evaluation | None:
        """Train from ``position`` to the end; returns the last validation, if there is any."""
        evaluation = None
        with Interrupt() as interrupt, StepDisplay(self.position.step, self.total_steps) as self.display:
            while self.position.epoch < self.settings.epochs:
                self._epoch(log, interrupt)
                if self.validate is not None and self._validates():
                    evaluation = self._validate(log)
                self._save("last.pt")
        return self.validate() if evaluation is None and self.validate is not None else evaluation

    def _validates(self) -> bool:
        """Whether a validation follows the epoch that has just ended."""
        last = self.position.epoch == self.settings.epochs
        return last or self.position.epoch % self.settings.validate_every == 0

    def _epoch(self, log: Loggers, interrupt: Interrupt) -> None:
        self.objective.train()
        position = self.position
        self.loader.batch_sampler.set_position(position.epoch, position.batch)
        started, voxels = time.monotonic(), 0
        for batch in self.loader:
            self._set_learning_rate(position.step / self.total_steps)
            values = self._step(batch.to(self.device))
            position.step += 1
            position.batch += 1
            voxels += len(batch)
            self.display.step()
            if position.step % self.settings.log_every == 0:
                rate = voxels / (time.monotonic() - started)
                self._report(log, values | {"voxels_per_second": rate})
                started, voxels = time.monotonic(), 0
            if interrupt.signal is not None:
                self._save("last.pt")
                print(f"saved {self.folder / 'last.pt'}; go on with resume=auto", file=sys.stderr)
                sys.exit(128 + interrupt.signal)
        position.epoch += 1
        position.batch = 0

    def _step(self, batch: Batch) -> dict[str, float]:
        """One update; returns the losses and the gradient norm."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            losses = self.objective(batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(losses["loss"]).backward()
        self.scaler.unscale_(self.optimizer)
        limit = self.settings.clip_grad_norm
        norm = torch.nn.utils.clip_grad_norm_(self.objective.parameters(), math.inf if limit is None else limit)
        values = {name: value.item() for name, value in losses.items()} | {"grad_norm": norm.item()}
        if not math.isfinite(values["loss"]):
            raise UserError(
                f"the loss is {values['loss']} at step {self.position.step} (scenes {', '.join(batch.scenes)}): lower "
                "optimizer.lr, or look at these scenes; the last checkpoint is kept"
            )
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update_parameters(self.objective.model)
        return values

    def _set_learning_rate(self, progress: float) -> None:
        factor = self.schedule(progress)
        for group, peak in zip(self.optimizer.param_groups, self.peak_rates, strict=True):
            group["lr"] = peak * factor

    def _report(self, log: Loggers, values: dict[str, float]) -> None:
        position, rate = self.position, self.optimizer.param_groups[0]["lr"]
        log.log({"step": position.step, "epoch": position.epoch + 1, "lr": rate} | values)
        parts = " ".join(f"{name} {values[name]:.3f}" for name in SHOWN if name in values)
        speed = f"{values['voxels_per_second'] / 1000:.1f}k voxels/s"
        where = f"epoch {position.epoch + 1} step {position.step}/{self.total_steps}"
        self.display.line(f"{where} {parts} lr {rate:.2g} {speed}", passing=True)

    def _validate(self, log: Loggers) -> Evaluation:
        evaluation = self.validate()
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
            self._save("best.pt")
        return evaluation

    def _save(self, name: str) -> None:
        save(self.folder / name, training_state(self.setup, self.position, **self.parts))
