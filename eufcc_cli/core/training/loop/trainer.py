"""The training loop, on accelerate: one process or many, interrupted or not, the same result."""

import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from eufcc_cli.core.allocation import keep_freed_memory
from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.files import write_text
from eufcc_cli.core.model.checkpoint import load_weights, save_weights
from eufcc_cli.core.model.tagging_model import TaggingModel
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.configuration.smaller import does_not_fit
from eufcc_cli.core.training.loading.augmentation import AUGMENTATIONS
from eufcc_cli.core.training.loading.data import ImageLoader, Split, epoch_order, rarity_weights
from eufcc_cli.core.training.loop.costs import Costs, check_time_budget, part_that_fits
from eufcc_cli.core.training.loop.optimizer import create_optimizer, schedule, set_learning_rate
from eufcc_cli.core.training.loop.validation import Validation
from eufcc_cli.core.training.state.history_file import HISTORY, history_csv, validation_columns
from eufcc_cli.core.training.state.interruption import Interruption
from eufcc_cli.core.training.state.training_state import STATE, Position, TrainingState

log = logging.getLogger("eufcc")

WORTH_SAVING = 30.0
"""Seconds of training that an interruption must not lose. The state is three times as large as the model:
those who only try whether a training starts are not left with a gigabyte."""


class Trainer(ABC):
    """Trains one tagging model on one split and keeps the best by its validation R-Precision.

    The batches of an epoch, and the augmentation of their images, depend only on seed, epoch and step; each
    process takes its share of every batch, and losses are divided by the pairs of the whole batch. So neither
    the number of processes nor an interruption changes the result.
    """

    def __init__(
        self,
        model: TaggingModel,
        config: TrainConfig,
        folder: Path,
        train: tuple[Split, ImageLoader],
        validation: tuple[Split, ImageLoader],
        *,
        accelerator: Accelerator,
        progress: Progress = SILENT,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
        started: float | None = None,
    ) -> None:
        if accelerator.device.type == "cpu":
            keep_freed_memory()
        self.model, self.config, self.folder = model, config, folder
        self.split, self.loader = train
        assert config.batch_size is not None
        self.batch_size = config.batch_size
        self.share = math.ceil(self.batch_size / accelerator.num_processes)
        self.at = Position(part=math.ceil(self.share / (config.accumulate or 1)))
        self.validation = Validation(model, *validation, accelerator, self.at.part)
        self.accelerator, self.progress, self.on_epoch = accelerator, progress, on_epoch
        self.plain = model.network
        self.optimizer = create_optimizer(self.plain, config)
        self.ema = ModelEmaV3(self.plain, decay=config.ema, use_warmup=True) if config.ema else None
        ema = None if self.ema is None else self.ema.module
        self._state = TrainingState(folder / STATE, self.plain, self.optimizer, ema, accelerator)
        compiled: Any = torch.compile(self.plain) if config.compile else self.plain
        self.network, self.stepper = accelerator.prepare(compiled, self.optimizer)
        self.augmentation = AUGMENTATIONS[config.augment]
        self.weights = rarity_weights(self.split) if config.balanced else None
        self.batches = math.ceil(len(self.split) / self.batch_size)
        # Passes over the validation images after the last step: its own, and all views at the best epoch.
        self.closing = 1.0 + model.preprocessing.views
        self._opening = 0.0  # seconds, of what computes the scores at the end
        self._rate = 0.0  # the learning rate of the last step
        self._saved = time.monotonic()
        self._has_state = False
        self._started = self._saved if started is None else started
        self._asked = self._due = False
        self.interruption = Interruption()
        # Processes must not drop the same units, or the shards of a batch would be correlated.
        torch.manual_seed(config.seed + 7919 * accelerator.process_index)

    # -- the loop ----------------------------------------------------------------------------------

    def run(self) -> Position:
        """Train to the end of the schedule, validating after each epoch."""
        epochs = self.config.epochs or math.inf
        if self.at.step == 0:
            self.at.begun = self._elapsed()
        self._saved = time.monotonic()
        with self.interruption:
            while self.at.epoch < epochs and self._done() < 1.0 and not self._out_of_patience():
                self.train_epoch()
                self._validate()
                self.at.epoch += 1
                self.at.batch, self.at.loss_sum, self.at.pairs, self.at.images = 0, 0.0, 0.0, 0
                self._save()
                self._leave_if_asked()
        return self.at

    def train_epoch(self) -> None:
        """Train on the rest of the current epoch."""
        config, accelerator, at = self.config, self.accelerator, self.at
        order = epoch_order(len(self.split), self.batch_size, config.seed, at.epoch, self.weights)
        rank, world = accelerator.process_index, accelerator.num_processes
        shares = [rows[rank::world] for rows in order[at.batch :]]
        batches = self.loader.batches(iter(shares), at.epoch)
        self.network.train()
        pending: tuple[Tensor, int, float] | None = None
        of = f"/{config.epochs}" if config.epochs else ""
        with self.progress.task(f"epoch {at.epoch + 1}{of}", len(self.split)) as task:
            task.advance(at.batch * self.batch_size)
            for rows, (images, kept) in zip(shares, batches, strict=True):
                factor = schedule(self._done(), config.warmup)
                set_learning_rate(self.optimizer, factor)
                self._rate = (config.lr or 0.0) * factor
                positions = rank + world * kept
                loss, pairs = self._step(images, rows[kept], positions)
                # Reading a loss waits for the device: read the one before, while this one is computed.
                self._account(pending)
                pending = (loss, pairs, self._rate)
                at.batch += 1
                at.step += 1
                at.images += len(order[at.batch - 1])
                shown = {} if not at.pairs else {"loss": at.loss_sum / at.pairs}
                task.advance(len(order[at.batch - 1]), **shown)
                if self._asked or self._due:
                    self._account(pending)
                    pending = None
                    if self._due or self._has_state:
                        self._save()
                    self._leave_if_asked()
                if self._done() >= 1.0:
                    break
        self._account(pending)

    def _step(self, images: Tensor, rows: np.ndarray, positions: np.ndarray) -> tuple[Tensor, int]:
        """One optimizer step on this process's share of a batch: the summed loss, and the batch's pairs."""
        config, accelerator, device = self.config, self.accelerator, self.accelerator.device
        images = self.prepared(images.to(device, non_blocking=True), positions)
        pairs = self._pairs(rows)
        self._asked = self.interruption.requested
        enough = WORTH_SAVING if self._asked else 60 * config.save_every
        self._due = time.monotonic() - self._saved > enough
        if accelerator.num_processes > 1:  # all must count the same pairs, and pause at the same step
            counts = torch.tensor([pairs, self._asked, self._due], device=device)
            pairs, asked, due = accelerator.reduce(counts, "sum").tolist()
            self._asked, self._due = bool(asked), bool(due)
        if pairs == 0:  # no image of the batch can be read: there is nothing to learn from
            return torch.zeros((), device=device), 0
        # Gradients are averaged over processes; the batch's loss is the mean over all its pairs.
        factor = accelerator.num_processes / max(pairs, 1)
        total = self.backward(self.network, images, rows, positions, factor)
        if config.clip_grad:
            accelerator.clip_grad_norm_(self.network.parameters(), config.clip_grad)
        self.stepper.step()
        self.stepper.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update(self.plain, step=self.at.step)
        return total, pairs

    @abstractmethod
    def _pairs(self, rows: np.ndarray) -> int:
        """The number of terms in the loss of some rows."""

    def _parts(self, images: int) -> int:
        """The number of parts in which so many images are computed."""
        return max(1, math.ceil(images / self.at.part))

    @abstractmethod
    def backward(
        self, network: nn.Module, images: Tensor, rows: np.ndarray, positions: np.ndarray, factor: float
    ) -> Tensor:
        """Add the gradients of a share of a batch, times a factor; its loss, summed over its pairs."""

    def prepared(self, images: Tensor, positions: np.ndarray) -> Tensor:
        """A share of a batch as the network sees it; where none of it is left, one grey image stands in."""
        preprocessing = self.model.preprocessing
        if not len(images):
            images = torch.zeros(1, 3, preprocessing.size, preprocessing.size, device=images.device)
        elif self.augmentation is None:
            images = preprocessing.normalise(preprocessing.middle(images))
        else:
            seed = np.random.SeedSequence([self.config.seed, self.at.epoch, self.at.batch]).generate_state(1)
            generator = torch.Generator().manual_seed(int(seed[0]))
            draws = torch.rand(self.batch_size, 12, generator=generator)
            images = self.augmentation.apply(images, preprocessing, draws[positions])
        return images.contiguous(memory_format=torch.channels_last)

    def _account(self, pending: tuple[Tensor, int, float] | None) -> None:
        """Add a step's loss to the epoch's; a loss that is not a number ends the training."""
        if pending is None:
            return
        loss, pairs, rate = pending
        if self.accelerator.num_processes > 1:
            loss = self.accelerator.reduce(loss, "sum")
        value = float(loss)
        if not math.isfinite(value):
            raise self._diverged(f"the loss became {value}", rate)
        self.at.loss_sum += value
        self.at.pairs += pairs

    def _diverged(self, what: str, rate: float) -> ModelError:
        kept = "; the best model so far is saved" if self.at.best_epoch else ""
        return ModelError(
            f"{what} at step {self.at.step} (learning rate {rate:.3g})",
            hint=f"lower `lr` or raise `warmup`{kept}",
        )

    # -- validation --------------------------------------------------------------------------------

    def _validate(self) -> None:
        began = time.monotonic()
        try:
            measured = self.validation.measure(self.kept)
        except ModelError as error:  # the last step's loss was computed before its weights were changed
            raise self._diverged("the scores are no longer finite", self._rate) from error
        overall = measured["overall"]
        row: dict[str, float] = {
            "epoch": self.at.epoch + 1,
            "step": self.at.step,
            "seconds": round(self._elapsed(), 2),
            "lr": self.optimizer.param_groups[0]["lr"],
            "loss": self.at.loss_sum / max(self.at.pairs, 1),
            **validation_columns(measured),
        }
        self.at.history.append(row)
        better = overall["r_precision"] > self.at.best - (0.0 if self.at.best_epoch else self.at.margin)
        if better:
            self.at.best, self.at.best_epoch = overall["r_precision"], self.at.epoch + 1
            if self.accelerator.is_main_process:
                save_weights(self.folder, self.kept)
        if self.accelerator.is_main_process:
            write_text(self.folder / HISTORY, history_csv(self.at.history))
            if self.on_epoch is not None:
                self.on_epoch(row)
        self.at.validation_seconds = time.monotonic() - began

    def keep_start(self) -> None:
        """Let the weights before the first step be the best so far: training may make them worse.

        They stay where no epoch comes within a standard error of them: heads were chosen on the same images.
        """
        overall = self.validation.measure(self.plain)["overall"]
        self.at.best = best = overall["r_precision"]
        self.at.margin = math.sqrt(best * (1 - best) / overall["pairs"])
        if self.accelerator.is_main_process:
            save_weights(self.folder, self.plain)

    def restore_best(self) -> None:
        """Take the weights of the best epoch back into the network."""
        load_weights(self.kept, self.folder)

    def take(self, costs: Costs) -> None:
        """Adapt to the costs that a trial found: images computed at once, and the end in time.

        Raises ModelError where not one image fits, or not one step into the time budget.
        """
        budget, self._opening = self.config.time_budget, costs.opening
        if budget and self.at.step == 0:
            check_time_budget(costs, self.share, budget, self._elapsed(), self.closing)
        self.at.validation_seconds = self.at.validation_seconds or costs.validation
        part = part_that_fits(costs, self.share, self.at.part)
        if part is None:
            raise does_not_fit(self.config, costs.memory(self.share, 1), costs.free)
        self.at.part = part
        self.validation = replace(self.validation, batch_size=self.at.part)

    @property
    def kept(self) -> nn.Module:
        """The weights that are measured and saved: the moving average where there is one."""
        return self.plain if self.ema is None else self.ema.module

    # -- time, interruptions, state ----------------------------------------------------------------

    def _elapsed(self) -> float:
        return self.at.elapsed + time.monotonic() - self._started

    def _done(self) -> float:
        """The finished share of the schedule: by steps, by time, or the larger of both."""
        by_steps = self.at.step / (self.config.epochs * self.batches) if self.config.epochs else 0.0
        if not self.config.time_budget:
            return by_steps
        end = self.config.time_budget - self.closing * self.at.validation_seconds - self._opening
        done = max(by_steps, (self._elapsed() - self.at.begun) / max(end - self.at.begun, 1e-3))
        if self.accelerator.num_processes > 1:  # one clock for all, or they would part ways
            clock = torch.tensor(done, device=self.accelerator.device)
            torch.distributed.broadcast(clock, 0)
            done = float(clock)
        return done

    def _out_of_patience(self) -> bool:
        patience = self.config.patience
        return patience is not None and self.at.epoch - self.at.best_epoch >= patience

    def _save(self) -> None:
        """Save everything a resumed run needs; the file is whole or the one before stays."""
        self._saved, self._has_state = time.monotonic(), True
        self._state.save(replace(self.at, elapsed=self._elapsed()), self.config.to_mapping())

    def resume(self) -> None:
        """Continue from the state that an interrupted run of the same settings saved."""
        fits, self.at = self.at.part, self._state.load()
        self.at.part = min(fits, self.at.part or fits)  # the same parts, where there is memory for them
        self.validation = replace(self.validation, batch_size=self.at.part)
        self._saved, self._has_state = time.monotonic(), True

    def _leave_if_asked(self) -> None:
        stop = self.interruption.requested
        if self.accelerator.num_processes > 1:
            device = self.accelerator.device
            stop = bool(self.accelerator.reduce(torch.tensor(int(stop), device=device), "sum"))
        if stop:
            if self.accelerator.is_main_process:
                where = f"stopped at epoch {self.at.epoch + 1}, step {self.at.step}"
                if self._has_state:
                    log.warning("%s, which is saved: run the same command again to resume", where)
                else:
                    log.warning("%s, before anything was saved", where)
            raise KeyboardInterrupt
