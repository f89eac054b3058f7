"""The state of an interrupted training, in one safetensors file: nothing in it can run code."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.model.tensor_files import write_tensors


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write nested dictionaries and lists of tensors, numbers, strings and None, whole or not at all."""
    tensors: dict[str, torch.Tensor] = {}
    content = json.dumps(_pack(state, tensors))
    write_tensors(path, tensors, {"state": content})


def load_state(path: Path) -> dict[str, Any]:
    """Read what save_state wrote; raises ModelError where the file is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            content = json.loads((file.metadata() or {})["state"])
            return _unpack(content, file)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: {error}", hint="the saved state is damaged: train again with `overwrite`"
        ) from error


def _pack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        key, content = str(len(tensors)), value.detach().cpu().contiguous()
        taken = {tensor.untyped_storage().data_ptr() for tensor in tensors.values()}
        tensors[key] = content.clone() if content.untyped_storage().data_ptr() in taken else content
        return {"tensor": key}
    if isinstance(value, dict):  # keys may be numbers, as in an optimizer's state
        return {"dict": [[key, _pack(entry, tensors)] for key, entry in value.items()]}
    if isinstance(value, list | tuple):
        return [_pack(entry, tensors) for entry in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"cannot save {type(value).__name__}")


def _unpack(value: Any, file: Any) -> Any:
    if isinstance(value, list):
        return [_unpack(entry, file) for entry in value]
    if isinstance(value, dict):
        if "tensor" in value:
            return file.get_tensor(value["tensor"])
        return {key: _unpack(entry, file) for key, entry in value["dict"]}
    return value
