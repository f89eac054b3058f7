"""The machine's processors, memory and devices: asked for only here, so that tests can describe others.

The environment variable EUFCC_MACHINE describes another machine than the one that is there, for this
process and those it starts: `EUFCC_MACHINE=bf16=true,cores=2,memory=8e9`. It changes what eufcc assumes, and
nothing else.
"""

import ctypes
import gc
import json
import os
import sys
import time
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from eufcc_cli.core.control_groups import cpu_limit, memory_left
from eufcc_cli.core.errors import EufccError, ModelError

if TYPE_CHECKING:
    import torch

VARIABLE = "EUFCC_MACHINE"


@dataclass(frozen=True)
class Machine:
    """A description of a machine; what is None is found out.

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
_starts_processes = False


def allow_processes() -> None:
    """Let this program start processes: a script that does not expect it would run again in each of them."""
    global _starts_processes
    _starts_processes = True


def may_start_processes() -> bool:
    """Whether this program may start processes: commands may."""
    return _starts_processes


def collect_rarely() -> None:
    """Have Python look for circular garbage less often, and not among what is there by now.

    Results of images are many small objects and no circles: it took 40 microseconds an image, of 600.
    """
    gc.freeze()
    gc.set_threshold(50_000)


_asked: int | None = None


def use_threads(number: int | None) -> None:
    """Have all that computes in this process from now on use so many threads; None: as `threads` finds.

    PyTorch by itself takes one for each of the host's cores, of which a container may use but few.
    """
    global _asked
    _asked = number
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads())
    else:
        os.environ["OMP_NUM_THREADS"] = str(threads())  # what torch reads where it is imported later


def free_cores() -> int:
    """How many of its cores other programs leave to this process, measured for a moment; one at least.

    A described machine does nothing else.
    """
    if os.environ.get(VARIABLE):
        return cores()
    import psutil

    def busy() -> tuple[float, float]:
        """Seconds that all cores worked, and that this process did."""
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
    """Threads to compute with: as many as given, or OMP_NUM_THREADS, or one per real core.

    Of those per core not more than the work is `worth`, and with `free` not more than other programs leave:
    threads that have to wait for each other are slower beside another program than one alone, see
    `wait_idly`. With other threads, PyTorch's results differ in their last bits.
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

    By default they keep it for some milliseconds after every layer of a network. Where another program wants
    that core, the thread they wait for does not get it either: small networks then take ten times as long.
    Settings of the environment take precedence.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # GNU's runtime, in torch for Linux
        os.environ.setdefault("KMP_BLOCKTIME", "1")  # Intel's and LLVM's: milliseconds, instead of 200


def free_memory() -> int:
    """Bytes of memory that this process can still take.

    What the system has available without swapping (other programs have theirs already), and not more than
    what the limits of the process's control groups (containers, batch systems) leave.
    """
    if (described := _described().memory) is not None:
        return int(described)
    import psutil

    available = int(psutil.virtual_memory().available)
    left = memory_left()
    return available if left is None else min(available, left)


def used_memory() -> int:
    """Bytes of memory that this process has now."""
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
    """Whether PyTorch might find a GPU here; False only where there certainly is none. Imports nothing."""
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


def select_device(name: str = "auto") -> "torch.device":
    """The device of that name; auto: the GPU if there is one. Raises ModelError where it is not there."""
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

    For inference, auto is bf16 on a processor with matrix units for it, too.
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
    """What `--precision` calls a type of arithmetic: fp32, bf16 or fp16."""
    return {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}[str(precision).removeprefix("torch.")]


_KEPT = 256 << 20  # bytes


def give_memory_back() -> None:
    """Return the free memory that the C library holds to the system; call it after large work."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


@cache
def keep_freed_memory() -> None:
    """Have the C library keep what tensors free for the next ones, as GPUs do.

    By itself glibc gives large blocks back to the system at once; to get them back, page by page, takes a
    third of the time of training convnext_mini at 64 pixels (4.3 s for 6.8 s, tests.benchmarks.allocation)
    and a tenth of convnext_atto's at 224, whose peak is 8 % higher for it. One arena serves all threads,
    since those of threads cannot hold large blocks. It holds for the whole process, which keeps at most 256
    MB at the end of its heap; what lies free between blocks in use, `give_memory_back` returns.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:  # another C library than glibc
        return
    m_trim_threshold, m_mmap_max, m_arena_max = -1, -4, -8  # malloc.h
    mallopt(m_mmap_max, 0)
    mallopt(m_trim_threshold, _KEPT)
    mallopt(m_arena_max, 1)
