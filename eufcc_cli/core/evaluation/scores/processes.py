"""Several processes under torchrun, or one: ranks, gathering and sharing."""

import os
from typing import TypeVar

import torch
from torch import distributed

from eufcc_cli.core.machine import cuda_devices

T = TypeVar("T")


def join() -> tuple[int, int]:
    """(rank, number of processes); connects the processes of a torchrun the first time it is called."""
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return 0, 1
    if not distributed.is_initialized():
        if gpus := cuda_devices():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % gpus)
        # Only small objects travel between the processes, so gloo serves CPU and GPU alike.
        distributed.init_process_group("gloo")
    return distributed.get_rank(), distributed.get_world_size()


def gather(part: T) -> list[T]:
    """Every process's part in the order of the ranks, on the first process; [] on the others."""
    rank, size = join()
    if size == 1:
        return [part]
    parts: list[T] | None = [part] * size if rank == 0 else None
    distributed.gather_object(part, parts)
    return parts or []


def share(value: T) -> T:
    """The first process's value, on all of them."""
    rank, size = join()
    if size == 1:
        return value
    box = [value if rank == 0 else None]
    distributed.broadcast_object_list(box)
    return box[0]  # type: ignore[return-value]
