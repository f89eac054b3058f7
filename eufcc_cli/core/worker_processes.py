"""Processes for untrusted files: a call that crashes or does not end fails, and no other call."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from types import ModuleType
from typing import Any

from pebble import ProcessExpired, ProcessPool
from pebble.common import Result, ResultStatus
from pebble.pool.process import PoolManager, dictionary_values

from eufcc_cli.core.allocation import collect_rarely, keep_freed_images
from eufcc_cli.core.errors import CollectError

LOST = (ProcessExpired, TimeoutError, BrokenProcessPool, RuntimeError)
"""What a call may raise if its process, or the pool, has ended: for `ProcessCalls.judge`."""
_LONGEST_CALL = 120.0  # seconds, after which its process is ended
_MOST_CRASHES = 10  # in a row: then the files are not the cause
_STARTING = threading.Lock()
_NICENESS = 5  # so that the process that feeds them gets a core first


class CrashError(Exception):
    """A call ended its process, or did not end."""


class ProcessCalls:
    """Processes that call functions of modules; started at the first call, and again if all have ended."""

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._pool: ProcessPool | None = None
        self._lock = threading.Lock()
        self._crashes = 0
        self._stopped = False
        self._open: set[Future[Any]] = set()

    def start(
        self, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> "tuple[ProcessPool, Future[Any]]":
        """Start a call. If its future raises one of LOST, call `judge`."""
        with self._lock:
            while True:
                if self._stopped:
                    raise RuntimeError("the processes were stopped")
                if self._pool is not None and not self._pool.active:
                    self._end(self._pool)  # a process without a call was ended, and with it the pool
                    self._count()
                if self._pool is None:
                    self._pool = _started(self.processes)
                try:
                    call = self._pool.schedule(function, arguments, timeout=_LONGEST_CALL)
                except RuntimeError:
                    if self._pool.active:
                        raise
                    continue  # it ended just now
                self._open.add(call)
                call.add_done_callback(self._open.discard)
                return self._pool, call

    def succeeded(self) -> None:
        """Note that a call returned."""
        self._crashes = 0

    def judge(self, pool: ProcessPool, error: BaseException) -> None:
        """Return if the call can be retried, because it did not end its process.

        Raises CrashError if it did, CollectError if every call does, or the error that the call raised.
        """
        if isinstance(error, ProcessExpired | TimeoutError):
            self._count(error)
            late = isinstance(error, TimeoutError)
            raise CrashError("it takes the decoder too long" if late else "it crashes the decoder") from error
        if pool.active:
            raise error
        with self._lock:
            if pool is self._pool:
                self._end(pool)

    def _count(self, error: BaseException | None = None) -> None:
        self._crashes += 1
        if self._crashes >= _MOST_CRASHES:
            raise CollectError(
                "the processes that decode images end unexpectedly, with every image",
                hint="memory may be short: try fewer `workers` and a smaller `max_pixels`",
            ) from error

    def stop(self) -> None:
        """End the processes and their calls."""
        with self._lock:
            self._stopped = True
            if self._pool is not None:
                self._end(self._pool)

    def _end(self, pool: ProcessPool) -> None:
        """End a pool, broken or not; its open calls raise one of LOST."""
        self._pool = None
        pool.stop()
        pool.join()
        for call in self._open.copy():  # pebble does not end calls that no process had begun
            with suppress(InvalidStateError):
                call.set_exception(BrokenProcessPool("the processes have ended"))


class _Process(SpawnProcess):
    def start(self) -> None:
        with _STARTING:
            main = sys.modules["__main__"]
            sys.modules["__main__"] = ModuleType("__main__")  # without a file that the process would run
            try:
                super().start()
            finally:
                sys.modules["__main__"] = main


class CleanContext(SpawnContext):
    """Processes that do not run the program's main module again.

    It may be a script without `if __name__ == "__main__":`, of which every process would begin anew.
    """

    Process = _Process


class _Pool(ProcessPool):
    """A pool in which the call of a process that ends always ends, too."""

    def __init__(self, processes: int) -> None:
        super().__init__(processes, initializer=_prepare, context=CleanContext())
        self._pool_manager = _Manager(self._context, CleanContext())


class _Manager(PoolManager):
    def stop(self) -> None:
        """End the processes before their channels: one that just starts would miss them, with a traceback."""
        self.worker_manager.force_stop_workers()
        self.worker_manager.close_channels()

    def update_workers(self) -> None:
        """Also end calls that pebble learns to have begun only after it has noted their process's end."""
        super().update_workers()
        for task in dictionary_values(self.task_manager.tasks):
            if task.worker_id and task.worker_id not in self.worker_manager.workers:
                error = ProcessExpired("Abnormal termination", pid=task.worker_id)
                self.task_manager.task_done(task.id, Result(ResultStatus.ERROR, error))


def _started(processes: int) -> ProcessPool:
    # Modules in the current folder must not come before the installed ones.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    pool = _Pool(processes)
    with _without_interrupts():
        _ = pool.active  # which starts it
    return pool


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes started here never receive Ctrl-C, not even before they can ignore it."""
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
    collect_rarely()
    keep_freed_images()
