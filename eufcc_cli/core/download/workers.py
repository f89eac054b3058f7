"""Processes that decode untrusted images, for an event loop."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Self, TypeVar

from eufcc_cli.core.worker_processes import LOST, CrashError, ProcessCalls

T = TypeVar("T")
Item = TypeVar("Item")
Crashed = TypeVar("Crashed")

_BATCH = 16
_AHEAD = 4  # calls for each process, so that none waits for the next


class Workers:
    """Processes for an event loop; an async context manager."""

    def __init__(self, processes: int) -> None:
        self._calls = ProcessCalls(processes)
        self._free = asyncio.Semaphore(_AHEAD * processes)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._calls.stop)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function of a module in a process. Raises its error, or CrashError if the process ends."""
        async with self._free:
            while True:
                pool, call = self._calls.start(function, arguments)
                try:
                    value: T = await asyncio.wrap_future(call)
                except LOST as error:
                    self._calls.judge(pool, error)
                else:
                    self._calls.succeeded()
                    return value

    async def each(
        self, function: Callable[..., T], items: Sequence[Item], *arguments: Any, crashed: Crashed
    ) -> AsyncIterator[tuple[Item, T | Crashed]]:
        """Call a function of a module for every item; yields pairs of item and result in order of completion.

        `crashed` is the result of an item whose process ends.
        """
        batches = (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
        running: set[asyncio.Task[list[tuple[Item, T | Crashed]]]] = set()
        try:
            while True:
                for some in itertools.islice(batches, 2 * self._calls.processes - len(running)):
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
        self, function: Callable[..., T], some: Sequence[Item], arguments: Sequence[Any], crashed: Crashed
    ) -> list[tuple[Item, T | Crashed]]:
        try:
            results = await self.run(_for_each, function, list(some), *arguments)
            return list(zip(some, results, strict=True))
        except CrashError:
            if len(some) == 1:
                return [(some[0], crashed)]
            single = [await self._batch(function, [item], arguments, crashed) for item in some]
            return [pair for pairs in single for pair in pairs]


def _for_each(function: Callable[..., T], items: list[Any], *arguments: Any) -> list[T]:
    return [function(item, *arguments) for item in items]
