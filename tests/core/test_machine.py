"""What the machine offers, measured or described; precisions; memory that is kept."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from eufcc_cli.core import control_groups, devices, machine
from eufcc_cli.core.devices import select_precision
from eufcc_cli.core.errors import EufccError, ModelError

_FAULTS = """
import resource, sys, threading
import torch
from eufcc_cli.core.allocation import keep_freed_memory

def compute():
    for number in range(30):
        torch.ones(80 << 20, dtype=torch.uint8)
        if number == 9:  # until then small pieces that alignment leaves over fill glibc's other caches
            before.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)

before = []
if sys.argv[1] == "keep":
    keep_freed_memory()
thread = threading.Thread(target=compute)
thread.start()
thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before[0])
"""


@pytest.mark.parametrize("amx", [False, True])
def test_inference_is_in_bf16_only_with_matrix_units(monkeypatch: pytest.MonkeyPatch, amx: bool) -> None:
    monkeypatch.delenv("EUFCC_MACHINE", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(machine, "processor_has", lambda flag: amx)
    _expect_bf16(amx)


@pytest.mark.parametrize("amx", [False, True])
def test_a_description_decides_over_the_machine(monkeypatch: pytest.MonkeyPatch, amx: bool) -> None:
    described = f"bf16={str(amx).lower()},cores=3,memory=5e9,cuda=2,mps=false"
    monkeypatch.setenv("EUFCC_MACHINE", described)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: not amx, raising=False)
    monkeypatch.setattr(machine, "processor_has", lambda flag: not amx)
    _expect_bf16(amx)
    assert (machine.cores(), machine.free_memory()) == (3, 5_000_000_000)
    assert devices.select_device().type == "cuda"
    assert devices.select_device("cuda:1").index == 1
    for absent in ("cuda:2", "mps", "banana"):
        with pytest.raises(ModelError, match=f"`device` {absent}"):
            devices.select_device(absent)


@pytest.mark.parametrize("text", ["cores", "cores=two", "wings=2", "cores=2=3"])
def test_a_description_that_says_nothing_known_is_an_error(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("EUFCC_MACHINE", text)
    with pytest.raises(EufccError, match="EUFCC_MACHINE"):
        machine.cores()


def test_the_machine_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EUFCC_MACHINE", raising=False)
    assert 1 <= machine.cores() <= (os.cpu_count() or 1)
    assert 0 < machine.used_memory() < psutil.virtual_memory().total
    assert 0 < machine.free_memory() < psutil.virtual_memory().total


def test_threads_are_those_asked_for_or_of_the_environment_or_one_per_core(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EUFCC_MACHINE", "cores=6")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert machine.threads() == 6
    assert machine.threads(worth=2) == 2
    assert machine.threads(worth=0) == 1
    assert machine.threads(worth=99) == 6
    assert machine.threads(9, worth=2) == 9
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert machine.threads(worth=2) == 4
    assert machine.threads(3) == 3


def test_pytorch_takes_no_more_threads_than_a_container_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(machine, "_asked", None)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("EUFCC_MACHINE", f"cores={before + 1}")
    try:
        machine.use_threads(None)
        assert torch.get_num_threads() == before + 1
        machine.use_threads(before + 2)
        assert torch.get_num_threads() == before + 2 == machine.threads()
    finally:
        torch.set_num_threads(before)


def test_what_other_programs_take_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EUFCC_MACHINE", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    clock = [0.0]
    times = psutil.cpu_times()
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 8)
    pretended = SimpleNamespace(
        monotonic=lambda: clock[0], sleep=lambda seconds: clock.__setitem__(0, clock[0] + seconds)
    )
    monkeypatch.setattr(machine, "time", pretended)  # that of this module: other threads have their own
    for others, own, free in ((0.0, 0.0, 8), (0.0, 1.0, 8), (3.0, 1.0, 5), (8.0, 0.0, 1)):
        monkeypatch.setattr(
            psutil,
            "cpu_times",
            lambda busy=others + own: times._replace(user=busy * clock[0], idle=(8 - busy) * clock[0]),
        )
        used = psutil.Process().cpu_times()
        monkeypatch.setattr(
            psutil.Process,
            "cpu_times",
            lambda process, own=own, used=used: used._replace(user=own * clock[0], system=0.0),
        )
        assert machine.free_cores() == machine.threads(free=True) == free
        assert machine.threads() == 8
        assert machine.threads(2, free=True) == 2
    monkeypatch.setenv("EUFCC_MACHINE", "bf16=false")
    assert machine.threads(free=True) == 8


def test_how_threads_wait_is_left_to_an_environment_that_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.setenv(name, "")  # put back after the test
        monkeypatch.delenv(name)
    monkeypatch.setenv("KMP_BLOCKTIME", "7")
    machine.wait_idly()
    assert os.environ["GOMP_SPINCOUNT"] == "1000"
    assert os.environ["KMP_BLOCKTIME"] == "7"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    machine.wait_idly()
    assert "GOMP_SPINCOUNT" not in os.environ


def _tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_limits_of_one_hierarchy_of_control_groups(tmp_path: Path) -> None:
    """Version 2: the tightest of a group and those above it counts, and pages of files are not used up."""
    group = "sys/fs/cgroup/batch/job"
    root = _tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/batch/job\n",
            f"{group}/memory.max": "8000\n",
            f"{group}/memory.current": "5000\n",
            f"{group}/memory.stat": "anon 3000\ninactive_file 1500\n",
            f"{group}/cpu.max": "max 100000\n",
            "sys/fs/cgroup/batch/memory.max": "max\n",
            "sys/fs/cgroup/batch/memory.current": "9000\n",
            "sys/fs/cgroup/batch/cpu.max": "250000 100000\n",
        },
    )
    assert control_groups.memory_left(root) == 8000 - (5000 - 1500)
    assert control_groups.cpu_limit(root) == 2.5
    (root / group / "memory.max").write_text("max\n")
    (root / "sys/fs/cgroup/batch/cpu.max").write_text("max 100000\n")
    assert control_groups.memory_left(root) is None
    assert control_groups.cpu_limit(root) is None


def test_limits_of_control_groups_by_resource(tmp_path: Path) -> None:
    """Version 1, seen from a container: the path is the host's, the folders are the container's own."""
    root = _tree(
        tmp_path,
        {
            "proc/self/cgroup": "5:memory:/docker/1234\n3:cpu,cpuacct:/docker/1234\n0::/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "3000\n",
            "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 100\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    )
    assert control_groups.memory_left(root) == 0
    assert control_groups.cpu_limit(root) == 1.5
    (root / "sys/fs/cgroup/memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    (root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us").write_text("-1\n")
    assert control_groups.memory_left(root) is None
    assert control_groups.cpu_limit(root) is None


def test_a_machine_without_control_groups_has_no_limits(tmp_path: Path) -> None:
    assert control_groups.memory_left(tmp_path) is None
    assert control_groups.cpu_limit(tmp_path) is None


def _expect_bf16(amx: bool) -> None:
    cpu = torch.device("cpu")
    assert select_precision("auto", cpu, inference=True) == (torch.bfloat16 if amx else torch.float32)
    assert select_precision("auto", cpu) == torch.float32
    assert select_precision("bf16", cpu, inference=True) == torch.bfloat16


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc gives memory back, others may not")
def test_freed_memory_is_kept_for_the_next_tensor() -> None:
    """Twenty tensors of 80 MB, one after the other, in a thread, after ten."""
    faults = {}
    for how in ("keep", "leave"):
        command = [sys.executable, "-c", _FAULTS, how]
        faults[how] = int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    pages = 20 * (80 << 20) // 4096
    assert faults["keep"] < pages / 10
    assert faults["leave"] > pages / 2


_HIGH = """
from eufcc_cli.core.allocation import give_memory_back, keep_freed_memory
from eufcc_cli.core.machine import used_memory
keep_freed_memory()
blocks, pins = [], []
for _ in range(60):
    blocks.append(bytearray(b"1") * (8 << 20))
    pins.append(bytearray(b"1") * (1 << 16))  # stays in use above it
high = used_memory()
del blocks
kept = used_memory()
give_memory_back()
print(high - kept, high - used_memory())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc gives memory back, others may not")
def test_a_process_does_not_stay_at_its_highest_point() -> None:
    """What was freed between blocks in use is kept for the next large ones, until the work is done."""
    done = subprocess.run([sys.executable, "-c", _HIGH], check=True, stdout=subprocess.PIPE)
    kept_back, given_back = map(int, done.stdout.split())
    assert kept_back < (60 << 23) / 10
    assert given_back > 0.9 * (60 << 23)


def test_what_pytorch_need_not_be_asked_is_what_it_would_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(machine.VARIABLE, raising=False)
    if sys.platform == "linux":
        assert machine.has_bf16_matrices() == bool(torch.cpu._is_amx_tile_supported())
    if not machine.may_have_gpu():
        assert not machine.cuda_devices() and not machine.has_mps()
    for described, may in (("cuda=1", True), ("mps=true", True), ("cuda=0,mps=false", False)):
        monkeypatch.setenv(machine.VARIABLE, described)
        assert machine.may_have_gpu() is may
