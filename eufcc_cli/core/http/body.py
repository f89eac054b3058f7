"""The body of a response: read and decompressed; in memory while it is small, then in a temporary file."""

import hashlib
import uuid
import zlib
from pathlib import Path
from typing import IO, Protocol, Self

import httpcore
import httpx

from eufcc_cli.core.errors import cannot_write
from eufcc_cli.core.http.politeness import FetchError

IN_MEMORY = 1 << 20
_GZIP = b"\x1f\x8b"


class Sink(Protocol):
    """What a body is written to, piece by piece."""

    def write(self, piece: bytes, /) -> object: ...


async def read_body(response: httpcore.Response, headers: httpx.Headers, sink: Sink, max_bytes: int) -> None:
    """Write the decoded body, never more than `max_bytes`, however small it was when compressed."""
    too_large = FetchError("too-large", f"more than {max_bytes:,} bytes", http=response.status)
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise too_large
    encoding = headers.get("content-encoding", "").lower()
    inflate = zlib.decompressobj(47) if encoding in ("gzip", "x-gzip", "deflate") else None
    received = written = 0
    async for chunk in response.aiter_stream():
        received += len(chunk)
        if received > max_bytes:
            raise too_large
        if inflate is None:
            sink.write(chunk)
            continue
        while chunk:
            if inflate.eof:
                if not chunk.startswith(_GZIP):
                    return  # what follows the end is not part of the body
                inflate = zlib.decompressobj(47)
            piece = inflate.decompress(chunk, max_bytes - written + 1)
            written += len(piece)
            if written > max_bytes:
                raise too_large
            sink.write(piece)
            chunk = inflate.unused_data
    if received and inflate is not None and not inflate.eof:
        raise zlib.error("it ends too early")


class Spool:
    """Receives a body in pieces; as a context manager it removes its temporary file.

    The file is in `folder`; a later run recognises it as partial by its name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pieces: list[bytes] = []
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, piece: bytes) -> None:
        """Add a piece. Raises EufccError if the temporary file cannot be written."""
        self.size += len(piece)
        self._hash.update(piece)
        if self._file is None and self.size <= IN_MEMORY:
            self._pieces.append(piece)
            return
        try:
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                # With the permissions of the user's umask, since it becomes the image's file.
                self._file = (self._folder / f".{uuid.uuid4().hex}.part").open("xb")
                self._file.writelines(self._pieces)
                self._pieces.clear()
            self._file.write(piece)
        except OSError as error:
            raise cannot_write(self._folder, error) from error

    def sha256(self) -> str:
        return self._hash.hexdigest()

    def content(self) -> bytes | Path:
        """All of it, as bytes or as a file."""
        if self._file is None:
            return b"".join(self._pieces)
        self._file.flush()
        return Path(self._file.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)
