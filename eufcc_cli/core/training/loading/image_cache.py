"""A packed, memory-mapped file of decoded images, built once for all trainings on them."""

import contextlib
import hashlib
import json
import os
import shutil
import uuid
import weakref
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from eufcc_cli.core.errors import ImageError, ModelError
from eufcc_cli.core.files import Root, write_text
from eufcc_cli.core.images.decode import max_pixels
from eufcc_cli.core.locks import hold_lock, is_held
from eufcc_cli.core.model.preprocessing import Preprocessing
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.training.loading.data import Split, as_images

AUTO_LIMIT = 4 << 30
"""Bytes up to which a cache is built by default."""
_CHUNK = 512  # images between two saves of the position, from which an interrupted build resumes


def cache_bytes(split: Split, preprocessing: Preprocessing) -> int:
    """Size on disk of a split's cache, in bytes."""
    return len(split) * preprocessing.stored**2 * 3


@dataclass
class CachedImageLoader:
    """Loads a split's images from one memory-mapped array, uint8 [images, stored, stored, 3]."""

    array: np.ndarray
    bad: dict[int, str]
    held: contextlib.ExitStack | None = None
    """A lock, held while this object exists: no other training removes the file."""

    def __post_init__(self) -> None:
        if self.held is not None:
            weakref.finalize(self, self.held.close)

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
) -> CachedImageLoader:
    """Open the cache of a split, building what is missing; an interrupted build is resumed.

    The file is named by a digest of the images (path, size, time of change) and of the preprocessing,
    so that other images or another size make another file; older caches of the split that no training uses
    are removed. While another training builds a cache of the split, this waits for it.
    Raises ModelError where the disk has no room.
    """
    folder = root.data / "cache"
    path = folder / f"{split.name}-{_key(split, preprocessing)}.npy"
    held = contextlib.ExitStack()
    busy = f"{folder}: another training packs the images of {split.name}"
    with hold_lock(folder / f"{split.name}.lock", busy, wait=True):
        bad = _filled(path, split, preprocessing, progress, workers)
        use = path.with_name(f"{path.stem}.{uuid.uuid4().hex}.use")
        held.callback(use.unlink, missing_ok=True)
        held.enter_context(hold_lock(use, f"{path}: in use"))
        # A private mapping ("c"): some file systems have no shared ones.
        return CachedImageLoader(np.load(path, mmap_mode="c"), bad, held)


def _filled(
    path: Path, split: Split, preprocessing: Preprocessing, progress: Progress, workers: int | None
) -> dict[int, str]:
    """Fill a cache from where its last build stopped; the rows that cannot be read, with their reasons."""
    state = path.with_suffix(".json")
    done, bad = 0, {}
    if path.is_file() and state.is_file():
        with contextlib.suppress(
            ValueError, KeyError, OSError
        ):  # an incomplete record: start from the first image
            noted = json.loads(state.read_text(encoding="utf-8"))
            done, bad = noted["done"], {int(row): reason for row, reason in noted["bad"].items()}
    if done == len(split):
        return bad
    _remove_older(path, split.name)
    if done == 0:
        _check_disk_space(path.parent, cache_bytes(split, preprocessing))
    shape = (len(split), preprocessing.stored, preprocessing.stored, 3)
    blank = np.zeros(shape[1:], dtype=np.uint8)

    def load(row: int) -> np.ndarray | str:
        try:
            return preprocessing.load(split.files[row])
        except ImageError as error:
            return str(error)

    with (
        progress.task(f"packing the images of {split.name}", len(split)) as task,
        path.open("r+b" if done else "wb") as file,
        ThreadPoolExecutor(workers) as pool,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(file, header)
        file.seek(done * blank.nbytes, os.SEEK_CUR)
        task.advance(done)
        for start in range(done, len(split), _CHUNK):
            rows = range(start, min(start + _CHUNK, len(split)))
            for row, loaded in zip(rows, pool.map(load, rows), strict=True):
                if isinstance(loaded, str):
                    bad[row] = loaded
                file.write((blank if isinstance(loaded, str) else loaded).tobytes())
                task.advance()
            file.flush()
            write_text(state, json.dumps({"done": rows.stop, "bad": bad}))
    return bad


def _key(split: Split, preprocessing: Preprocessing) -> str:
    decides = {**preprocessing.to_json(), "max_pixels": max_pixels()}
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode())
    for file in split.files:
        try:
            found = file.stat()
            state = f"{found.st_size}\0{found.st_mtime_ns}"
        except OSError:  # the ledger has it, but the file is missing
            state = "unreadable"
        digest.update(f"{file}\0{state}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _remove_older(path: Path, split: str) -> None:
    for old in path.parent.glob(f"{split}-*.npy"):
        uses = [*path.parent.glob(f"{old.stem}.*.use")]
        if old == path or any(map(is_held, uses)):
            continue
        with contextlib.suppress(PermissionError):  # Windows keeps a file that anyone has open
            for other in (old, old.with_suffix(".json"), *uses):
                other.unlink(missing_ok=True)


def _check_disk_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ModelError(
            f"`cache`: {needed / 1e9:.1f} GB needed in {folder}, {free / 1e9:.1f} GB free",
            hint="free some space, or train with `cache=False`",
        )
