"""Processes that decode strangers' images, where a decoder that crashes or never ends takes nobody along.

A pool as concurrent.futures has would do, but its threads and the event loop wait for each other's turn at
every image; here the loop itself talks to the processes, and knows which call ended one.
"""

import asyncio
import itertools
import os
import pickle
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Self, TypeVar

from eufcc_cli.core.errors import CollectError

T = TypeVar("T")
Item = TypeVar("Item")
Crashed = TypeVar("Crashed")

_BATCH = 16
_LONGEST_CALL = 120.0  # seconds, after which a worker is ended
_MOST_CRASHES = 10  # in a row: then it is not the images' doing
# By default glibc gives the memory of every image back, only to ask for it again: a quarter of the time.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
_LENGTH = 8  # bytes before each message


def cores() -> int:
    """The processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class CrashError(Exception):
    """A call ended its process, or did not end."""


class Workers:
    """Processes for an event loop, one call at a time in each; an async context manager."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._free: asyncio.LifoQueue[Process | None] = asyncio.LifoQueue()
        for _ in range(processes):
            self._free.put_nowait(None)
        self._running: set[Process] = set()
        self._crashes = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in list(self._running):
            await self._end(process)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in a process. Raises what it raises, or CrashError if it ends the process."""
        process = await self._free.get()
        try:
            process = process or await self._start()
            async with asyncio.timeout(_LONGEST_CALL):
                done, value = await _exchange(process, (function, arguments))
        except (TimeoutError, EOFError, ConnectionError) as error:
            await self._end(process)
            process = None
            self._crashes += 1
            if self._crashes >= _MOST_CRASHES:
                raise CollectError(
                    "the processes that decode images end unexpectedly, whatever the image",
                    hint="perhaps memory is short: try fewer --workers, and a smaller --max-pixels",
                ) from error
            raise CrashError from error
        except BaseException:
            await self._end(process)  # in the middle of a message, it is of no more use
            process = None
            raise
        finally:
            self._free.put_nowait(process)
        self._crashes = 0
        if not done:
            raise value
        result: T = value
        return result

    async def _start(self) -> Process:
        # Without -P, modules that lie in the current folder would come before the installed ones.
        command = (sys.executable, "-P", "-m", __name__)
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=os.environ | _KEEP_MEMORY
        )
        self._running.add(process)
        return process

    async def _end(self, process: Process | None) -> None:
        if process is not None:
            self._running.discard(process)
            if process.returncode is None:
                process.kill()
            await process.wait()

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


async def _exchange(process: Process, call: object) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    message = pickle.dumps(call)
    process.stdin.write(len(message).to_bytes(_LENGTH))
    process.stdin.write(message)
    await process.stdin.drain()
    length = int.from_bytes(await process.stdout.readexactly(_LENGTH))
    return pickle.loads(await process.stdout.readexactly(length))


def serve() -> None:
    """What a worker does: answer calls on standard input until it closes, as it does when the parent dies."""
    import signal
    import traceback

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent alone hears Ctrl-C
    calls, answers = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer
    while length := calls.read(_LENGTH):
        function, arguments = pickle.loads(calls.read(int.from_bytes(length)))
        try:
            answer = (True, function(*arguments))
        except Exception as error:
            error.add_note(traceback.format_exc())
            answer = (False, error)
        message = pickle.dumps(answer)
        answers.write(len(message).to_bytes(_LENGTH))
        answers.write(message)
        answers.flush()


if __name__ == "__main__":
    serve()
