"""One training from settings to a model on disk: what `eufcc train` calls."""

import contextlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list

from eufcc_cli.core.allocation import give_memory_back
from eufcc_cli.core.devices import select_device, select_precision
from eufcc_cli.core.errors import DataError, HubError, ModelError
from eufcc_cli.core.files import Root
from eufcc_cli.core.locks import hold_lock
from eufcc_cli.core.machine import threads
from eufcc_cli.core.metrics.belief import Belief
from eufcc_cli.core.model.backbone.hub import without_network
from eufcc_cli.core.model.backbone.network import (
    Network,
)
from eufcc_cli.core.model.checkpoint import save_weights
from eufcc_cli.core.model.methods import METHODS
from eufcc_cli.core.model.model_files import save_config
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.decisions import read_decisions
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import ID
from eufcc_cli.core.taxonomy.tables.table_checks import repeated_ids
from eufcc_cli.core.taxonomy.vocabulary import training_vocabulary
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.heads.head_run import learn_heads, train_heads
from eufcc_cli.core.training.loading.data import load_split
from eufcc_cli.core.training.loading.decided_split import LearnedDecisions, learn_decisions
from eufcc_cli.core.training.loading.sources import open_images
from eufcc_cli.core.training.loop.clip_trainer import ClipTrainer, new_clip_model
from eufcc_cli.core.training.loop.costs import threads_worth
from eufcc_cli.core.training.loop.interpolation import (
    AUTO,
    GRID,
    Interpolation,
    hold_out,
    interpolate,
    keep_start,
)
from eufcc_cli.core.training.loop.trial import check_memory, measure_costs
from eufcc_cli.core.training.loop.vision_trainer import VisionTrainer
from eufcc_cli.core.training.model_provenance import Computation, provenance, weights_digest
from eufcc_cli.core.training.new_model import new_vision_model, priors_of, start_from_priors
from eufcc_cli.core.training.state.resumption import clear, continues
from eufcc_cli.core.training.state.training_state import START, STATE, Position
from eufcc_cli.core.training.training_plan import Plan, plan_of

log = logging.getLogger("eufcc")


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
    train_frame, validation_frame = _tables(root)
    decided = read_decisions(decisions)
    vocabulary = training_vocabulary(root, train_frame, {one.facet for one in decided if one.is_true})
    device = select_device(config.device)
    most_threads = threads(config.threads, free=True)
    torch.set_num_threads(most_threads)
    accelerator = _accelerator(config, device)
    if config.tune == "head" and accelerator.num_processes > 1:
        raise _one_process(config)
    if accelerator.is_main_process:
        for leak in repeated_ids({"train": train_frame[ID].tolist(), "val": validation_frame[ID].tolist()}):
            log.warning("%s; `eufcc trees --lint` lists them", leak)
    torch.manual_seed(config.seed)
    split = load_split(root, "train", vocabulary, train_frame)
    validation = load_split(root, "val", vocabulary, validation_frame)
    learned = None
    if decisions:
        split, learned = learn_decisions(split, decided, vocabulary, root)
        if on_decisions is not None:
            on_decisions(learned)
    # An image without a tag in any facet teaches nothing.
    teaches = split.annotated if METHODS[config.method].learns_rejections else split.tagged
    split = split.without(np.flatnonzero(~teaches))
    held_out = None
    if config.interpolate == AUTO:
        split, held_out = hold_out(split, config.seed)
    clip = METHODS[config.method].reads_texts
    for part in (split, validation):
        if not part.tagged.any():
            raise DataError(
                f"{root.table(part.name)}: none of its images that are there has a tag to be learned",
                hint="training and validation need tags that the label files, or train.csv, know",
            )
    counts = {facet: np.bincount(t.indices, minlength=t.size) for facet, t in split.targets.items()}
    try:
        if clip:
            model = new_clip_model(config, name, vocabulary, root)
        else:
            model = new_vision_model(config, name, vocabulary, counts)
    except HubError as error:
        asked = name if name != config.method else None  # the default name
        raise HubError(str(error), hint=without_network(asked)) from error
    if config.tune != "head":
        check_memory(model, config)
    if learned is not None:
        model.config["decisions"] = learned.to_json()
    if not config.from_scratch:
        model.config["pretrained_weights"] = weights_digest(model.network)
    # The default of `evaluate` and `tag` here: figures and calibration are of the same scores.
    model.precision = select_precision("auto", device, inference=True)
    if config.tune == "head":
        reporting = progress, on_plan, on_epoch, command
        found = train_heads(model, given, config, root, folder, split, validation, counts, *reporting)
        return Trained(folder, *found)
    packing = time.monotonic()
    with accelerator.main_process_first():  # one process builds the cache, the others find it
        loader, validation_loader, *further = (
            open_images(root, part, model.preprocessing, config, device, progress)
            for part in (split, validation, *((held_out.split,) if held_out is not None else ()))
        )
    packing = time.monotonic() - packing  # a time budget is for learning: the next run has these images
    model.network.to(accelerator.device).to(memory_format=torch.channels_last)
    for method in model.methods.values():
        method.to(accelerator.device)
    priors = {} if clip else priors_of(model, split, counts)
    main = accelerator.is_main_process
    if config.tune == "head-then-full" and not (resume and (folder / STATE).is_file()):
        if accelerator.num_processes > 1:
            raise _one_process(config)
        learn_heads(model, config, root, split, validation, priors, progress)
        model.store = None  # from here on the backbone changes
    else:
        start_from_priors(model, priors)
    if isinstance(model.network, Network):
        model.network.keeps_statistics = config.keeps_statistics
    trainer = (ClipTrainer if clip else VisionTrainer)(
        model,
        config,
        folder,
        (split, loader),
        (validation, validation_loader),
        accelerator=accelerator,
        progress=progress,
        on_epoch=on_epoch,
        started=began + packing,
    )
    # A second training of that name would write over this one's model.
    with hold_lock(folder / ".lock", f"{folder} is being trained") if main else contextlib.nullcontext():
        resumed = resume and (folder / STATE).is_file()
        if held_out is not None:
            trainer.closing += len(GRID) * len(held_out.split) / len(validation)
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
            record = provenance(given, name, model, root, (split, validation), how, command)
            save_config(folder, {**record, "finished": False})
            if on_plan is not None:
                on_plan(plan_of(config, name, given.why(), trainer, costs, split, validation, held_out))
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
                measured = replace(trainer.validation, split=held_out.split, loader=further[0])
            interpolation = interpolate(trainer.kept, folder, config.interpolate, held_out, measured)
            if main:
                save_weights(folder, trainer.kept)
        validated, calibration, beliefs = trainer.validation.calibrate(trainer.kept, counts)
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
        for part, found in ((split, loader), (validation, validation_loader))
        for row, reason in found.bad.items()
    }
    return Trained(folder, position, validated, unreadable, beliefs, interpolation)


def _tables(root: Root) -> tuple[pd.DataFrame, pd.DataFrame]:
    for split in ("train", "val"):
        if not root.table(split).is_file():
            raise DataError(
                f"{root.table(split)}: no such file",
                hint="training needs train.csv and val.csv: `eufcc fetch`, or `eufcc fetch splits FILE`",
            )
    return read_table(root.table("train")), read_table(root.table("val"))


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
