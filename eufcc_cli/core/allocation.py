"""How this process allocates and releases memory: the C library's, and Python's garbage collection."""

import ctypes
import gc
import sys
from functools import cache

_KEPT = 256 << 20  # bytes
_MALLOC_H = {"trim_threshold": -1, "mmap_threshold": -3, "mmap_max": -4, "arena_max": -8}


@cache
def keep_freed_memory() -> None:
    """Have the C library reuse the memory of freed tensors, as on GPUs.

    By default glibc returns large blocks to the system immediately. Getting them back, page by page, takes a
    third of the time of training convnext_mini at 64 pixels (4.3 s instead of 6.8 s,
    tests.benchmarks.allocation) and a tenth of convnext_atto's at 224, whose peak is 8 % higher. All threads
    use one arena, since those of threads cannot hold large blocks. This applies to the whole process, which
    keeps at most 256 MB at the end of its heap; `give_memory_back` returns free memory between used blocks.
    """
    _set_allocator(mmap_max=0, trim_threshold=_KEPT, arena_max=1)


def keep_freed_images() -> None:
    """Have the C library reuse the memory of freed images of up to 32 MB; it keeps at most 64 MB.

    Resizing a JPEG of 533 x 400 pixels to 256 takes 3.0 ms instead of 5.2.
    """
    _set_allocator(mmap_threshold=32 << 20, trim_threshold=64 << 20)


def _set_allocator(**options: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # else another C library than glibc
        for name, value in options.items():
            mallopt(_MALLOC_H[name], value)


def give_memory_back() -> None:
    """Return the C library's free memory to the system; call it after large computations."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def collect_rarely() -> None:
    """Run Python's garbage collection less often, and not on the objects that exist now.

    The results of images are many small objects without cycles: collection took 40 of 600 microseconds per
    image.
    """
    gc.freeze()
    gc.set_threshold(50_000)
