"""Processes that decode untrusted images, for an event loop."""

import asyncio
import itertools
import traceback
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple, Self, TypeVar

from eufcc_cli.core.worker_processes import LOST, CrashError, ProcessCalls

T = TypeVar("T")
Item = TypeVar("Item")
Crashed = TypeVar("Crashed")

_TOGETHER = 16  # calls in one message, at most
_BYTES_TOGETHER = 1 << 20  # after which no call is added: large images take longer than a message
_AHEAD = 2  # messages for each process, so that none waits for the next


class _Call(NamedTuple):
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    result: asyncio.Future[Any]


class Workers:
    """Processes for an event loop; an async context manager.

    While all are busy, calls wait, and are then sent together: a message costs about as much as the decoding
    of a small image. A function may be called again if another call ends its process.
    """

    def __init__(self, processes: int) -> None:
        self._calls = ProcessCalls(processes)
        self._most = _AHEAD * processes
        self._waiting: deque[_Call] = deque()
        self._sent: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._calls.stop)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function of a module in a process. Raises its error, or CrashError if the process ends."""
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(function, arguments, result))
        self._send_waiting()
        return await result

    async def each(
        self, function: Callable[..., T], items: Sequence[Item], *arguments: Any, crashed: Crashed
    ) -> AsyncIterator[tuple[Item, T | Crashed]]:
        """Call a function of a module for every item; yields pairs of item and result in order of completion.

        `crashed` is the result of an item whose process ends.
        """

        async def call(item: Item) -> tuple[Item, T | Crashed]:
            try:
                return item, await self.run(function, item, *arguments)
            except CrashError:
                return item, crashed

        left = iter(items)
        running: set[asyncio.Task[tuple[Item, T | Crashed]]] = set()
        done: asyncio.Queue[asyncio.Task[tuple[Item, T | Crashed]]] = asyncio.Queue()
        try:
            while True:
                for item in itertools.islice(left, _TOGETHER * (self._most + 1) - len(running)):
                    task = asyncio.create_task(call(item))
                    task.add_done_callback(done.put_nowait)
                    running.add(task)
                if not running:
                    return
                task = await done.get()
                running.remove(task)
                yield task.result()
        finally:
            for task in running:
                task.cancel()

    def _send_waiting(self) -> None:
        while self._waiting and len(self._sent) < self._most:
            calls: list[_Call] = []
            size = 0
            while self._waiting and len(calls) < _TOGETHER and size < _BYTES_TOGETHER:
                calls.append(self._waiting.popleft())
                size += sum(len(one) for one in calls[-1].arguments if isinstance(one, bytes))
            task = asyncio.create_task(self._send(calls))
            self._sent.add(task)
            task.add_done_callback(self._returned)

    def _returned(self, task: asyncio.Task[None]) -> None:
        self._sent.remove(task)
        self._send_waiting()

    async def _send(self, calls: Sequence[_Call]) -> None:
        """Send calls in one message, and set their results."""
        calls = [call for call in calls if not call.result.done()]  # not those that were cancelled
        if not calls:
            return
        try:
            results = await self._together(calls)
        except asyncio.CancelledError:
            for call in calls:
                call.result.cancel()
            raise
        except Exception as error:
            if len(calls) == 1:
                results = [error]
            else:  # one of them is the cause
                for call in calls:
                    await self._send([call])
                return
        for call, result in zip(calls, results, strict=True):
            if call.result.done():
                continue
            if isinstance(result, Exception):
                call.result.set_exception(result)
            else:
                call.result.set_result(result)

    async def _together(self, calls: Sequence[_Call]) -> list[Any]:
        message = [(call.function, call.arguments) for call in calls]
        while True:
            pool, sent = self._calls.start(_call_all, (message,))
            try:
                results: list[Any] = await asyncio.wrap_future(sent)
            except LOST as error:
                self._calls.judge(pool, error)
            else:
                self._calls.succeeded()
                return results


def _call_all(calls: list[tuple[Callable[..., Any], tuple[Any, ...]]]) -> list[Any]:
    """In a process: the result of each call, or its error."""
    return [_call(function, arguments) for function, arguments in calls]


def _call(function: Callable[..., T], arguments: tuple[Any, ...]) -> T | Exception:
    try:
        return function(*arguments)
    except Exception as error:
        error.add_note(traceback.format_exc())  # else it is lost on the way
        return error
