"""Processes for untrusted files: what their end means for the calls that they had not begun."""

import os
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import pytest
from pebble import ProcessExpired
from pebble.pool.process import PoolManager, WorkerManager

from eufcc_cli.core.worker_processes import ProcessCalls


def test_no_call_waits_for_processes_that_were_stopped() -> None:
    calls = ProcessCalls(1)
    started = [calls.start(time.sleep, (0.2,))[1] for _ in range(20)]
    calls.stop()
    assert all(call.done() for call in started)


def test_processes_that_just_start_are_ended_before_the_channels_they_would_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that finds its channels gone prints a traceback."""
    close = WorkerManager.close_channels
    before = set(active_children())
    living = []

    def closed(manager: WorkerManager) -> None:
        living.append(set(active_children()) - before)
        close(manager)

    monkeypatch.setattr(WorkerManager, "close_channels", closed)
    calls = ProcessCalls(2)
    calls.start(abs, (-1,))
    assert len(set(active_children()) - before) == 2
    calls.stop()
    assert living == [set()]


def test_a_call_ends_with_its_process_however_late_it_is_known_to_have_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on a busy machine, where the end of the process is noted before the beginning of its call."""
    process = PoolManager.process_next_message

    def late(manager: PoolManager, timeout: float) -> None:
        time.sleep(0.3)
        process(manager, timeout)

    calls = ProcessCalls(2)
    _, other = calls.start(time.sleep, (60,))
    while not other.running():
        time.sleep(0.01)
    monkeypatch.setattr(PoolManager, "process_next_message", late)
    _, call = calls.start(os._exit, (1,))
    with pytest.raises(ProcessExpired):
        call.result(timeout=60)
    assert other.running()
    calls.stop()


def test_a_pool_that_ends_as_it_is_called_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = ProcessCalls(1)
    pool, call = calls.start(abs, (-1,))
    assert call.result(timeout=100) == 1
    schedule = pool.schedule

    def stopped(*arguments: object, **options: object) -> object:
        pool.stop()
        return schedule(*arguments, **options)

    monkeypatch.setattr(pool, "schedule", stopped)
    other, call = calls.start(abs, (-2,))
    assert other is not pool
    assert call.result(timeout=100) == 2
    calls.stop()


@pytest.mark.parametrize("piped", [False, True])
def test_a_script_without_a_guard_is_not_run_again_by_its_processes(tmp_path: Path, piped: bool) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from eufcc_cli.core.worker_processes import ProcessCalls\n"
        "calls = ProcessCalls(2)\n"
        "print(calls.start(abs, (-1,))[1].result(timeout=300))\n"
        "calls.stop()\n"
    )
    command = [sys.executable, "-" if piped else str(script)]
    done = subprocess.run(
        command, input=script.read_text() if piped else "", capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
