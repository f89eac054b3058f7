"""The file that `output` names: results are saved as they come, and an interrupted run continues."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import atomic_open, sync, write_text
from eufcc_cli.core.locks import hold_lock
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.tagger import Result
from eufcc_cli.core.tagging.writers.lines import JsonLines, from_json, to_json
from eufcc_cli.core.tagging.writers.writer import Writer, other_format


class ResultFile:
    """A context manager that takes results as they come, each once.

    JSON lines are written to the file itself; another format is written whole at the end, from the JSON lines
    in FILE.unfinished.jsonl. The options are saved in .FILE.unfinished until the work is done: the same
    command then continues after the last whole line. With `skip_existing`, a finished file is continued too.
    Raises EufccError where the file cannot be written or is the unfinished result of another command.
    """

    def __init__(
        self, path: Path, writer: Writer, asked: Mapping[str, Any], *, skip_existing: bool = False
    ) -> None:
        self.path = path
        self.failed = 0
        """Results with an error, those of the interrupted runs included."""
        self._writer = writer
        self._in_place = type(writer) is JsonLines
        self._lines = path if self._in_place else path.with_name(f"{path.name}.unfinished.jsonl")
        self._note = path.with_name(f".{path.name}.unfinished")
        self._lock = path.with_name(f".{path.name}.lock")
        self._asked = json.dumps({**asked, "skip_existing": skip_existing}, sort_keys=True)
        self._skip_existing = skip_existing
        self._existing: set[str] = set()
        self._done: Counter[str] = Counter()  # an input may come several times: each has its own result
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if self.path.exists() and not self.path.is_file():
            raise EufccError(
                f"`output` {self.path}: cannot write: it is not a file",
                hint="name one, or leave `output` out to write to standard output",
            )
        with ExitStack() as stack:
            released = stack.enter_context(ExitStack())
            stack.enter_context(
                hold_lock(self._lock, f"`output` {self.path}: another `eufcc tag` is writing it")
            )
            released.callback(self._lock.unlink, missing_ok=True)
            try:
                self._file = stack.enter_context(self._open())
            except (OSError, UnicodeDecodeError) as error:
                raise self._cannot_write(error) from error
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is None:
                self._finish()

    def has(self, item: Input) -> bool:
        """True for an input whose result is in the file; call it once for each input, in order."""
        key = self._writer.key(item)
        if self._done[key] > 0:
            self._done[key] -= 1
            return True
        return key in self._existing

    def write(self, *results: Result) -> None:
        """Add results. Raises EufccError if the file cannot grow; all earlier results stay in it."""
        lines = "".join(map(self._writer.text if self._in_place else to_json, results))
        end = self._file.tell()
        try:
            rest = memoryview(lines.encode())
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._file.truncate(end)
            raise self._cannot_write(error) from error
        self.failed += sum(result.error is not None for result in results)

    def _open(self) -> IO[bytes]:
        """Open the JSON lines at the position where the work continues."""
        resumes = self._note.is_file()
        if resumes and self._note.read_text(encoding="utf-8") != self._asked:
            raise EufccError(
                f"`output` {self.path}: the unfinished result of another command",
                hint=f"run that command again to finish it, or delete {self._note} to start over",
            )
        appends = self._skip_existing and self.path.is_file()
        if appends and not self._in_place:
            self._existing = self._writer.existing(self.path)
            with self.path.open("rb") as finished:
                if not finished.read().endswith(self._writer.tail.encode()):
                    raise other_format(self.path, "a finished result", "its end is missing")
        if not resumes and not (appends and self._in_place):
            self._lines.unlink(missing_ok=True)
        self._lines.touch()
        file = self._lines.open("r+b", buffering=0)
        try:
            file.seek(self._read(file, strict=not resumes))
            file.truncate()
            write_text(self._note, self._asked)
        except BaseException:
            file.close()
            raise
        if not resumes:
            self.failed = 0  # failures of the finished file are not counted again
        return file

    def _read(self, file: IO[bytes], *, strict: bool) -> int:
        """Count the results in the file; returns the length of its complete lines."""
        length = 0
        with self._lines.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.isspace():
                    length += len(line)
                    continue
                try:
                    result = from_json(json.loads(line.decode()))
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    if strict:
                        raise other_format(self.path, JsonLines.form, f"line {number}: {error}") from error
                    break  # a kill or a lost power may have torn it
                self._done[self._writer.key(result.input)] += 1
                self.failed += result.error is not None
                length += len(line)
                if not line.endswith(b"\n"):  # an editor, or a kill, may have cut it off
                    file.seek(length)
                    return length + file.write(b"\n")
        return length

    def _finish(self) -> None:
        try:
            sync(self._file)
            self._file.close()  # Windows removes no file that is open
            if not self._in_place:
                with atomic_open(self.path) as file:
                    self._write_format(file)
            self._note.unlink(missing_ok=True)
            if not self._in_place:
                self._lines.unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _write_format(self, file: IO[bytes]) -> None:
        """Write head, texts and tail; after the content of a finished file, if there is one."""
        separator, tail = self._writer.separator.encode(), self._writer.tail.encode()
        if self._skip_existing and self.path.is_file():
            content = self.path.read_bytes().removesuffix(tail)
            file.write(content)
            if not tail and content and not content.endswith(b"\n"):  # an editor may have cut it off
                file.write(b"\n")
        else:
            file.write(self._writer.head.encode())
        is_first = not self._existing
        for text in self._texts():
            file.write(text if is_first else separator + text)
            is_first = False
        file.write(tail)

    def _texts(self) -> Iterator[bytes]:
        with self._lines.open("rb") as lines:
            for line in lines:
                result = from_json(json.loads(line))
                if self._writer.key(result.input) not in self._existing and (
                    text := self._writer.text(result)
                ):
                    yield text.encode()

    def _cannot_write(self, error: Exception) -> EufccError:
        reason = getattr(error, "strerror", None) or error
        return EufccError(
            f"`output` {self.path}: cannot write: {reason}",
            hint="free some space or choose another file; run it again to resume",
        )
