"""Where `eufcc tag` puts its results: the screen, a pipe, a file, sidecars beside the images."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from eufcc_cli import console
from eufcc_cli.core.errors import EufccError, ImageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from eufcc_cli.core.tagging.inputs import Input
    from eufcc_cli.core.tagging.tagger import Result
    from eufcc_cli.core.tagging.writers.result_file import ResultFile
    from eufcc_cli.core.tagging.writers.writer import Writer


class Sink(Protocol):
    """Takes results one by one."""

    @property
    def failed(self) -> int:
        """Images without suggestions so far."""

    def wants(self, item: "Input") -> bool:
        """False for an input that has its result already; asked before its image is opened."""

    def write(self, result: "Result") -> None: ...

    def finish(self) -> None: ...


class Screen:
    """Draws every result on the terminal."""

    def __init__(self, draw: Callable[["Result"], "RenderableType"]) -> None:
        self.failed = 0
        self._draw = draw

    def wants(self, item: "Input") -> bool:
        return True

    def write(self, result: "Result") -> None:
        console.out.print(self._draw(result))
        self.failed += result.error is not None

    def finish(self) -> None:
        pass


class Pipe:
    """Writes every result to standard output at once, for the next program."""

    def __init__(self, writer: "Writer") -> None:
        self.failed = 0
        self._writer = writer
        self._head = writer.head
        self._separator = ""

    def wants(self, item: "Input") -> bool:
        return True

    def write(self, result: "Result") -> None:
        if text := self._writer.text(result):
            self._put(self._head + self._separator + text)
            self._head, self._separator = "", self._writer.separator
        self.failed += result.error is not None
        _tell(self._writer, result)

    def finish(self) -> None:
        self._put(self._head + self._writer.tail)

    def _put(self, text: str) -> None:
        console.write(text)


class File:
    """Writes results to a file that an interrupted run continues."""

    def __init__(self, file: "ResultFile", writer: "Writer") -> None:
        self._file = file
        self._writer = writer

    @property
    def failed(self) -> int:
        return self._file.failed

    def wants(self, item: "Input") -> bool:
        return not self._file.has(item)

    def write(self, result: "Result") -> None:
        self._file.write(result)
        _tell(self._writer, result)

    def finish(self) -> None:
        pass


class Sidecars:
    """Writes an XMP file for each image, and its path to standard output.

    One that the same command wrote before stays, so that an interrupted run goes on.
    """

    def __init__(self, folder: Path | None, skip_existing: bool, creator: str, date: str) -> None:
        self.failed = 0
        self._folder = folder
        self._skip_existing = skip_existing
        self._creator = creator
        self._date = date

    def wants(self, item: "Input") -> bool:
        from eufcc_cli.core.tagging.writers.sidecar import is_current, is_ours, sidecar_path

        try:
            path = sidecar_path(item, self._folder)
            if not os.path.lexists(path):
                return True
            if not is_ours(path):
                raise ImageError(f"{path} is another program's: move it, or give --output FOLDER")
        except ImageError as error:
            self._fail(item, str(error))
            return False
        return not (self._skip_existing or is_current(path, item, self._creator))

    def write(self, result: "Result") -> None:
        from eufcc_cli.core.tagging.writers.sidecar import sidecar_path, write_sidecar

        if result.error is not None:
            self._fail(result.input, result.error)
            return
        path = sidecar_path(result.input, self._folder)
        try:
            write_sidecar(path, result, self._creator, self._date)
        except EufccError as error:
            if getattr(error.__cause__, "errno", None) != errno.ENAMETOOLONG:
                raise
            self._fail(result.input, str(error))
            return
        _tell_contradictions(result)
        console.line(str(path))

    def finish(self) -> None:
        pass

    def _fail(self, item: "Input", reason: str) -> None:
        self.failed += 1
        console.warn(f"{item.name}: {reason}")


def _tell(writer: "Writer", result: "Result") -> None:
    """What a form has no place for is told on standard error."""
    if writer.tells_all:
        return
    if result.error is not None:
        console.warn(f"{result.input.name}: {result.error}")
    _tell_contradictions(result)


def _tell_contradictions(result: "Result") -> None:
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

    def add(self, result: "Result") -> None:
        found = sum(map(len, result.tags.values()))
        self.images += 1
        self.suggestions += found
        self.filled += found > 0
        self.contradicted += any(result.contradictions.values())

    def sentence(self, failed: int) -> str:
        """`failed` counts those of earlier runs that the file holds, too."""
        if self.catalogued:
            told = f"{self.images:,} records: {self.filled:,} filled, {self.contradicted:,} contradicted"
        else:
            told = f"{self.images:,} images: {self.suggestions:,} suggestions"
        return told + (f"; {failed:,} image{'s' if failed > 1 else ''} could not be tagged" if failed else "")
