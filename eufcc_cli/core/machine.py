"""What a network runs on, and in which precision."""

import ctypes
import sys
from functools import cache

import torch

from eufcc_cli.core.errors import ModelError


def select_device(name: str = "auto") -> torch.device:
    """The device of that name; auto: the GPU if there is one. Raises ModelError where it is not there."""
    if name == "auto":
        mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"--device {name}: no such device", hint="choose auto, cpu, cuda or mps") from error
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, False) or (device.index or 0) >= max(1, torch.cuda.device_count()):
        raise ModelError(f"--device {name}: not on this machine", hint="choose --device auto or cpu")
    return device


def select_precision(name: str, device: torch.device, *, inference: bool = False) -> torch.dtype:
    """The type of the network's arithmetic; auto: bf16 on a GPU that has it, else float32.

    For inference, auto is bf16 on a processor with matrix units for it, too; vector units alone
    (AVX512-BF16) make it slower than float32.
    """
    if name == "auto":
        has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        has_bf16 = has_bf16 or (inference and device.type == "cpu" and _cpu_has_bf16())
        return torch.bfloat16 if has_bf16 else torch.float32
    if name == "fp16" and device.type == "cpu":
        raise ModelError("--precision fp16: not on the CPU", hint="choose fp32 or bf16")
    types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if name not in types:
        raise ModelError(f"--precision {name}: no such choice", hint=f"choose auto, {', '.join(types)}")
    return types[name]


def _cpu_has_bf16() -> bool:
    """Whether the processor multiplies matrices in bf16."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


@cache
def keep_freed_memory() -> None:
    """Have the C library keep what tensors free for the next ones, as GPUs do.

    By itself glibc gives large blocks back to the system at once; to get them anew, page by page, takes up
    to a third of a network's time on a processor. One arena serves all threads, since those of threads
    cannot hold large blocks. It holds for the whole process, which keeps the most it ever took.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:  # another C library than glibc
        return
    m_trim_threshold, m_mmap_max, m_arena_max = -1, -4, -8  # malloc.h
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, 2**31 - 1)
    mallopt(m_arena_max, 1)
