"""The rule by which memory is asked before it is taken. Nothing here needs PyTorch."""

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.machine import free_memory

SHARE = 0.9
"""Of the free memory, what may be taken: estimates are not exact."""

_OPENVINO = 110 << 20  # bytes that OpenVINO takes with any network
_OPENVINO_COPIES = 1.5  # of a network's weights: measured with six of them


def engine_bytes(weights: int, image: int, streams: int) -> int:
    """Bytes that OpenVINO takes for a network, and for each of the images that it looks at at once."""
    return int(_OPENVINO + _OPENVINO_COPIES * weights + streams * image)


def check_room(needed: float) -> None:
    """Raise ModelError where the free memory does not hold what a model needs to look at one image."""
    free = free_memory()
    if needed > SHARE * free:
        raise ModelError(
            f"one image needs {gigabytes(needed)} of memory, {gigabytes(free)} are free",
            hint="close other programs, or choose a `model` with a smaller backbone",
        )


def gigabytes(number: float) -> str:
    """A number of bytes, readably."""
    return f"{number / 1e9:.1f} GB"
