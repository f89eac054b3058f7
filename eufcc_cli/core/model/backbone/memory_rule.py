"""How much of the free memory may be taken. Nothing here needs PyTorch."""

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.machine import free_memory

SHARE = 0.9
"""The share of the free memory that may be taken: estimates are not exact."""

_OPENVINO = 110 << 20  # bytes that OpenVINO takes with any network
_OPENVINO_COPIES = 1.5  # of a network's weights: measured with six of them


def engine_bytes(weights: int, image: int, streams: int) -> int:
    """Bytes that OpenVINO takes for a network, with `streams` images at once."""
    return int(_OPENVINO + _OPENVINO_COPIES * weights + streams * image)


def check_room(needed: float) -> None:
    """Raise ModelError if the free memory is too small for one image."""
    free = free_memory()
    if needed > SHARE * free:
        raise ModelError(
            f"one image needs {gigabytes(needed)} of memory, {gigabytes(free)} are free",
            hint="close other programs, or choose a `model` with a smaller backbone",
        )


def gigabytes(number: float) -> str:
    """A number of bytes as text."""
    return f"{number / 1e9:.1f} GB"
