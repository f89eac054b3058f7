"""The origins of files, noted before they are stored: a killed process may not have written the ledger."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

FOUND = "found"  # the candidate of a file that was not downloaded
_ENDING = ".origins"


@dataclass(frozen=True)
class Origin:
    """An image's id, the candidate and URL of its body, and the body's SHA-256."""

    id: str
    candidate: str
    url: str | None
    source_sha256: str | None


def note(folder: Path, origin: Origin) -> None:
    """Append an origin to this process's file in the folder; raises OSError if it cannot be written."""
    _file(folder, os.getpid()).write(json.dumps(list(vars(origin).values())).encode() + b"\n")


@lru_cache(maxsize=1)
def _file(folder: Path, process: int) -> BinaryIO:
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / f".{process}{_ENDING}").open("ab", buffering=0)


def read(folder: Path) -> dict[str, Origin]:
    """The latest noted origin of every id."""
    return {
        origin.id: origin
        for path in sorted(_files(folder), key=lambda path: path.stat().st_mtime)
        for origin in _lines(path)
    }


def _lines(path: Path) -> Iterator[Origin]:
    for line in path.read_bytes().splitlines():
        try:
            yield Origin(*json.loads(line))
        except (ValueError, TypeError):  # incomplete
            continue


def clear(folder: Path) -> None:
    """Remove the notes after the ledger is written."""
    for path in _files(folder):
        path.unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[Path]:
    return folder.glob(f".*{_ENDING}")
