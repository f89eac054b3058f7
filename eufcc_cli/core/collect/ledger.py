"""What happened to every image: one row per id in data/images/images.sqlite, and where the files are."""

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import Self

from filelock import FileLock, Timeout

from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.files import Root, image_id_of

OK = "ok"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS images (
    id TEXT PRIMARY KEY NOT NULL,
    status TEXT NOT NULL,
    url TEXT, rung TEXT, http INTEGER, reason TEXT, attempts INTEGER NOT NULL DEFAULT 0,
    path TEXT, bytes INTEGER, width INTEGER, height INTEGER, format TEXT, sha256 TEXT, time TEXT NOT NULL
) WITHOUT ROWID
"""


def find_images(root: Root, ids: Iterable[str] | None = None) -> dict[str, Path]:
    """The image file of every id (or of these ids, where there is one).

    The ledger knows; where there is none, the files below data/images tell, and where there are none
    either, ROOT/images/ID.* (a collection that came with its pictures). Never a path outside these folders.
    """
    found = _recorded(root) if root.ledger.is_file() else scan_images(root) or scan_flat_images(root)
    if ids is None:
        return found
    return {image_id: found[image_id] for image_id in ids if image_id in found}


def _recorded(root: Root) -> dict[str, Path]:
    folder = str(root.images)
    query = "SELECT id, path FROM images WHERE status = ? AND path IS NOT NULL"
    try:
        with closing(sqlite3.connect(f"{root.ledger.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(query, (OK,))
            return {image_id: Path(f"{folder}/{path}") for image_id, path in rows if _stays_inside(path)}
    except sqlite3.Error as error:
        raise _unusable(root.ledger, error) from error


def _stays_inside(path: str) -> bool:
    return not (path.startswith("/") or ".." in path.split("/") or any(sign in path for sign in "\0\\:"))


def scan_images(root: Root) -> dict[str, Path]:
    """The images below data/images, by the places that `image_stem` gives them; links are not followed."""
    found = {}
    for path in _files(root.images):
        relative = PurePosixPath(path.relative_to(root.images).as_posix())
        if len(relative.parts) > 1 and not relative.name.startswith("."):
            found[image_id_of(relative)] = path
    return found


def scan_flat_images(root: Root) -> dict[str, Path]:
    """The images of ROOT/images, named by their ids."""
    try:
        with os.scandir(root.path / "images") as entries:
            files = [Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return {path.stem: path for path in sorted(files) if not path.name.startswith(".")}


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                yield path


@dataclass(slots=True)
class Entry:
    """What happened to one image: a row of the ledger. `path` is relative to data/images."""

    id: str
    status: str
    url: str | None = None
    rung: str | None = None
    http: int | None = None
    reason: str | None = None
    attempts: int = 0
    path: str | None = None
    bytes: int | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    sha256: str | None = None
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


_COLUMNS = tuple(column.name for column in fields(Entry))
_UPSERT = f"INSERT OR REPLACE INTO images ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_values = attrgetter(*_COLUMNS)


class Ledger:
    """The one writer of data/images/images.sqlite; others may read meanwhile.

    Rows gather until `commit` (which `record` calls once a second), so that what a killed process loses
    is the row of a file that is already in its place: the next run finds it there and adopts it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = FileLock(path.with_suffix(".lock"))
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise CollectError(
                f"{path}: another `eufcc download` is writing this ledger", hint="let it finish, or end it"
            ) from None
        try:
            self._connection = sqlite3.connect(path)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(_SCHEMA)
            self._connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM images LIMIT 1")
        except sqlite3.Error as error:
            self._lock.release()
            raise _unusable(path, error) from error
        self._waiting: list[Entry] = []
        self._committed = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def record(self, entry: Entry) -> None:
        """Write or replace the row of an id."""
        self._waiting.append(entry)
        if time.monotonic() - self._committed > 1.0:
            self.commit()

    def forget(self, ids: Iterable[str]) -> None:
        """Remove the rows of these ids."""
        self.commit()
        with self._connection:
            self._connection.executemany("DELETE FROM images WHERE id = ?", ((image_id,) for image_id in ids))

    def commit(self) -> None:
        """Make everything recorded so far last."""
        try:
            with self._connection:
                self._connection.executemany(_UPSERT, map(_values, self._waiting))
        except sqlite3.Error as error:
            raise CollectError(
                f"{self.path}: cannot write: {error}",
                hint="free some space and give the same command again; it continues where it stopped",
            ) from error
        self._waiting.clear()
        self._committed = time.monotonic()

    def entries(self) -> Iterator[Entry]:
        """All rows, in the order of their ids."""
        self.commit()
        for row in self._connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM images ORDER BY id"):
            yield Entry(*row)

    def close(self) -> None:
        try:
            self.commit()
        finally:
            self._connection.close()
            self._lock.release()


def _unusable(path: Path, error: sqlite3.Error) -> CollectError:
    return CollectError(
        f"{path}: not a usable ledger: {error}",
        hint="move it away and run `eufcc download`: the images that are there are found again",
    )
