"""A peer that is measured beside ours, in a process where nothing of eufcc changes how torch works."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

_made: list[Callable[[], object]] = []


def _make(make: Callable[..., Callable[[], object]], arguments: tuple[Any, ...]) -> None:
    _made.append(make(*arguments))


def _run() -> object:
    return _made[0]()


class Peer:
    """Makes a measurement once, in its own process, and repeats it there at every call."""

    def __init__(self, make: Callable[..., Callable[[], object]], *arguments: Any) -> None:
        self._process = ProcessPoolExecutor(1, get_context("spawn"), _make, (make, arguments))

    def __call__(self) -> Any:
        return self._process.submit(_run).result()

    def end(self) -> None:
        self._process.shutdown()
