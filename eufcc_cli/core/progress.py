"""How the core reports its progress: to the console, a notebook, or not at all."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One piece of work under way."""

    def advance(self, steps: int = 1, **fields: object) -> None:
        """Report finished steps, and fields to show beside the bar (`loss=0.31`, `failed=2`)."""


class Progress(Protocol):
    """Something that shows work under way."""

    def task(self, description: str, total: int | None, unit: str = "images") -> AbstractContextManager[Task]:
        """Begin a piece of work of `total` steps (None if unknown)."""


class _Silent:
    @contextmanager
    def task(self, description: str, total: int | None, unit: str = "images") -> Iterator[Task]:
        yield self

    def advance(self, steps: int = 1, **fields: object) -> None:
        pass


SILENT: Progress = _Silent()
