"""Processes that tests wait for."""

import time
from collections.abc import Sequence
from contextlib import suppress

import psutil


def all_end(processes: Sequence[psutil.Process], seconds: float = 100) -> bool:
    """Whether processes end within some time.

    One that is only left for its parent to note has ended: where the parent was killed, that may take long.
    """
    last = time.monotonic() + seconds
    while runs := any(map(_runs, processes)):
        if time.monotonic() > last:
            break
        time.sleep(0.02)
    return not runs


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
