"""Processes that decode untrusted images: a decoder that crashes or never ends affects one image only."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self, TypeVar

from pebble import ProcessExpired, ProcessPool

from eufcc_cli.core.errors import CollectError

T = TypeVar("T")
Item = TypeVar("Item")
Crashed = TypeVar("Crashed")

_BATCH = 16
_AHEAD = 4  # calls for each process: the next is there when one is done
_LONGEST_CALL = 120.0  # seconds, after which a process is ended
_MOST_CRASHES = 10  # in a row: then the images are not the cause
_NICENESS = 5  # an event loop without a free core would keep all the processes waiting


class CrashError(Exception):
    """A call ended its process, or did not end."""


class Workers:
    """Processes for an event loop; an async context manager."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool: ProcessPool | None = None
        self._free = asyncio.Semaphore(_AHEAD * processes)
        self._crashes = 0

    def _start(self) -> ProcessPool:
        # Modules in the current folder must not come before the installed ones.
        os.environ.setdefault("PYTHONSAFEPATH", "1")
        pool = ProcessPool(self._processes, initializer=_prepare, context=get_context("spawn"))
        with _without_interrupts():
            _ = pool.active  # which starts it
        return pool

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.stop()
            await asyncio.to_thread(self._pool.join)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function of a module in a process.

        Raises what it raises, or CrashError if it ends the process.
        """
        async with self._free:
            for _ in range(_MOST_CRASHES):
                if self._pool is None:
                    self._pool = self._start()
                pool = self._pool
                try:
                    call = pool.schedule(function, arguments, timeout=_LONGEST_CALL)
                    value: T = await asyncio.wrap_future(call)
                except (ProcessExpired, TimeoutError) as error:
                    self._crashes += 1
                    if self._crashes < _MOST_CRASHES:
                        raise CrashError from error
                    break
                except (BrokenProcessPool, RuntimeError):  # a process without a call was ended
                    if pool.active:
                        raise
                    if pool is self._pool:
                        self._pool = None
                else:
                    self._crashes = 0
                    return value
        raise CollectError(
            "the processes that decode images end unexpectedly, for every image",
            hint="memory may be short: try fewer `workers` and a smaller `max_pixels`",
        )

    async def each(
        self, function: Callable[..., Sequence[T]], items: Sequence[Item], *arguments: Any, crashed: Crashed
    ) -> AsyncIterator[tuple[Item, T | Crashed]]:
        """Call a function from list to list, a few items at a time; yields pairs of item and result.

        `crashed` stands for the result of an item that ends its process.
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


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes started in here never get Ctrl-C, not even before they can ignore it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare() -> None:
    """Set up a process: it prints nothing, and only its parent reacts to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # else every process starts a thread for every core
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
