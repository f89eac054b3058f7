"""The ledger, data/images/images.sqlite: one row per id with the image's status and file."""

import os
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, Self

from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.images.image_formats import FILE_ENDINGS
from eufcc_cli.core.locks import hold_lock

OK = "ok"
PLACEHOLDER = "placeholder"
TEMPORARY = frozenset(("timeout", "server-error"))  # failures that may pass
FAILURES = TEMPORARY | {"missing", PLACEHOLDER, "not-image", "too-large", "refused", "blocked"}
SECONDS_BETWEEN_COMMITS = 1.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS images (
    id TEXT PRIMARY KEY NOT NULL,
    status TEXT NOT NULL,
    url TEXT, candidate TEXT, http INTEGER, reason TEXT, attempts INTEGER NOT NULL DEFAULT 0,
    path TEXT, bytes INTEGER, width INTEGER, height INTEGER, format TEXT,
    sha256 TEXT, source_sha256 TEXT, fingerprint TEXT, time TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_source ON images (source_sha256);
"""


_OUTSIDE = re.compile(r"^/|(^|/)\.\.(/|$)|[\0\\:]")


def stays_inside(path: str) -> bool:
    """False for a recorded path that does not lie below data/images."""
    return _OUTSIDE.search(path) is None


def recorded_file(images: Path, path: str) -> Path | None:
    """The file of a recorded path: below data/images, or a photograph elsewhere by its absolute path.

    A ledger is untrusted: an absolute path must have an image's ending, and no `..`.
    """
    if stays_inside(path):
        return Path(f"{images}/{path}")
    file = Path(path)
    if "\0" in path or not file.is_absolute() or ".." in file.parts:
        return None
    return file if file.suffix.lower() in FILE_ENDINGS else None


@dataclass(slots=True)
class Entry:
    """One image's row of the ledger.

    `path` is relative to data/images, or absolute for a photograph elsewhere; `sha256` is that of the file,
    `source_sha256` that of the original bytes; `fingerprint` is used by `duplicates`.
    """

    id: str
    status: str
    url: str | None = None
    candidate: str | None = None
    http: int | None = None
    reason: str | None = None
    attempts: int = 0
    path: str | None = None
    bytes: int | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    sha256: str | None = None
    source_sha256: str | None = None
    fingerprint: str | None = None
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


_COLUMNS = tuple(column.name for column in fields(Entry))
_UPSERT = f"INSERT OR REPLACE INTO images ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_values = attrgetter(*_COLUMNS)


class LedgerReader:
    """Reads a ledger (an empty one if there is no file). Writes nothing, and waits for no lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._connection = self._open()
        except sqlite3.Error as error:
            raise _unusable(path, error) from error

    def _open(self) -> sqlite3.Connection:
        if not self.path.is_file():
            connection = sqlite3.connect(":memory:")
            connection.executescript(_SCHEMA)
            return connection
        # Even to read a WAL database, SQLite writes files beside it, and fails in a read-only folder, unless
        # the database is declared immutable: it is, if no process is writing and there is no log.
        written = self.path.with_name(f"{self.path.name}-wal").exists() and os.access(
            self.path.parent, os.W_OK
        )
        mode = "mode=ro" if written else "immutable=1"
        return sqlite3.connect(f"{self.path.absolute().as_uri()}?{mode}", uri=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rows(self, query: str, values: Sequence[object] = ()) -> Iterator[Any]:
        """The rows of a query."""
        try:
            yield from self._connection.execute(query, values)
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error

    def select(self, *columns: str) -> Iterator[Any]:
        """These columns of all rows, in the order of the ids."""
        return self.rows(f"SELECT {', '.join(columns)} FROM images ORDER BY id")

    def entries(self, where: str = "1", values: Sequence[object] = ()) -> Iterator[Entry]:
        """The rows that satisfy an SQL condition, in the order of their ids."""
        query = f"SELECT {', '.join(_COLUMNS)} FROM images WHERE {where} ORDER BY id"
        return (Entry(*row) for row in self.rows(query, values))

    def mean_bytes(self) -> float | None:
        """The mean size of the stored images; None if there are none."""
        [(mean,)] = self.rows("SELECT AVG(bytes) FROM images WHERE status = ?", (OK,))
        return None if mean is None else float(mean)

    def placeholders(self) -> set[str]:
        """The digests of placeholders, except those of stored images."""
        of = "SELECT source_sha256 FROM images WHERE source_sha256 IS NOT NULL AND status = ?"
        return {digest for (digest,) in self.rows(f"{of} EXCEPT {of}", (PLACEHOLDER, OK))}

    def sent_for_many(self, digest: str, urls: int) -> bool:
        """True if at least so many different URLs returned the same body."""
        query = (
            "SELECT COUNT(*) FROM (SELECT DISTINCT url FROM images WHERE source_sha256 = ? "
            "AND status IN (?, ?) AND url IS NOT NULL LIMIT ?)"
        )
        [(count,)] = self.rows(query, (digest, OK, PLACEHOLDER, urls))
        return bool(count >= urls)

    def close(self) -> None:
        self._connection.close()


class Ledger(LedgerReader):
    """The only writer of data/images/images.sqlite; others can read at the same time.

    Rows are buffered until `commit`. If a process is killed, the next run finds the files whose rows were
    lost, and records them.
    """

    def __init__(self, path: Path) -> None:
        self._held = ExitStack()
        self._held.enter_context(
            hold_lock(path.with_suffix(".lock"), f"{path}: another `eufcc download` is writing this ledger")
        )
        try:
            super().__init__(path)
        except CollectError:
            self._held.close()
            raise
        self._waiting: list[Entry] = []
        self._committed = 0.0

    def _open(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(self.path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
        except sqlite3.OperationalError:
            # A file system without locks or shared mappings; this process holds its own lock.
            vfs = "win32-none" if os.name == "nt" else "unix-none"
            connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?vfs={vfs}", uri=True)
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # else no WAL database can be opened
            connection.execute("PRAGMA journal_mode = TRUNCATE")
            connection.execute("PRAGMA synchronous = OFF")
            connection.executescript(_SCHEMA)
        connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM images LIMIT 1")
        return connection

    def rows(self, query: str, values: Sequence[object] = ()) -> Iterator[Any]:
        """The rows of a query, buffered ones included."""
        if self._waiting:
            self.commit()
        return super().rows(query, values)

    def record(self, entry: Entry) -> None:
        """Buffer the row of an id, new or replaced, until `commit`."""
        self._waiting.append(entry)

    def record_fingerprint(self, image_id: str, fingerprint: str) -> None:
        """Add a fingerprint to an image's row."""
        try:
            self._connection.execute(
                "UPDATE images SET fingerprint = ? WHERE id = ?", (fingerprint, image_id)
            )
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error

    def commit_if_due(self) -> None:
        """Commit if the last commit is a second old."""
        if time.monotonic() - self._committed > SECONDS_BETWEEN_COMMITS:
            self.commit()

    def commit(self) -> list[Entry]:
        """Write all buffered rows; returns them."""
        written, self._waiting = self._waiting, []
        self._committed = time.monotonic()
        with self._writing():
            self._connection.executemany(_UPSERT, map(_values, written))
        return written

    def forget(self, ids: Iterable[str]) -> None:
        """Remove the rows of these ids."""
        self.commit()
        with self._writing():
            self._connection.executemany("DELETE FROM images WHERE id = ?", ((image_id,) for image_id in ids))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self._connection:
                yield
        except sqlite3.OperationalError as error:  # such as a full disk
            raise CollectError(
                f"{self.path}: cannot write: {error}",
                hint="correct this and run the same command again to resume",
            ) from error
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error

    def close(self) -> None:
        try:
            self.commit()
        finally:
            super().close()
            self._held.close()


def _unusable(path: Path, error: sqlite3.Error) -> CollectError:
    return CollectError(
        f"{path}: not a usable ledger: {error}",
        hint="move it away and run `eufcc download`, which records the existing images",
    )
