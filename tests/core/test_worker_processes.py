"""Processes for untrusted files: what their end means for the calls that they had not begun."""

import time

from eufcc_cli.core.worker_processes import ProcessCalls


def test_no_call_waits_for_processes_that_were_stopped() -> None:
    calls = ProcessCalls(1)
    started = [calls.start(time.sleep, (0.2,))[1] for _ in range(20)]
    calls.stop()
    assert all(call.done() for call in started)
