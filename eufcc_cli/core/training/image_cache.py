"""A packed, memory-mapped file of decoded images, built once and trained from as often as one likes."""

import contextlib
import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from filelock import FileLock
from torch import Tensor

from eufcc_cli.core.errors import ImageError, ModelError
from eufcc_cli.core.files import Root, write_text
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.training.data import Split, as_images

AUTO_LIMIT = 4 << 30
"""Bytes up to which a cache is made without being asked for."""
_CHUNK = 512  # images between two notes of how far an interrupted cache has come


def cache_bytes(split: Split, preprocessing: Preprocessing) -> int:
    """Size on disk of a split's cache, in bytes."""
    return len(split) * preprocessing.stored**2 * 3


@dataclass
class CachedSquares:
    """Stored squares of a split in one memory-mapped array, uint8 [images, stored, stored, 3]."""

    array: np.ndarray
    bad: dict[int, str]
    held: BinaryIO | None = None
    """The open file, locked so that no other training removes it."""

    def batches(self, order: Iterable[np.ndarray], epoch: int = 0) -> Iterator[tuple[Tensor, np.ndarray]]:
        for rows in order:
            kept = np.flatnonzero(~np.isin(rows, list(self.bad)))
            yield as_images(self.array[rows[kept]]), kept


def build_cache(
    root: Root,
    split: Split,
    preprocessing: Preprocessing,
    progress: Progress = SILENT,
    workers: int | None = None,
) -> CachedSquares:
    """Open the cache of a split, building what is not there yet; an interrupted build goes on.

    The file is named by a digest of the images (path, size, time of change) and of the preprocessing,
    so that other images or another size make another file; older caches of the split that no training uses
    are removed. Who comes while another training builds a cache of the split waits for it.
    Raises ModelError where the disk has no room.
    """
    folder = root.data / "cache"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{split.name}-{_key(split, preprocessing)}.npy"
    with FileLock(folder / f"{split.name}.lock"):
        bad = _filled(path, split, preprocessing, progress, workers)
        held = path.open("rb")
        fcntl.flock(held, fcntl.LOCK_SH)
    return CachedSquares(np.load(path, mmap_mode="r"), bad, held)


def _filled(
    path: Path, split: Split, preprocessing: Preprocessing, progress: Progress, workers: int | None
) -> dict[int, str]:
    """Fill a cache from where its last build came to; the rows that cannot be read, with their reasons."""
    state = path.with_suffix(".json")
    shape = (len(split), preprocessing.stored, preprocessing.stored, 3)
    done, bad = 0, {}
    if path.is_file() and state.is_file():
        with contextlib.suppress(ValueError, KeyError, OSError):  # a torn note: begin again
            noted = json.loads(state.read_text(encoding="utf-8"))
            done, bad = noted["done"], {int(row): reason for row, reason in noted["bad"].items()}
    if done == len(split):
        return bad
    _remove_older(path, split.name)
    if done == 0:
        _refuse_full_disk(path.parent, cache_bytes(split, preprocessing))
    array = np.lib.format.open_memmap(path, mode="r+" if done else "w+", dtype=np.uint8, shape=shape)

    def fill(row: int) -> str | None:
        try:
            array[row] = preprocessing.load(split.files[row])
        except ImageError as error:
            return str(error)
        return None

    with (
        progress.task(f"packing the images of {split.name}", len(split)) as task,
        ThreadPoolExecutor(workers) as pool,
    ):
        task.advance(done)
        for start in range(done, len(split), _CHUNK):
            rows = range(start, min(start + _CHUNK, len(split)))
            for row, reason in zip(rows, pool.map(fill, rows), strict=True):
                if reason:
                    bad[row] = reason
                task.advance()
            array.flush()
            write_text(state, json.dumps({"done": rows.stop, "bad": bad}))
    return bad


def _key(split: Split, preprocessing: Preprocessing) -> str:
    digest = hashlib.sha256(json.dumps(preprocessing.to_json(), sort_keys=True).encode())
    for file in split.files:
        try:
            found = file.stat()
            state = f"{found.st_size}\0{found.st_mtime_ns}"
        except OSError:  # the ledger knows it, but it is gone
            state = "unreadable"
        digest.update(f"{file}\0{state}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _remove_older(path: Path, split: str) -> None:
    for old in path.parent.glob(f"{split}-*.npy"):
        if old == path:
            continue
        with old.open("rb") as file, contextlib.suppress(BlockingIOError):  # raised where it is in use
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            old.unlink()
            old.with_suffix(".json").unlink(missing_ok=True)


def _refuse_full_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ModelError(
            f"--cache: {needed / 1e9:.1f} GB needed in {folder}, {free / 1e9:.1f} GB free",
            hint="free some space, or train without --cache",
        )
