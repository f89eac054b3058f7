"""Decoding in processes: for networks faster than one interpreter, and for images that crash their decoder.

Threads share the interpreter's lock, which a small image's decoding holds for a third of its time: they wait
for each other, and the threads that feed the network and write results wait with them.
"""

import contextlib
import os
import queue
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from math import prod
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from eufcc_cli.core.machine import cores
from eufcc_cli.core.model.inference.decoding.read_images import Order, Seen, decode_images
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.worker_processes import LOST, CrashError, ProcessCalls

if TYPE_CHECKING:
    import torch

    from eufcc_cli.core.model.converted_model import ConvertedModel, Processor
    from eufcc_cli.core.model.tagging_model import TaggingModel

_TOGETHER = 128  # images of one call, which costs about as much as decoding one or two of them
_CALL_BYTES = 4 << 20  # of what they become
_FEW_CORES = 4
_WORTH, _WORTH_ON_FEW_CORES = 200, 2000  # images from which on processes have paid for their start
_MOUNTED = Path("/dev/shm")  # where Linux has shared memory, of which a container may have 64 MB


def processes_for(
    device: "torch.device | Processor", workers: int | None = None, images: int | None = None
) -> int:
    """How many processes to decode so many images in (None: unknown) for a device; 0: threads do as well.

    A processor with few cores computes the network on them, too: there only many images are worth processes.
    """
    several = workers or cores()
    few_cores = device.type == "cpu" and several <= _FEW_CORES
    if few_cores and (several == 1 or images is None):
        return 0
    worth = _WORTH_ON_FEW_CORES if few_cores else _WORTH
    return several if images is None or images >= worth else 0


@contextmanager
def decoder_processes(
    models: "Sequence[TaggingModel | ConvertedModel]", workers: int | None = None, images: int | None = None
) -> "Iterator[DecoderProcesses | None]":
    """Processes that decode for models if that is faster, as `processes_for` decides; else None."""
    number = processes_for(models[0].device, workers, images)
    if not number:
        yield None
        return
    with DecoderProcesses(number, [model.preprocessing for model in models]) as processes:
        yield processes


class DecoderProcesses:
    """Processes that decode for the threads of this one; a context manager.

    Pixels come back through shared memory; where there is too little of it, through pipes.
    """

    def __init__(self, processes: int, models: Iterable[Preprocessing]) -> None:
        self.threads = 2 * processes
        """That ask for images: each process then finds the next call when it is done with one."""
        each = sum(map(_bytes, set(models)))
        self.together = max(1, min(_TOGETHER, _CALL_BYTES // each))
        """Images of one call that have a place in shared memory."""
        self._calls = ProcessCalls(processes)
        self._slot = self.together * each
        slots = min(self.threads, _shared_bytes() // 2 // self._slot)
        self._memory = _shared_memory(slots * self._slot) if slots else None
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(slots if self._memory else 0):
            self._free.put(number * self._slot)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._calls.stop()
        if self._memory is not None:
            self._memory.unlink()
            with contextlib.suppress(BufferError):  # of a thread that still copies
                self._memory.close()

    def decode(self, orders: list[Order]) -> list[Seen | str]:
        """Decode images; the reason for one that cannot be, or that ends its process. For several threads."""
        try:
            return self._decode(orders)
        except CrashError as error:
            if len(orders) == 1:
                return [str(error)]
            return [self.decode([order])[0] for order in orders]

    def _decode(self, orders: list[Order]) -> list[Seen | str]:
        place = None
        if len(orders) <= self.together:
            with contextlib.suppress(queue.Empty):
                place = self._free.get_nowait()
        name = None if self._memory is None or place is None else self._memory.name
        try:
            while True:
                pool, call = self._calls.start(decode_into, (name, place, orders))
                try:
                    answer: list[Seen | str | None] = call.result()
                except LOST as error:
                    self._calls.judge(pool, error)
                else:
                    self._calls.succeeded()
                    return [*self._copied(orders, answer, place)]
        finally:
            if place is not None:
                self._free.put(place)

    def _copied(
        self, orders: list[Order], answer: list[Seen | str | None], place: int | None
    ) -> Iterable[Seen | str]:
        for order, seen in zip(orders, answer, strict=True):
            if seen is not None:
                yield seen
                continue
            assert self._memory is not None and place is not None
            found = {}
            for preprocessing in order.wanted:
                found[preprocessing] = _view(self._memory, place, preprocessing).copy()
                place += found[preprocessing].nbytes
            yield found


def decode_into(name: str | None, place: int | None, orders: list[Order]) -> list[Seen | str | None]:
    """In a process: decode images into shared memory, one after the other; None for each that is there."""
    if name is None or place is None:
        return [*decode_images(orders)]
    memory = _attached(name)
    answer: list[Seen | str | None] = []
    for order in orders:
        (seen,) = decode_images([order])
        if isinstance(seen, str):
            answer.append(seen)
            continue
        for preprocessing in order.wanted:
            view = _view(memory, place, preprocessing)
            view[:] = seen[preprocessing]
            place += view.nbytes
        answer.append(None)
    return answer


@cache
def _attached(name: str) -> SharedMemory:
    return SharedMemory(name)


def _shape(preprocessing: Preprocessing) -> tuple[int, int, int, int]:
    return (preprocessing.crop_count, preprocessing.size, preprocessing.size, 3)


def _bytes(preprocessing: Preprocessing) -> int:
    return prod(_shape(preprocessing))


def _view(memory: SharedMemory, place: int, preprocessing: Preprocessing) -> np.ndarray:
    return np.ndarray(_shape(preprocessing), np.uint8, memory.buf, place)


def _shared_bytes() -> int:
    """How much shared memory there is, where that is limited."""
    return shutil.disk_usage(_MOUNTED).free if _MOUNTED.is_dir() else 1 << 30


def _shared_memory(size: int) -> SharedMemory | None:
    """A block of shared memory that is really there; None where there is too little."""
    try:
        memory = SharedMemory(create=True, size=size)
    except OSError:
        return None
    file = _MOUNTED / memory.name.lstrip("/")
    if hasattr(os, "posix_fallocate") and file.exists():
        try:  # else a process that writes without memory is killed
            with file.open("r+b") as block:
                os.posix_fallocate(block.fileno(), 0, size)
        except OSError:
            memory.unlink()
            memory.close()
            return None
    return memory
