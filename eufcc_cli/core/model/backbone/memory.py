"""The memory of networks: counted while one computes, or simulated without taking any."""

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from eufcc_cli.core.model.backbone.memory_rule import engine_bytes


class Peak(TorchDispatchMode):
    """Counts the bytes of all tensors that are made inside `with`; `bytes` is the most at one time.

    Views and earlier tensors do not count. The memory that libraries allocate themselves is not seen.

    >>> with Peak() as peak:
    ...     total = (torch.zeros(1000) + 1).sum()
    >>> peak.bytes
    8000
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.now = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        given = {storage._cdata for storage in _storages((args, kwargs))}
        for storage in _storages(made):
            key = storage._cdata
            if key not in self._known and key not in given:
                self._known[key] = storage.nbytes()
                self.now += storage.nbytes()
                self.bytes = max(self.bytes, self.now)
                weakref.finalize(storage, self._freed, key)
        return made

    def _freed(self, key: int) -> None:
        self.now -= self._known.pop(key, 0)


def _storages(values: Any) -> Iterator[Any]:
    for value in tree_leaves(values):
        if isinstance(value, torch.Tensor):
            with contextlib.suppress(RuntimeError, NotImplementedError):  # sparse tensors have none
                yield value.untyped_storage()


def imagined(
    network: nn.Module, *inputs: torch.Tensor, learning: bool = False, mode: FakeTensorMode | None = None
) -> int:
    """The bytes that a network would take for some inputs, without taking them.

    learning: with all that a backward pass needs, but for the gradients of the weights.

    It runs on tensors without content (of `mode`, where the network is made of such). Raises the
    network's errors for inputs of these shapes, and torch's for operations that cannot be simulated.
    """
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    peak = Peak()
    try:
        fake = mode or FakeTensorMode(allow_non_fake_inputs=True)
        with fake, peak, torch.set_grad_enabled(learning):
            network(*(fake.from_tensor(values) for values in inputs))
    finally:
        network.load_state_dict(buffers, strict=False)
    return peak.bytes


NOT_IMAGINED = (
    fake_tensor.DataDependentOutputException,
    fake_tensor.DynamicOutputShapeException,
    fake_tensor.UnsupportedFakeTensorException,
    fake_tensor.UnsupportedOperatorException,
)
"""What torch raises for an operation that it cannot imagine."""

CANNOT_IMAGINE = (NotImplementedError, RuntimeError, TypeError, ValueError)
"""What `imagined` may raise, for any reason."""

LIBRARIES = 140 << 20
"""Bytes that PyTorch's libraries take once a network computes: 45 to 70 MB, and CUDA's 125 MB."""


def imagined_network(build: Callable[[], nn.Module]) -> tuple[nn.Module, FakeTensorMode]:
    """A network whose tensors have no content and take no memory, and the mode to compute with them."""
    with torch.device("meta"):
        network = build()
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        return network.to_empty(device="cpu"), mode


def engine_memory(backbone: nn.Module, size: int, streams: int, mode: FakeTensorMode | None = None) -> int:
    """Bytes that OpenVINO is expected to take for a backbone that looks at `streams` images at once."""
    weights = sum(value.nbytes for value in backbone.state_dict().values())
    return engine_bytes(weights, image_bytes(backbone, size, mode), streams)


def image_bytes(backbone: nn.Module, size: int, mode: FakeTensorMode | None = None) -> int:
    """Bytes of a backbone's layers while it looks at one image."""
    return imagined(backbone, torch.zeros(1).expand(1, 3, size, size), mode=mode)
