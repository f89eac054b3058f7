"""Where `eufcc tag` puts its results: the screen, a pipe, a file, keywords of the images."""

import errno
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eufcc_cli import console
from eufcc_cli.core.errors import EufccError, ImageError, number_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from eufcc_cli.core.tagging.inputs import Input
    from eufcc_cli.core.tagging.tagger import Result
    from eufcc_cli.core.tagging.writers.keywords.sidecar import KeywordPlace
    from eufcc_cli.core.tagging.writers.result_file import ResultFile
    from eufcc_cli.core.tagging.writers.writer import Writer


class Sink(ABC):
    """Takes results, those of a batch together."""

    failed = 0
    """Images without suggestions so far."""

    def wants(self, item: "Input") -> bool:
        """False for an input that has its result already; checked before its image is opened."""
        return True

    @abstractmethod
    def write(self, results: "Sequence[Result]") -> None:
        """Take results."""

    def finish(self) -> None:  # noqa: B027  (most have nothing to add)
        """Write what comes after all results."""


class Screen(Sink):
    """Draws every result on the terminal."""

    def __init__(self, draw: Callable[["Result"], "RenderableType"]) -> None:
        self._draw = draw

    def write(self, results: "Sequence[Result]") -> None:
        for result in results:
            console.out.print(self._draw(result))
            self.failed += result.error is not None


class Pipe(Sink):
    """Writes every result to standard output at once, for the next program."""

    def __init__(self, writer: "Writer") -> None:
        self._writer = writer
        self._head = writer.head
        self._separator = ""

    def write(self, results: "Sequence[Result]") -> None:
        for result in results:
            if text := self._writer.text(result):
                console.write(self._head + self._separator + text)
                self._head, self._separator = "", self._writer.separator
            self.failed += result.error is not None
            _warn(self._writer, result)

    def finish(self) -> None:
        console.write(self._head + self._writer.tail)


class File(Sink):
    """Writes results to a file that an interrupted run continues."""

    def __init__(self, file: "ResultFile", writer: "Writer") -> None:
        self._file = file
        self._writer = writer
        self.failed = file.failed

    def wants(self, item: "Input") -> bool:
        return not self._file.has(item)

    def write(self, results: "Sequence[Result]") -> None:
        self._file.write(*results)
        self.failed = self._file.failed
        for result in results:
            _warn(self._writer, result)


class Keywords(Sink):
    """Writes each image's terms as its keywords, and the path of the file to standard output.

    An image that has those of the same origin already is skipped, so that an interrupted run goes on.
    """

    def __init__(self, place: "KeywordPlace", skip_existing: bool, origin: str, date: str) -> None:
        self._place = place
        self._skip_existing = skip_existing
        self._origin = origin
        self._date = date

    def wants(self, item: "Input") -> bool:
        try:
            path = self._place.path(item)
            if self._skip_existing and self._place.origin(path) is not None:
                return False
            return not self._place.is_current(path, item, self._origin)
        except ImageError as error:
            self._fail(item, str(error))
            return False

    def write(self, results: "Sequence[Result]") -> None:
        for result in results:
            self._write(result)

    def _write(self, result: "Result") -> None:
        from eufcc_cli.core.tagging.writers.keywords.xmp import Terms

        if result.error is not None:
            self._fail(result.input, result.error)
            return
        try:
            path = self._place.path(result.input)
            self._place.write(path, Terms.of(result.tags, self._origin, self._date))
        except EufccError as error:
            if not isinstance(error, ImageError) and getattr(error.__cause__, "errno", 0) not in _NO_PLACE:
                raise
            self._fail(result.input, str(error))
            return
        _warn_contradictions(result)
        console.line(str(path))

    def _fail(self, item: "Input", reason: str) -> None:
        self.failed += 1
        console.warn(f"{item.name}: {reason}")


_NO_PLACE = (errno.ENAMETOOLONG,)


def _warn(writer: "Writer", result: "Result") -> None:
    """Print on standard error what the format has no place for."""
    if writer.is_complete:
        return
    if result.error is not None:
        console.warn(f"{result.input.name}: {result.error}")
    for reason in writer.unwritten(result):
        console.warn(f"{result.input.name}: {reason}")
    _warn_contradictions(result)


def _warn_contradictions(result: "Result") -> None:
    for facet, found in result.contradictions.items():
        for tag in found:
            console.warn(f"{result.input.name}: {facet}: {tag.tag} is contradicted by {tag.instead.tag}")


@dataclass
class Tally:
    """What a run has done, for its last line."""

    catalogued: bool
    images: int = 0
    suggestions: int = 0
    filled: int = 0
    contradicted: int = 0
    missing: int = 0
    """Records without a photograph."""

    def add(self, results: "Sequence[Result]") -> None:
        for result in results:
            found = sum(map(len, result.tags.values()))
            self.images += 1
            self.suggestions += found
            self.filled += found > 0
            self.contradicted += any(result.contradictions.values())

    def sentence(self, failed: int) -> str:
        """`failed` counts those of earlier runs that the file holds, too."""
        if self.catalogued:
            done = number_of(self.images, "record")
            done += f": {self.filled:,} filled, {self.contradicted:,} contradicted"
        else:
            done = f"{number_of(self.images, 'image')}: {number_of(self.suggestions, 'suggestion')}"
        if self.missing:
            done += f"; {number_of(self.missing, 'record')} without a photograph"
        return done + (f"; {number_of(failed, 'image')} could not be tagged" if failed else "")
