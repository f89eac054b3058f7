"""Processes that decode strangers' images, where a decoder that crashes or never ends takes nobody along."""

import asyncio
import itertools
import multiprocessing
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from eufcc_cli.core.collect import storing

T = TypeVar("T")
Item = TypeVar("Item")
Crashed = TypeVar("Crashed")

_BATCH = 16


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

    async def each(
        self, function: Callable[..., Sequence[T]], items: Sequence[Item], *arguments: Any, crashed: Crashed
    ) -> AsyncIterator[tuple[Item, T | Crashed]]:
        """Call a function that takes and gives lists, a few items at a time: pairs, as they are ready.

        `crashed` stands for the result of an item that ends its worker's process.
        """
        batches = (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
        running: set[asyncio.Task[list[tuple[Item, T | Crashed]]]] = set()
        try:
            while True:
                for some in itertools.islice(batches, 2 * self._processes - len(running)):
                    running.add(asyncio.create_task(self._batch(function, some, arguments, crashed)))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    for pair in task.result():
                        yield pair
        finally:
            for task in running:
                task.cancel()

    async def _batch(
        self,
        function: Callable[..., Sequence[T]],
        some: Sequence[Item],
        arguments: Sequence[Any],
        crashed: Crashed,
    ) -> list[tuple[Item, T | Crashed]]:
        try:
            return list(zip(some, await self.run(function, list(some), *arguments), strict=True))
        except CrashError:
            if len(some) == 1:
                return [(some[0], crashed)]
            single = [await self._batch(function, [item], arguments, crashed) for item in some]
            return [pair for pairs in single for pair in pairs]

    def close(self) -> None:
        """Start nothing more; what runs comes to its end by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _pool(processes: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload(["__main__", storing.__name__])
    return ProcessPoolExecutor(processes, mp_context=context, initializer=storing.start_worker)
