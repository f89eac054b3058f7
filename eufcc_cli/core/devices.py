"""The device and the precision that a network computes with."""

from typing import TYPE_CHECKING

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.machine import cuda_devices, has_bf16_matrices, has_mps

if TYPE_CHECKING:
    import torch


def select_device(name: str = "auto") -> "torch.device":
    """The device of this name; auto: the GPU if there is one. Raises ModelError if it does not exist."""
    import torch

    if name == "auto":
        return torch.device("cuda" if cuda_devices() else "mps" if has_mps() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"`device` {name}: no such device", hint="choose auto, cpu, cuda or mps") from error
    there = {"cpu": 1, "cuda": cuda_devices(), "mps": int(has_mps())}.get(device.type, 0)
    if (device.index or 0) >= there:
        raise ModelError(f"`device` {name}: not on this machine", hint="choose `device=auto` or `device=cpu`")
    return device


def select_precision(name: str, device: "torch.device", *, inference: bool = False) -> "torch.dtype":
    """The type of the network's arithmetic; auto: bf16 on a GPU that has it, else float32.

    For inference, auto is also bf16 on a processor with matrix units for it.
    """
    import torch

    if name == "auto":
        has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        has_bf16 = has_bf16 or (inference and device.type == "cpu" and has_bf16_matrices())
        return torch.bfloat16 if has_bf16 else torch.float32
    if name == "fp16" and device.type == "cpu":
        raise ModelError("`precision` fp16: not on the CPU", hint="choose fp32 or bf16")
    types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if name not in types:
        raise ModelError(f"`precision` {name}: no such choice", hint=f"choose auto, {', '.join(types)}")
    return types[name]


def precision_name(precision: "torch.dtype") -> str:
    """The name of a type of arithmetic in `precision`: fp32, bf16 or fp16."""
    return {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}[str(precision).removeprefix("torch.")]
