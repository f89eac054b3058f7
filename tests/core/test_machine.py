"""Precisions, and memory that is kept."""

import platform
import subprocess
import sys

import pytest
import torch

from eufcc_cli.core.machine import select_precision

_FAULTS = """
import resource, sys, threading
import torch
from eufcc_cli.core.machine import keep_freed_memory

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
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
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
