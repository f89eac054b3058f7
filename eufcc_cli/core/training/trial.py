"""What training costs in memory and time, found on a few grey images before it begins."""

import contextlib
import logging
import math
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.machine import free_memory, used_memory
from eufcc_cli.core.model.memory import Peak, imagined
from eufcc_cli.core.training.costs import SMALLER, Costs, gigabytes

if TYPE_CHECKING:
    from eufcc_cli.core.training.trainer import Trainer

log = logging.getLogger("eufcc")

# What libraries take: 45 to 70 MB once a network computes, and torch for CUDA 125 MB as it ends.
_LIBRARIES = 140 << 20
_WORKER = 250 << 20  # of a process that decodes images
_CAREFUL = 2 << 30  # bytes of free memory below which even a few images may be too many
_CAREFUL_SIZE = 640  # side of an image in pixels from which on they may be
_ENOUGH = 0.25  # seconds of a trial step whose time can be relied on


def measure_costs(trainer: "Trainer") -> Costs:
    """Compute a few grey images as a training step does, without learning anything from them.

    Raises ModelError where even these do not fit into the memory that is free.
    """
    device, network = trainer.accelerator.device, trainer.plain
    used, free = _memory(device, trainer)
    learnt = sum(p.numel() * p.element_size() for p in network.parameters() if p.requires_grad)
    state = 2 * learnt  # AdamW's two moments; Muon's one is less
    _check_fits(trainer, learnt + state, free)
    share = trainer.share
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for _ in range(2):  # the gradients that the first step makes stay, and do not count in the second
            first, _, _ = _step(trainer, min(2, share))
        number = min(4, share)
        most, prepared, seconds = _step(trainer, number)
        while seconds < _ENOUGH and number < share:
            number = min(2 * number, share)
            _, _, seconds = _step(trainer, number)
        update = _update_seconds(trainer)
        validation = trainer.validation.trial_seconds(trainer.kept, number)
    network.load_state_dict(buffers, strict=False)  # what batch norm has seen of the grey images
    network.zero_grad(set_to_none=True)
    more = min(4, share) - min(2, share)
    image = math.ceil((most - first) / more) if more else most
    return Costs(
        used=used,
        free=free,
        fixed=max(0, most - min(4, share) * image) + learnt + state + _LIBRARIES,
        waiting=prepared,
        image=image,
        seconds=seconds / number,
        update=update,
        validation=validation,
    )


def _memory(device: torch.device, trainer: "Trainer") -> tuple[int, int]:
    """Bytes that this process has, and that it can still take."""
    if device.type == "cuda":
        there, _ = torch.cuda.mem_get_info(device)
        taken = torch.cuda.memory_allocated(device)
        return taken, there + torch.cuda.memory_reserved(device) - taken
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # processes on this machine
    return used_memory(), max(0, free_memory() // local - getattr(trainer.squares, "workers", 0) * _WORKER)


def _step(trainer: "Trainer", number: int) -> tuple[int, int, float]:
    """The forward and backward pass of some images: bytes at most, bytes of a prepared image, seconds."""
    device, side = trainer.accelerator.device, trainer.model.preprocessing.stored
    trainer.plain.train()
    trainer.at.part, before = number, trainer.at.part
    rows = np.arange(number) % len(trainer.split)
    grey = torch.full((number, 3, side, side), 127, dtype=torch.uint8, device=device)
    with _peak(device) as peak:
        began = time.monotonic()
        images = trainer._prepared(grey, np.arange(number))
        trainer._backward(trainer.plain, images, rows, np.arange(number), 1.0)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.monotonic() - began
    trainer.at.part = before
    waiting = (grey.nbytes + images.nbytes) // number
    return peak[0] - images.nbytes, waiting, seconds


@contextlib.contextmanager
def _peak(device: torch.device) -> Iterator[list[int]]:
    """The bytes of the tensors made inside, at most at one time."""
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


def _update_seconds(trainer: "Trainer") -> float:
    """Seconds of an optimizer's step with gradients and a learning rate of 0, which changes nothing."""
    optimizer = trainer.optimizer
    for parameter in trainer.plain.parameters():
        if parameter.grad is not None:
            parameter.grad.zero_()
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    began = time.monotonic()
    optimizer.step()
    if trainer.accelerator.device.type == "cuda":
        torch.cuda.synchronize(trainer.accelerator.device)
    seconds = time.monotonic() - began
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    optimizer.state.clear()
    return seconds


def _check_fits(trainer: "Trainer", learnt: int, free: int) -> None:
    """Raise ModelError before anything is computed where that would take more than there is."""
    size = trainer.model.preprocessing.size
    tower = getattr(trainer.plain, "clip", None)  # what of a CLIP model looks at images
    network = trainer.plain if tower is None else tower.visual
    needed = learnt
    if free < _CAREFUL or size > _CAREFUL_SIZE:
        images = torch.zeros(1, 3, size, size).expand(2, -1, -1, -1)
        with contextlib.suppress(NotImplementedError, RuntimeError, TypeError):  # what cannot be imagined
            needed += imagined(network, images, backward=True)
    if needed + _LIBRARIES > free:
        raise ModelError(
            f"training needs at least {gigabytes(needed + _LIBRARIES)} of memory, {gigabytes(free)} are free",
            hint=SMALLER,
        )
