"""The body of a response: in memory while it is small, then in a temporary file."""

import hashlib
import uuid
from pathlib import Path
from typing import IO, Self

from eufcc_cli.core.errors import cannot_write

IN_MEMORY = 1 << 20


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
