"""One training from settings to a model on disk: what `eufcc train` calls."""

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list

from eufcc_cli.core.allocation import give_memory_back
from eufcc_cli.core.devices import select_device, select_precision
from eufcc_cli.core.errors import HubError, ModelError
from eufcc_cli.core.files import Root
from eufcc_cli.core.locks import hold_lock
from eufcc_cli.core.machine import threads
from eufcc_cli.core.metrics.belief import Belief
from eufcc_cli.core.model.backbone.hub import without_network
from eufcc_cli.core.model.backbone.network import Network
from eufcc_cli.core.model.checkpoint import save_weights
from eufcc_cli.core.model.methods import METHODS
from eufcc_cli.core.model.model_files import save_config
from eufcc_cli.core.model.tagging_model import TaggingModel
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.heads.head_run import learn_heads, train_heads
from eufcc_cli.core.training.loading.decided_split import LearnedDecisions
from eufcc_cli.core.training.loading.sources import open_images
from eufcc_cli.core.training.loop.clip_trainer import ClipTrainer, new_clip_model
from eufcc_cli.core.training.loop.costs import threads_worth
from eufcc_cli.core.training.loop.interpolation import (
    GRID,
    Interpolation,
    interpolate,
    keep_start,
)
from eufcc_cli.core.training.loop.trial import check_memory, measure_costs
from eufcc_cli.core.training.loop.vision_trainer import VisionTrainer
from eufcc_cli.core.training.model_provenance import Computation, provenance, weights_digest
from eufcc_cli.core.training.new_model import new_vision_model, priors_of, start_from_priors
from eufcc_cli.core.training.run_data import RunData, run_data
from eufcc_cli.core.training.state.resumption import clear, continues
from eufcc_cli.core.training.state.training_state import START, STATE, Position
from eufcc_cli.core.training.training_plan import Plan, plan_of


@dataclass(frozen=True)
class Trained:
    """The result of a training."""

    folder: Path
    position: Position
    validation: dict[str, Any]
    unreadable: dict[str, str]
    """Images of both splits that could not be read, with the reason."""
    beliefs: list[Belief]
    """How reliable the model is on the validation split, in words."""
    interpolation: Interpolation | None = None


