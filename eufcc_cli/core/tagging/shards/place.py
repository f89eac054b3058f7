"""Where shards are written and read: a folder, or an address that fsspec knows (s3://, gs://, memory://)."""

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from eufcc_cli.core.errors import CollectError, DataError, EufccError
from eufcc_cli.core.files import write_bytes
from eufcc_cli.core.tagging.inputs import is_url


def is_store(address: str) -> bool:
    """True for an address of an object store, or of anything else that fsspec reads; http stays polite.

    >>> is_store("s3://bucket/scans"), is_store("https://example.org/a.jpg"), is_store("scans")
    (True, False, False)
    """
    return is_url(address) and not address.lower().startswith(("http://", "https://", "ftp://", "file://"))


def file_system(address: str) -> tuple[Any, str]:
    """The file system of a path or address, and the path in it.

    Raises EufccError where the library that reads such addresses is not installed.
    """
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise EufccError(
            f"{address}: {error}", hint='install what reads it: `pip install "eufcc[cloud]"`'
        ) from error
    except ValueError as error:
        raise EufccError(f"{address}: {error}", hint="give a folder, or a URL like s3://…") from error
    return system, path.rstrip("/")


@contextmanager
def store_errors(address: str) -> Iterator[None]:
    """Turn whatever a store raises into an error that names the address."""
    try:
        yield
    except EufccError:
        raise
    except Exception as error:  # every store has its own
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise CollectError(
            f"{address}: {reason}", hint="check its name, permissions and free space, then run it again"
        ) from error


def copied(address: str, folder: Path) -> Path:
    """A copy in a folder of what `evaluate` reads from a store: a file, or the results of a job in shards.

    Raises EufccError where there is neither.
    """
    system, path = file_system(address)
    target = folder / posixpath.basename(path)
    with store_errors(address):
        if system.isfile(path):
            system.get_file(path, str(target))
            return target
    place = Place(address)
    names = [name for name in place.names("") if name.startswith(("part-", "_plan."))]
    if not names:
        raise DataError(
            f"{address}: no predictions there", hint="give a file, or what `tag --shard-size` wrote"
        )
    target.mkdir(exist_ok=True)
    for name in names:
        (target / name).write_bytes(place.read(name) or b"")
    return target


class Place:
    """A folder, local or in a store, whose files are complete or absent."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._system, self._base = file_system(address)
        self._local = not is_store(address)

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all; an existing one is replaced."""
        path = self._path(name)
        if self._local:
            write_bytes(Path(path), content)
            return
        with store_errors(f"{self.address}/{name}"):
            self._system.pipe_file(path, content)  # one request: a store shows it whole or not at all

    def read(self, name: str) -> bytes | None:
        """A file's content, None where there is none."""
        with store_errors(f"{self.address}/{name}"):
            try:
                content: bytes = self._system.cat_file(self._path(name))
            except FileNotFoundError:
                return None
            return content

    def delete(self, name: str) -> None:
        """Delete a file, if there is one."""
        with store_errors(f"{self.address}/{name}"), suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))

    def clear_unfinished(self) -> None:
        """Delete the unfinished files of killed writers; only when no process writes here."""
        if self._local:
            for pattern in (".*.part", "*/.*.part"):
                for path in Path(self.address).glob(pattern):
                    path.unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        """The names of the finished files in a folder, in order."""
        self._system.invalidate_cache()
        with store_errors(f"{self.address}/{folder}"):
            try:
                found = self._system.ls(self._path(folder), detail=False)
            except FileNotFoundError:
                return []
        names = (posixpath.basename(str(path).rstrip("/").replace("\\", "/")) for path in found)
        return sorted(name for name in names if name and not name.startswith("."))

    def _path(self, name: str) -> str:
        return f"{self._base}/{name}"
