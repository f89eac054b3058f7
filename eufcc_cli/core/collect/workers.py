"""Processes that decode strangers' images, where a decoder that crashes or never ends takes nobody along."""

import asyncio
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from eufcc_cli.core.collect import storing

T = TypeVar("T")


def cores() -> int:
    """The processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class CrashError(Exception):
    """A call ended its process: its own doing, since it was alone there."""


class Workers:
    """A pool of processes for an event loop."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool = _pool(processes)
        self._alone = asyncio.Lock()

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in a worker. Raises CrashError if that ends the worker's process."""
        loop = asyncio.get_running_loop()
        pool = self._pool
        try:
            return await loop.run_in_executor(pool, function, *arguments)
        except BrokenProcessPool:
            if self._pool is pool:
                self._pool = _pool(self._processes)
        # One call broke the pool for all that were in it. Each is tried once more, with nobody beside it.
        async with self._alone:
            lone = _pool(1)
            try:
                return await loop.run_in_executor(lone, function, *arguments)
            except BrokenProcessPool:
                raise CrashError from None
            finally:
                lone.shutdown(wait=False)

    def close(self) -> None:
        """Start nothing more; what runs comes to its end by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _pool(processes: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload(["__main__", storing.__name__])
    return ProcessPoolExecutor(processes, mp_context=context, initializer=storing.start_worker)
