"""How this process allocates and releases memory: the C library's, and Python's garbage collection."""

import ctypes
import gc
import sys
from functools import cache

_KEPT = 256 << 20  # bytes


@cache
def keep_freed_memory() -> None:
    """Have the C library reuse the memory of freed tensors, as on GPUs.

    By default glibc returns large blocks to the system immediately. Getting them back, page by page, takes a
    third of the time of training convnext_mini at 64 pixels (4.3 s instead of 6.8 s,
    tests.benchmarks.allocation) and a tenth of convnext_atto's at 224, whose peak is 8 % higher. All threads
    use one arena, since those of threads cannot hold large blocks. This applies to the whole process, which
    keeps at most 256 MB at the end of its heap; `give_memory_back` returns free memory between used blocks.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:  # another C library than glibc
        return
    m_trim_threshold, m_mmap_max, m_arena_max = -1, -4, -8  # malloc.h
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, _KEPT)
    mallopt(m_arena_max, 1)


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
