"""Processes that decode strangers' images, where a decoder that crashes or never ends takes nobody along.

A pool as concurrent.futures has would do, but its threads and the event loop wait for each other's turn at
every image; here the loop itself talks to the processes, and knows which call ended one.
"""

import asyncio
import itertools
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar

from eufcc_cli.core.download import worker
from eufcc_cli.core.download.worker import LENGTH, pack_call, unpack
from eufcc_cli.core.errors import CollectError, EufccError

T = TypeVar("T")
Item = TypeVar("Item")
Crashed = TypeVar("Crashed")

_BATCH = 16
_ON_THE_WAY = 4  # calls for each process: the next is there when one is done
_LONGEST_CALL = 120.0  # seconds, after which a worker is ended
_MOST_CRASHES = 10  # in a row: then it is not the images' doing
_ENVIRONMENT = {
    # By default glibc gives the memory of every image back, only to ask for it again: a quarter of the time.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    "OPENBLAS_NUM_THREADS": "1",  # else every process starts a thread for every core
}


class CrashError(Exception):
    """A call ended its process, or did not end."""


class _LostError(Exception):
    """A call was in a process that another call ended."""


class Workers:
    """Processes for an event loop; an async context manager."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._workers: list[_Worker] = []
        self._choosing = asyncio.Lock()
        self._free = asyncio.Semaphore(_ON_THE_WAY * processes)
        self._crashes = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._workers:
            await process.end()

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function (of a module, on what `worker` can pack) in a process.

        Raises the EufccError it raises, or CrashError if it ends the process.
        """
        async with self._free:
            while True:
                chosen = await self._choose()
                try:
                    value: T = await chosen.call(function, arguments)
                except _LostError:
                    continue
                except CrashError:
                    self._crashes += 1
                    if self._crashes < _MOST_CRASHES:
                        raise
                    raise CollectError(
                        "the processes that decode images end unexpectedly, whatever the image",
                        hint="perhaps memory is short: try fewer `workers` and a smaller `max_pixels`",
                    ) from None
                self._crashes = 0
                return value

    async def _choose(self) -> "_Worker":
        """The process with the least to do; a new one, as long as all have something to do."""
        async with self._choosing:
            self._workers = [process for process in self._workers if process.alive]
            least = min(self._workers, key=lambda process: process.calls, default=None)
            if least is None or (least.calls and len(self._workers) < self._processes):
                least = await _Worker.start()
                self._workers.append(least)
            return least

    async def each(
        self, function: Callable[..., Sequence[T]], items: Sequence[Item], *arguments: Any, crashed: Crashed
    ) -> AsyncIterator[tuple[Item, T | Crashed]]:
        """Call a function that takes and gives lists, a few items at a time: pairs, as they are ready.

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


class _Worker:
    """A process and the calls it has not answered yet, in order."""

    def __init__(self, process: Process) -> None:
        self.alive = True
        self._process = process
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls) -> Self:
        # Without -P, modules that lie in the current folder would come before the installed ones.
        command = (sys.executable, "-P", "-m", worker.__name__)
        return cls(
            await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=os.environ | _ENVIRONMENT
            )
        )

    @property
    def calls(self) -> int:
        return len(self._waiting)

    def call(self, function: Callable[..., Any], arguments: Sequence[Any]) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        assert self._process.stdin is not None
        # No need to wait: of these messages few are on the way, and large bodies travel as files.
        with suppress(RuntimeError, OSError):  # it has ended: as soon as `_read` sees that, the call is lost
            self._process.stdin.write(pack_call(function, arguments))
        if len(self._waiting) == 1:
            self._set_alarm()
        return future

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(_LONGEST_CALL, self._process.kill) if self._waiting else None

    async def _read(self) -> None:
        assert self._process.stdout is not None
        with suppress(EOFError, ConnectionError):
            while True:
                length = int.from_bytes(await self._process.stdout.readexactly(LENGTH))
                done, *value = unpack(await self._process.stdout.readexactly(length))
                future = self._waiting.popleft()
                self._set_alarm()
                if future.done():  # cancelled
                    continue
                if done:
                    future.set_result(*value)
                else:  # a message and a hint, or the traceback of a bug
                    future.set_exception(EufccError(*value) if len(value) == 2 else RuntimeError(*value))
        self.alive = False
        for place, future in enumerate(self._waiting):
            if not future.done():
                future.set_exception(_LostError() if place else CrashError())
        self._waiting.clear()
        self._set_alarm()

    async def end(self) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        await self._process.wait()
        await self._reading
