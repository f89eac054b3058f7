"""The machine's processors, memory and GPUs. Only this module reads them, so that tests can describe others.

The environment variable EUFCC_MACHINE describes another machine, for this process and those it starts:
`EUFCC_MACHINE=bf16=true,cores=2,memory=8e9`. It only changes what eufcc assumes.
"""

import json
import os
import sys
import time
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from pathlib import Path

from eufcc_cli.core.control_groups import cpu_limit, memory_left
from eufcc_cli.core.errors import EufccError

VARIABLE = "EUFCC_MACHINE"


@dataclass(frozen=True)
class Machine:
    """A description of a machine; None means: as detected.

    >>> Machine.described("bf16=true,cores=2").cores
    2
    """

    cores: int | None = None
    """Processor cores that this process may use."""
    memory: float | None = None
    """Bytes of memory that are free."""
    bf16: bool | None = None
    """The processor multiplies matrices of bf16 (AMX)."""
    cuda: int | None = None
    """How many GPUs CUDA finds."""
    mps: bool | None = None
    """There is one of Apple's GPUs."""

    @classmethod
    @lru_cache
    def described(cls, text: str) -> "Machine":
        """The machine of a description: name=value,name=value. Raises EufccError for any other text."""
        try:
            values = dict(part.split("=") for part in text.split(",") if part)
            known = {field.name for field in fields(cls)}
            if not values.keys() <= known:
                raise ValueError(f"known: {', '.join(sorted(known))}")
            return cls(**{name: json.loads(value) for name, value in values.items()})
        except ValueError as error:
            raise EufccError(f"{VARIABLE}={text}: {error}", hint=f"for example {VARIABLE}=cores=2") from error


def _described() -> Machine:
    return Machine.described(os.environ.get(VARIABLE, ""))


def cores() -> int:
    """The processor cores that this process may use: its affinity, and its control groups' share of time."""
    if (described := _described().cores) is not None:
        return described
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(there, round(cpu_limit() or there)))


_MOMENT = 0.3  # seconds


_asked: int | None = None


def use_threads(number: int | None) -> None:
    """Compute with this number of threads from now on; None: as `threads` determines.

    By default PyTorch uses one per core of the host, of which a container may use only a few.
    """
    global _asked
    _asked = number
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads())
    else:
        os.environ["OMP_NUM_THREADS"] = str(threads())  # torch reads it when it is imported later


def free_cores() -> int:
    """The cores that other programs do not use, measured for a moment; at least one.

    On a described machine all cores are free.
    """
    if os.environ.get(VARIABLE):
        return cores()
    import psutil

    def busy() -> tuple[float, float]:
        """Seconds of processor time of all cores, and of this process."""
        times, own = psutil.cpu_times(), process.cpu_times()
        waiting = times.idle + getattr(times, "iowait", 0.0) + getattr(times, "guest", 0.0)
        return sum(times) - waiting - getattr(times, "guest_nice", 0.0), own.user + own.system

    process = psutil.Process()
    began, before = time.monotonic(), busy()
    time.sleep(_MOMENT)
    seconds, after = time.monotonic() - began, busy()
    others = (after[0] - before[0] - (after[1] - before[1])) / seconds
    return max(1, min(cores(), round((psutil.cpu_count() or 1) - others)))


def threads(given: int | None = None, worth: int | None = None, *, free: bool = False) -> int:
    """The number of threads to compute with: as given, or OMP_NUM_THREADS, or one per physical core.

    One per core is limited by `worth`, the number that is useful for the work, and with `free` by the cores
    that other programs leave: if threads wait for each other on a busy machine, they are slower than one
    thread, see `wait_idly`. With another number of threads, PyTorch's results differ in their last bits.
    """
    if (number := given or _asked) is not None:
        return number
    environment = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if environment.isdecimal() and int(environment):
        return int(environment)
    import psutil

    most = cores() if _described().cores else min(cores(), psutil.cpu_count(logical=False) or cores())
    if free:
        most = min(most, free_cores())
    return most if worth is None else max(1, min(most, worth))


def wait_idly() -> None:
    """Make waiting threads release their core; call it before torch is imported.

    By default they occupy it for some milliseconds after every layer of a network. On a busy machine, the
    thread they wait for then gets no core either, and small networks take ten times as long. Settings of the
    environment take precedence.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # GNU's runtime, in torch for Linux
        os.environ.setdefault("KMP_BLOCKTIME", "1")  # Intel's and LLVM's: milliseconds, instead of 200


def free_memory() -> int:
    """Bytes of memory that this process can still allocate.

    What the system has available without swapping, within the limits of the process's control groups
    (containers, batch systems).
    """
    if (described := _described().memory) is not None:
        return int(described)
    import psutil

    available = int(psutil.virtual_memory().available)
    left = memory_left()
    return available if left is None else min(available, left)


def used_memory() -> int:
    """Bytes of memory that this process uses now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def has_bf16_matrices() -> bool:
    """Whether the processor has matrix units for bf16; vector units make bf16 slower than float32."""
    if (described := _described().bf16) is not None:
        return described
    if sys.platform == "linux":
        return processor_has("amx_tile")
    import torch

    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


@cache
def processor_has(flag: str) -> bool:
    """Whether Linux lists a feature of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.startswith("flags") and flag in line.split() for line in lines)


def may_have_gpu() -> bool:
    """Whether PyTorch might find a GPU; False only if there certainly is none. Does not import PyTorch."""
    described = _described()
    if described.cuda is not None or described.mps is not None:
        return bool(described.cuda or described.mps)
    devices = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")  # NVIDIA, AMD, WSL
    return sys.platform != "linux" or any(map(os.path.exists, devices))


def cuda_devices() -> int:
    """How many GPUs CUDA finds."""
    if (described := _described().cuda) is not None:
        return described
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def has_mps() -> bool:
    """Whether there is one of Apple's GPUs."""
    if (described := _described().mps) is not None:
        return described
    import torch

    return torch.backends.mps.is_available()
