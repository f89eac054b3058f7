"""What a network runs on, and in which precision."""

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

    For inference, auto is bf16 on a processor that has it, too.
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
    """Whether the processor multiplies matrices in bf16; elsewhere bf16 on a CPU is emulated, and slow."""
    tests = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in tests)
