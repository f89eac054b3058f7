"""The memory and time that training takes, measured on a few grey images before it begins."""

import contextlib
import math
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from eufcc_cli.core.devices import select_device
from eufcc_cli.core.machine import free_memory, threads, used_memory
from eufcc_cli.core.model.backbone.memory import CANNOT_IMAGINE, LIBRARIES, Peak
from eufcc_cli.core.model.backbone.memory_rule import SHARE, engine_bytes
from eufcc_cli.core.model.backbone.network import Network, checked_image_size
from eufcc_cli.core.model.tagging_model import TaggingModel
from eufcc_cli.core.training.configuration.config import TrainConfig
from eufcc_cli.core.training.configuration.smaller import does_not_fit, needed_memory
from eufcc_cli.core.training.loop.costs import Costs

if TYPE_CHECKING:
    from eufcc_cli.core.training.loop.trainer import Trainer

_WORKER = 250 << 20  # of a process that decodes images
_CONVERSION = 0.7  # seconds of any network's conversion for OpenVINO, measured on two cores
_CONVERSION_OF_PARAMETER = 5e-8  # seconds
_ENOUGH = 0.25  # seconds that a trial step must take to be measured reliably


def measure_costs(trainer: "Trainer") -> Costs:
    """Compute a few grey images as a training step does, without learning anything from them."""
    device, network = trainer.accelerator.device, trainer.plain
    used, free = _memory(device, trainer)
    gradients = sum(p.nbytes for p in network.parameters() if p.requires_grad)
    if trainer.accelerator.num_processes > 1:
        gradients *= 2  # those that are sent
    share = trainer.share
    few, many = max(1, min(4, share) // 2), min(4, share)
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for _ in range(2):  # the gradients that the first step makes stay, and do not count in the second
            first, _, _ = _step(trainer, few)
        number = many
        most, prepared, seconds = _step(trainer, number)
        while seconds < _ENOUGH and number < share:
            number = min(2 * number, share)
            _, _, seconds = _step(trainer, number)
        update, state, scratch = _update(trainer)
        validation = trainer.validation.trial_seconds(trainer.kept, number)
        engine = _engine(trainer)
    network.load_state_dict(buffers, strict=False)  # forget what batch norm saw of the grey images
    network.zero_grad(set_to_none=True)
    image = math.ceil((most - first) / (many - few)) if many > few else most
    return Costs(
        used=used,
        free=free,
        fixed=gradients + state + max(most - many * image, scratch, 0) + LIBRARIES,
        ending=state + engine + LIBRARIES // 2,
        waiting=prepared,
        image=image,
        seconds=seconds / number,
        update=update,
        validation=validation,
        opening=_CONVERSION + _CONVERSION_OF_PARAMETER * sum(p.numel() for p in network.parameters())
        if trainer.model.has_engine
        else 0.0,
    )


def _engine(trainer: "Trainer") -> int:
    """Bytes of the engine that computes the scores for the calibration, at the end."""
    network = trainer.plain
    if trainer.accelerator.device.type != "cpu" or not isinstance(network, Network):
        return 0
    side = trainer.model.preprocessing.size
    grey = torch.zeros(1, 3, side, side)
    network.eval()
    with torch.no_grad(), Peak() as peak:
        network.backbone(grey)
    weights = sum(value.nbytes for value in network.backbone.state_dict().values())
    return engine_bytes(weights, peak.bytes, threads())


def _memory(device: torch.device, trainer: "Trainer") -> tuple[int, int]:
    """Bytes that this process has, and that it can still take."""
    if device.type == "cuda":
        there, _ = torch.cuda.mem_get_info(device)
        taken = torch.cuda.memory_allocated(device)
        return taken, there + torch.cuda.memory_reserved(device) - taken
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # processes on this machine
    return used_memory(), max(0, free_memory() // local - getattr(trainer.loader, "workers", 0) * _WORKER)


def _step(trainer: "Trainer", number: int) -> tuple[int, int, float]:
    """The forward and backward pass of some images: bytes at most, bytes of a prepared image, seconds."""
    device, side = trainer.accelerator.device, trainer.model.preprocessing.stored
    trainer.plain.train()
    trainer.at.part, before = number, trainer.at.part
    rows = np.arange(number) % len(trainer.split)
    grey = torch.full((number, 3, side, side), 127, dtype=torch.uint8, device=device)
    with _peak(device) as peak:
        began = time.monotonic()
        images = trainer.prepared(grey, np.arange(number))
        trainer.backward(trainer.plain, images, rows, np.arange(number), 1.0)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.monotonic() - began
    trainer.at.part = before
    waiting = (grey.nbytes + images.nbytes) // number
    return peak[0] - images.nbytes, waiting, seconds


@contextlib.contextmanager
def _peak(device: torch.device) -> Iterator[list[int]]:
    """The peak bytes of the tensors that are made inside."""
    found = [0]
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        yield found
        found[0] = torch.cuda.max_memory_allocated(device) - before
    else:
        with Peak() as peak:
            yield found
        found[0] = peak.bytes


def _update(trainer: "Trainer") -> tuple[float, int, int]:
    """An optimizer's step with gradients and a learning rate of 0, which changes nothing.

    Returns its seconds, the bytes of its state, and the bytes that it takes in addition.
    """
    optimizer, device = trainer.optimizer, trainer.accelerator.device
    for parameter in trainer.plain.parameters():
        if parameter.grad is not None:
            parameter.grad.zero_()
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    began = time.monotonic()
    with _peak(device) as peak:
        optimizer.step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds = time.monotonic() - began
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    state = sum(
        value.nbytes
        for values in optimizer.state.values()
        for value in values.values()
        if isinstance(value, torch.Tensor)
    )
    optimizer.state.clear()
    return seconds, state, max(0, peak[0] - state)


def check_memory(model: TaggingModel, config: TrainConfig) -> None:
    """Raise ModelError, before anything is computed, if not even one image of a training fits into memory.

    Its hint proposes settings that fit. Also for a size of images that the backbone cannot compute.
    """
    device, network = select_device(config.device), model.network
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
    tower = getattr(network, "clip", None)  # the part of a CLIP model that sees images
    looks = network if tower is None else tower.visual
    sized: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if config.backbone and config.image_size and tower is None:
        sized = checked_image_size(config.backbone, config.image_size)
    network.eval()
    try:
        with sized:
            needed = needed_memory(network, looks, model.preprocessing.size)
    except CANNOT_IMAGINE:  # the first real step will show it
        needed = LIBRARIES
    if device.type == "cuda":
        needed += sum(value.nbytes for value in network.state_dict().values())
    if needed > SHARE * free:
        raise does_not_fit(config, needed, free)