def train_run(
    config: TrainConfig,
    root: Root,
    name: str,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = SILENT,
    decisions: Sequence[Path] = (),
    on_decisions: Callable[[LearnedDecisions], None] | None = None,
    on_plan: Callable[[Plan], None] | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    command: str | None = None,
) -> Trained:
    """Train a model on a root's train split, validate on val, and leave it in runs/NAME.

    decisions: decisions files whose accepted, added and rejected tags are learned, too.
    command: what was typed to start it, for config.json.

    An interrupted run of that name and of the same settings is continued. Raises DataError or ModelError
    before any work for unusable data, settings or names, and for the name of another run.
    """
    began = time.monotonic()
    folder = root.run(name)
    resume = continues(config, folder, name, resume, overwrite)
    given, config = config, config.resolved()
    device = select_device(config.device)
    most_threads = threads(config.threads, free=True)
    torch.set_num_threads(most_threads)
    accelerator = _accelerator(config, device)
    if config.tune == "head" and accelerator.num_processes > 1:
        raise _one_process(config)
    torch.manual_seed(config.seed)
    data = run_data(config, root, decisions, on_decisions, warn=accelerator.is_main_process)
    model = _new_model(config, name, data, root)
    # The default of `evaluate` and `tag` here: figures and calibration are of the same scores.
    model.precision = select_precision("auto", device, inference=True)
    if config.tune == "head":
        rest = data.split, data.validation, data.counts, progress, on_plan, on_epoch, command
        return Trained(folder, *train_heads(model, given, config, root, folder, *rest))
    main, held_out = accelerator.is_main_process, data.held_out
    packing = time.monotonic()
    with accelerator.main_process_first():  # one process builds the cache, the others find it
        loaders = [
            open_images(root, part, model.preprocessing, config, device, progress)
            for part in (data.split, data.validation, *((held_out.split,) if held_out else ()))
        ]
    packing = time.monotonic() - packing  # a time budget is for learning: the next run has these images
    _start(model, config, root, data, accelerator, progress, resumed=resume and (folder / STATE).is_file())
    trainer = (ClipTrainer if METHODS[config.method].reads_texts else VisionTrainer)(
        model,
        config,
        folder,
        (data.split, loaders[0]),
        (data.validation, loaders[1]),
        accelerator=accelerator,
        progress=progress,
        on_epoch=on_epoch,
        started=began + packing,
    )
    # A second training of that name would write over this one's model.
    with hold_lock(folder / ".lock", f"{folder} is being trained") if main else contextlib.nullcontext():
        resumed = resume and (folder / STATE).is_file()
        if held_out is not None:
            trainer.closing += len(GRID) * len(held_out.split) / len(data.validation)
        (costs,) = broadcast_object_list([measure_costs(trainer)])
        trainer.take(costs)
        if resumed:
            trainer.resume()
        # A run continues with the threads that it began with, whatever else the machine does now.
        worth = threads(config.threads, threads_worth(costs, trainer.at.part))
        trainer.at.threads = config.threads or trainer.at.threads or min(most_threads, worth)
        if main:
            if not resumed:
                clear(folder)
                if config.interpolate is not None:
                    keep_start(folder, trainer.plain)
            how = Computation.on(
                accelerator.device,
                precision=trainer.accelerator.mixed_precision.replace("no", "fp32"),
                processes=accelerator.num_processes,
                threads=trainer.at.threads,
            )
            record = provenance(given, name, model, root, (data.split, data.validation), how, command)
            save_config(folder, {**record, "finished": False})
            if on_plan is not None:
                parts = data.split, data.validation, held_out
                on_plan(plan_of(config, name, given.why(), trainer, costs, *parts))
        accelerator.wait_for_everyone()
        torch.set_num_threads(trainer.at.threads)
        if config.tune == "head-then-full" and not resumed:
            trainer.keep_start()
        position = trainer.run()
        trainer.restore_best()
        interpolation = None
        if config.interpolate is not None:
            measured = None
            if held_out is not None:
                measured = replace(trainer.validation, split=held_out.split, loader=loaders[2])
            interpolation = interpolate(trainer.kept, folder, config.interpolate, held_out, measured)
            if main:
                save_weights(folder, trainer.kept)
        validated, calibration, beliefs = trainer.validation.calibrate(trainer.kept, data.counts)
        if main:
            results = {"epochs": position.epoch, "validation": validated}
            results["calibration"] = calibration.to_json()
            if interpolation is not None:
                results["interpolation"] = interpolation.to_json()
            save_config(folder, {**record, **results, "finished": True})
            for name in (STATE, START):
                (folder / name).unlink(missing_ok=True)
        accelerator.wait_for_everyone()
    give_memory_back()
    unreadable = {
        str(part.files[row]): reason
        for part, found in zip((data.split, data.validation), loaders, strict=False)
        for row, reason in found.bad.items()
    }
    return Trained(folder, position, validated, unreadable, beliefs, interpolation)


def _new_model(config: TrainConfig, name: str, data: RunData, root: Root) -> TaggingModel:
    """The model before it has learned anything; HubError with what works without the hub."""
    try:
        if METHODS[config.method].reads_texts:
            model = new_clip_model(config, name, data.vocabulary, root)
        else:
            model = new_vision_model(config, name, data.vocabulary, data.counts)
    except HubError as error:
        asked = name if name != config.method else None  # the default name
        raise HubError(str(error), hint=without_network(asked)) from error
    if config.tune != "head":
        check_memory(model, config)
    if data.learned is not None:
        model.config["decisions"] = data.learned.to_json()
    if not config.from_scratch:
        model.config["pretrained_weights"] = weights_digest(model.network)
    return model


def _start(
    model: TaggingModel,
    config: TrainConfig,
    root: Root,
    data: RunData,
    accelerator: Accelerator,
    progress: Progress,
    *,
    resumed: bool,
) -> None:
    """Put a model on its device, with the heads that its training begins with."""
    model.network.to(accelerator.device).to(memory_format=torch.channels_last)
    for method in model.methods.values():
        method.to(accelerator.device)
    clip = METHODS[config.method].reads_texts
    priors = {} if clip else priors_of(model, data.split, data.counts)
    if config.tune == "head-then-full" and not resumed:
        if accelerator.num_processes > 1:
            raise _one_process(config)
        learn_heads(model, config, root, data.split, data.validation, priors, progress)
        model.store = None  # from here on the backbone changes
    else:
        start_from_priors(model, priors)
    if isinstance(model.network, Network):
        model.network.keeps_statistics = config.keeps_statistics


def _one_process(config: TrainConfig) -> ModelError:
    return ModelError(
        f"`tune` {config.tune}: heads are fitted by one process",
        hint="leave out torchrun, or choose `tune=full`",
    )


def _accelerator(config: TrainConfig, device: torch.device) -> Accelerator:
    precision = select_precision(config.precision, device)
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        AcceleratorState._reset_state(reset_partial_state=True)  # of a training before this one
    mixed = {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(precision, "no")
    return Accelerator(cpu=device.type == "cpu", mixed_precision=mixed)
