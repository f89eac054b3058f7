"""A packed, memory-mapped file of decoded images, built once and trained from as often as one likes."""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from eufcc_cli.core.errors import ImageError, ModelError
from eufcc_cli.core.files import Root, write_text
from eufcc_cli.core.model.dataset import Split, as_images
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.progress import SILENT, Progress

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
    so that other images or another size make another file; older caches of the split are removed.
    Raises ModelError where the disk has no room.
    """
    folder = root.data / "cache"
    key = _key(split, preprocessing)
    path, state = folder / f"{split.name}-{key}.npy", folder / f"{split.name}-{key}.json"
    shape = (len(split), preprocessing.stored, preprocessing.stored, 3)
    done, bad = 0, {}
    if path.is_file() and state.is_file():
        with contextlib.suppress(ValueError, KeyError, OSError):  # a torn note: begin again
            noted = json.loads(state.read_text(encoding="utf-8"))
            done, bad = noted["done"], {int(row): reason for row, reason in noted["bad"].items()}
    if done < len(split):
        folder.mkdir(parents=True, exist_ok=True)
        _remove_older(folder, split.name, keep=key)
        if done == 0:
            _refuse_full_disk(folder, cache_bytes(split, preprocessing))
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
    return CachedSquares(np.load(path, mmap_mode="r"), bad)


def _key(split: Split, preprocessing: Preprocessing) -> str:
    digest = hashlib.sha256(json.dumps(preprocessing.to_json(), sort_keys=True).encode())
    for file in split.files:
        found = file.stat()
        digest.update(f"{file}\0{found.st_size}\0{found.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _remove_older(folder: Path, split: str, keep: str) -> None:
    for old in folder.glob(f"{split}-*"):
        if old.stem != f"{split}-{keep}":
            old.unlink(missing_ok=True)


def _refuse_full_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ModelError(
            f"--cache: {needed / 1e9:.1f} GB needed in {folder}, {free / 1e9:.1f} GB free",
            hint="free some space, or train without --cache",
        )
