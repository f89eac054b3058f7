"""The plan of a training: what it will do, and its memory and time."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from eufcc_cli.core.devices import precision_name
from eufcc_cli.core.errors import number_of
from eufcc_cli.core.machine import cores, used_memory
from eufcc_cli.core.model.backbone.network import Network, count_parameters
from eufcc_cli.core.model.tagging_model import TaggingModel
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.loading.data import Split
from eufcc_cli.core.training.loop.costs import Costs, note_of_parts
from eufcc_cli.core.training.loop.interpolation import HeldOut
from eufcc_cli.core.training.loop.trainer import Trainer


@dataclass(frozen=True)
class Plan:
    """A training as it is known before the first step."""

    name: str
    config: TrainConfig
    why: str
    """Why this backbone."""
    images: int
    validation_images: int
    missing: int
    facets: dict[str, tuple[int, int]]
    """For each facet its tags, and the training images annotated in it."""
    unknown: int
    """Names in the training annotations that the vocabulary does not have: they are not learned."""
    parameters: int
    device: str
    precision: str
    memory: int
    """The most bytes that the process is expected to have; on a GPU those of the card."""
    seconds: float | None
    """Expected time of the whole training, from a trial of a few images."""
    held_out: HeldOut | None = None
    """Images of train that are held out to choose between weights."""
    resumed_at: int = 0
    """Steps of an interrupted training that it continues."""
    parts: str | None = None
    """A note if a batch does not fit into the memory."""


def _plan(
    config: TrainConfig, name: str, why: str, split: Split, validation: Split, network: nn.Module, **how: Any
) -> Plan:
    """The plan of learning the parameters of `network`; `how` are the fields about the machine."""
    return Plan(
        name=name,
        why=why,
        config=config,
        images=len(split),
        validation_images=len(validation),
        missing=split.missing + validation.missing,
        facets={facet: (t.size, int(t.annotated.sum())) for facet, t in split.targets.items()},
        unknown=sum(len(targets.unknown) for targets in split.targets.values()),
        parameters=count_parameters(network),
        **how,
    )


def plan_of(
    config: TrainConfig,
    name: str,
    why: str,
    trainer: Trainer,
    costs: Costs,
    split: Split,
    validation: Split,
    held_out: HeldOut | None,
) -> Plan:
    """The plan of a training through the backbone."""
    epoch = costs.step(trainer.share) * trainer.batches + costs.validation
    seconds = epoch * config.epochs if config.epochs else None
    if config.time_budget:
        seconds = min(seconds or config.time_budget, config.time_budget)
    part = trainer.at.part
    in_parts = part < math.ceil(trainer.share / (config.accumulate or 1))
    number = trainer.at.threads
    return _plan(
        config,
        name,
        why,
        split,
        validation,
        trainer.plain,
        device=_shown(trainer.accelerator.device, number_of(number, "thread")),
        precision=trainer.accelerator.mixed_precision.replace("no", "fp32"),
        memory=costs.used + costs.memory(trainer.share, part) + _mapped(trainer),
        seconds=seconds,
        held_out=held_out,
        resumed_at=trainer.at.step,
        parts=note_of_parts(costs, trainer.share, part, trainer.plain) if in_parts else None,
    )


def plan_of_heads(
    model: TaggingModel, config: TrainConfig, why: str, split: Split, validation: Split, device: torch.device
) -> Plan:
    """The plan of heads on features."""
    network = model.network
    assert isinstance(network, Network)
    precision, shown = precision_name(model.precision), _shown(device, number_of(cores(), "core"))
    how = {"device": shown, "precision": precision, "memory": used_memory(), "seconds": None}
    return _plan(config, model.name, why, split, validation, network.heads, **how)


def _shown(device: torch.device, computes: str) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type}, {computes}"


def _mapped(trainer: Trainer) -> int:
    """Bytes of image caches, which count as the process's, though the system takes them back when it must."""
    caches = (getattr(loader, "array", None) for loader in (trainer.loader, trainer.validation.loader))
    return sum(cache.nbytes for cache in caches if cache is not None)
