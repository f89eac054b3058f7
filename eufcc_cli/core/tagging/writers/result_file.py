"""A file of results that grows with each of them, and continues where it was interrupted."""

import json
import os
import zlib
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import sync, write_text
from eufcc_cli.core.locks import alone
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.tagger import Result
from eufcc_cli.core.tagging.writers.writer import Writer, not_ours

_AGAIN = "give that command again to finish it, or delete the file to start anew"


class ResultFile:
    """The file that `output` names; a context manager.

    The file is whole after every result. While work is under way a journal lies hidden beside it: what was
    asked for, and for each result its key, and length and checksum of the file with it. Whatever ends the
    work, the same command cuts off what the journal does not know, and goes on. Where the form has nothing
    to say of images without suggestions, a note of them stays beside the finished file, for `skip_existing`.
    Raises EufccError where the file is the unfinished result of another command.
    """

    def __init__(
        self, path: Path, writer: Writer, asked: Mapping[str, Any], *, skip_existing: bool = False
    ) -> None:
        self.path = path
        self.failed = 0
        """Results with an error, those of the interrupted runs included."""
        self._writer = writer
        self._header = json.dumps(asked, sort_keys=True) + "\n"
        self._skip_existing = skip_existing
        # Counted, since an input may come several times: each has a result of its own.
        self._done: Counter[str] = Counter()
        self._existing: set[str] = set()
        self._unsaid: set[str] = set()  # the keys of results that the file says nothing of
        self._journal_path = path.with_name(f".{path.name}.unfinished")
        self._unsaid_path = path.with_name(f".{path.name}.unsaid")
        self._lock = path.with_name(f".{path.name}.lock")
        self._held = ExitStack()
        self._length = 0  # of the file without its tail
        self._checksum = 0  # of so much of it
        self._empty = True

    def __enter__(self) -> Self:
        if self.path.exists() and not self.path.is_file():
            raise EufccError(
                f"`output` {self.path}: cannot write: it is no file",
                hint="name one, or leave `output` out for a pipe",
            )
        self._held.enter_context(
            alone(self._lock, f"`output` {self.path}: another `eufcc tag` is writing it")
        )
        try:
            if self._journal_path.is_file() and self.path.is_file():
                self._resume()
            elif self._skip_existing and self.path.is_file():
                self._append()
            else:
                self._begin()
        except (OSError, UnicodeDecodeError) as error:
            self._unlock()
            raise self._cannot(error) from error
        except BaseException:
            self._unlock()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with self._file, self._journal:
                if kind is None:
                    sync(self._file)
                    self._note_unsaid()
            if kind is None:
                self._journal_path.unlink(missing_ok=True)
        except OSError as error:
            raise self._cannot(error) from error
        finally:
            self._unlock()

    def _unlock(self) -> None:
        self._held.close()
        with suppress(OSError):  # another may have it open by now
            self._lock.unlink(missing_ok=True)

    def has(self, item: Input) -> bool:
        """True for an input whose result the file already holds; asked once for each input, in order."""
        key = self._writer.key(item)
        self._done[key] -= 1
        return key in self._existing or self._done[key] >= 0

    def write(self, result: Result) -> None:
        """Add a result. Raises EufccError where the file cannot grow; it then holds all results before."""
        text = self._writer.text(result)
        if text and not self._empty:
            text = self._writer.separator + text
        length, checksum = self._length, self._checksum
        failed = result.error is not None
        try:
            if text:
                self._put(text)
            self._note(self._writer.key(result.input), failed, unsaid=not text and not failed)
        except OSError as error:
            self._cut(length, checksum)
            raise self._cannot(error) from error
        self._empty = self._empty and not text
        self.failed += failed

    def _begin(self) -> None:
        write_text(self._journal_path, self._header)
        self._unsaid_path.unlink(missing_ok=True)
        self._file = self.path.open("wb", buffering=0)
        self._open_journal()
        self._put(self._writer.head)
        self._note(None, False)

    def _append(self) -> None:
        """Go on behind the results of a finished file."""
        self._existing = self._writer.existing(self.path)
        self._empty = not self._existing
        self._file = self.path.open("r+b", buffering=0)
        content, tail = self._file.readall(), self._writer.tail.encode()
        if not content.endswith(tail):
            raise not_ours(self.path, "a finished result", "its end is missing")
        if not tail and content and not content.endswith(b"\n"):  # an editor may have cut it off
            content += b"\n"
            self._file.write(b"\n")
        self._length = len(content) - len(tail)
        self._checksum = zlib.crc32(content[: self._length])
        unsaid = self._read_unsaid()
        known = [self._entry(key, False) for key in (None, *sorted(self._existing))]
        known += [self._entry(key, False, unsaid=True) for key in sorted(unsaid)]
        self._existing |= unsaid
        self._unsaid |= unsaid
        write_text(self._journal_path, self._header + "".join(known))
        self._open_journal()

    def _resume(self) -> None:
        """Go on behind the last result that the journal knows and the file holds."""
        self._file = self.path.open("r+b", buffering=0)
        length = checksum = 0
        with self._journal_path.open("rb") as journal, self.path.open("rb") as content:
            if journal.readline() != self._header.encode():
                raise EufccError(
                    f"`output` {self.path}: the unfinished result of another command", hint=_AGAIN
                )
            known = journal.tell()
            for line in journal:
                entry = _parsed(line)
                if entry is None:
                    break
                following = zlib.crc32(content.read(entry["length"] - length), checksum)
                if following != entry["checksum"]:
                    break
                length, checksum, known = entry["length"], following, known + len(line)
                if entry["key"] is not None:
                    self._done[entry["key"]] += 1
                    self.failed += entry["failed"]
                    if entry.get("unsaid"):
                        self._unsaid.add(entry["key"])
        if not length and self._writer.head:  # not even that was written
            self._file.close()
            self._begin()
            return
        self._empty = length == len(self._writer.head.encode())
        os.truncate(self._journal_path, known)
        self._open_journal()
        self._cut(length, checksum)

    def _open_journal(self) -> None:
        self._journal = self._journal_path.open("ab", buffering=0)

    def _put(self, text: str) -> None:
        """Write over the tail, and a new tail behind, so that the file is whole again."""
        content = text.encode()
        self._file.seek(self._length)
        whole = memoryview(content + self._writer.tail.encode())
        while whole:
            whole = whole[self._file.write(whole) :]
        self._length += len(content)
        self._checksum = zlib.crc32(content, self._checksum)

    def _cut(self, length: int, checksum: int) -> None:
        """Forget what stands behind the first `length` bytes."""
        self._file.seek(length)
        self._file.truncate()
        self._length, self._checksum = length, checksum
        self._put("")

    def _note(self, key: str | None, failed: bool, *, unsaid: bool = False) -> None:
        self._journal.write(self._entry(key, failed, unsaid=unsaid).encode())
        if unsaid and key is not None:
            self._unsaid.add(key)

    def _entry(self, key: str | None, failed: bool, *, unsaid: bool = False) -> str:
        place = {"length": self._length, "checksum": self._checksum}
        return json.dumps({"key": key, **place, "failed": failed, "unsaid": unsaid}) + "\n"

    def _note_unsaid(self) -> None:
        if self._unsaid:
            note = {"checksum": self._checksum, "keys": sorted(self._unsaid)}
            write_text(self._unsaid_path, json.dumps(note))
        else:
            self._unsaid_path.unlink(missing_ok=True)

    def _read_unsaid(self) -> set[str]:
        """What the finished file says nothing of; empty where it is another file by now."""
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            note = json.loads(self._unsaid_path.read_bytes())
            if note["checksum"] == self._checksum:
                return set(note["keys"])
        return set()

    def _cannot(self, error: Exception) -> EufccError:
        reason = getattr(error, "strerror", None) or error
        return EufccError(
            f"`output` {self.path}: cannot write: {reason}",
            hint="free some space or choose another file; the same command goes on where it stopped",
        )


def _parsed(line: bytes) -> dict[str, Any] | None:
    """An entry of the journal; None where it is torn."""
    try:
        return json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
