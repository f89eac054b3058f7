"""Features of a frozen backbone, stored on disk by the images' content: computed once for all commands."""

import hashlib
import json
import logging
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eufcc_cli.core.errors import EufccError, ModelError
from eufcc_cli.core.files import Root, atomic_open, sha256, write_text
from eufcc_cli.core.model.backbone.openvino_engine import backbone_digest
from eufcc_cli.core.model.preprocessing import Preprocessing

if TYPE_CHECKING:
    import torch

    from eufcc_cli.core.model.backbone.network import Network

log = logging.getLogger("eufcc")

_FORMAT = 1  # changes whenever features computed before can no longer be used
_PART = 512  # images in a part: an interrupted computation loses fewer
_PATIENCE = 30.0  # seconds after which a part is written however few images it has


class FeatureStore:
    """The features of one frozen backbone, float16 [views, width] of each image, by SHA-256 of its file.

    A folder of parts, each a `.npy` file written atomically: an interruption loses only the current part,
    and processes that write at the same time do not disturb each other. Parts are memory-mapped.
    The folder may be deleted at any time; what in it cannot be read is left out with a warning. limit: the
    largest size in GB of all features in the folder's parent; above it the least recently used are removed.
    """

    def __init__(self, folder: Path, views: int, width: int, *, limit: float) -> None:
        self.folder, self.views, self.width = folder, views, width
        self._limit = int(limit * 1e9)
        self._type = np.dtype([("image", "V32"), ("features", "<f2", (views, width))])
        self._parts: dict[Path, np.ndarray] = {}
        self._where: dict[bytes, tuple[Path, int]] = {}
        self._fresh: dict[bytes, np.ndarray] = {}
        self._lock = threading.Lock()
        self._written = time.monotonic()
        self._full = False
        self.refresh()

    @classmethod
    def of(
        cls,
        root: Root,
        network: "Network",
        preprocessing: Preprocessing,
        precision: "torch.dtype",
        *,
        limit: float,
    ) -> "FeatureStore":
        """The store of a network's backbone, below ROOT/data/features, named after what determines them."""
        backbone = backbone_digest(network.backbone, preprocessing.size)
        return cls.named(root, backbone, network.width, preprocessing, str(precision), limit=limit)

    @classmethod
    def named(
        cls,
        root: Root,
        backbone: str,
        width: int,
        preprocessing: Preprocessing,
        precision: str,
        *,
        limit: float,
    ) -> "FeatureStore":
        """The same for a backbone of that digest and width."""
        seen = {**preprocessing.to_json(), "precision": precision}
        decides = [_FORMAT, backbone, seen]
        name = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:32]
        return cls(root.data / "features" / name, preprocessing.views, width, limit=limit)

    def __contains__(self, image: bytes) -> bool:
        return image in self._where or image in self._fresh

    def get(self, image: bytes) -> np.ndarray | None:
        """The features of an image, float16 [views, width], or None where they are not kept."""
        place = self._where.get(image)
        return self._fresh.get(image) if place is None else self._parts[place[0]]["features"][place[1]]

    def refresh(self) -> None:
        """Open the parts that other processes have written."""
        for path in sorted(self.folder.glob("part-*.npy")):
            if path not in self._parts:
                self._open(path)

    def _open(self, path: Path) -> None:
        try:
            # A private mapping ("c"): some file systems have no shared ones.
            part = np.load(path, mmap_mode="c", allow_pickle=False)
            if part.dtype != self._type or part.ndim != 1:
                raise ValueError("not features of this backbone")
            os.utime(path)  # the least recently used go first
        except (OSError, ValueError, EOFError) as error:
            if path.exists():  # or another process made room
                log.warning("%s: left out (%s)", path, error)
            return
        self._parts[path] = part
        for row, image in enumerate(part["image"].tolist()):
            self._where.setdefault(image, (path, row))

    def reserve(self, images: int) -> None:
        """Raise ModelError if so many more images exceed the limit or the disk."""
        needed, held = images * self._type.itemsize, sum(part.nbytes for part in self._parts.values())
        if needed + held > self._limit:
            raise ModelError(
                f"`features_limit` {self._limit / 1e9:g}: {(needed + held) / 1e9:.3g} GB are needed",
                hint="raise the limit, or see fewer views of each image",
            )
        free = shutil.disk_usage(_existing(self.folder)).free
        if needed > free:
            raise ModelError(
                f"{self.folder}: {needed / 1e9:.1f} GB needed for features, {free / 1e9:.1f} GB free",
                hint="free some space and run the same command again",
            )

    def add(self, image: bytes, features: np.ndarray) -> None:
        """Keep an image's features [views, width]; they are on disk after `flush`, or some images later.

        Raises ModelError for features that are no numbers.
        """
        if not np.isfinite(features).all():
            raise ModelError("the backbone computes features that are not finite", hint="choose fp32")
        with self._lock:
            self._fresh[image] = rounded(features)
            waited = time.monotonic() - self._written
            if len(self._fresh) >= _PART or waited > _PATIENCE:
                self._write()

    def flush(self) -> None:
        """Write what is not on disk yet."""
        with self._lock:
            if self._fresh:
                self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        part = np.empty(len(self._fresh), self._type)
        part["image"] = [np.void(image) for image in self._fresh]
        part["features"] = np.stack(list(self._fresh.values()))
        path = self.folder / f"part-{uuid.uuid4().hex}.npy"
        if not self._make_room(part.nbytes):
            self._fresh = {}
            return
        try:
            if not (self.folder / "README.txt").is_file():
                write_text(self.folder / "README.txt", _README)
            with atomic_open(path) as file:
                np.save(file, part, allow_pickle=False)
        except EufccError as error:
            self._full, self._fresh = True, {}
            log.warning("features are not saved: %s", error)
            return
        self._open(path)
        self._fresh = {}

    def _make_room(self, needed: int) -> bool:
        """Remove parts of other backbones, the least recently used first; False where that is not enough."""
        if self._full:
            return False
        found = []
        for path in self.folder.parent.glob("*/part-*.npy"):
            try:
                state = path.stat()
            except OSError:  # another process made room, too
                continue
            found.append((state.st_mtime, state.st_size, path))
        total = sum(size for _, size, _ in found) + needed
        for _, size, path in sorted(found):
            if total <= self._limit:
                break
            if path not in self._parts:
                try:
                    path.unlink(missing_ok=True)
                except OSError:  # Windows: some process has it mapped
                    continue
                total -= size
        self._full = total > self._limit
        if self._full:
            log.warning("%s: features are no longer saved: %g GB are used", self.folder, self._limit / 1e9)
        return not self._full

    def table(self, images: Sequence[bytes]) -> "FeatureTable":
        """The features of some images, in that order; KeyError where one is not on disk."""
        number = {path: i for i, path in enumerate(self._parts)}
        places = [self._where[image] for image in images]
        where = np.array([(number[path], row) for path, row in places], np.int64).reshape(-1, 2)
        return FeatureTable([part["features"] for part in self._parts.values()], where)


def rounded(features: np.ndarray) -> np.ndarray:
    """Features as they are kept: in float16, none too large for it."""
    largest = np.finfo(np.float16).max
    return np.clip(features, -largest, largest).astype(np.float16)


@dataclass(frozen=True)
class FeatureTable:
    """N images' features: memory-mapped `parts`, float16 [n, views, width], and where [N, 2] each is."""

    parts: list[np.ndarray]
    where: np.ndarray

    def __len__(self) -> int:
        return len(self.where)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (len(self), *self.parts[0].shape[1:])

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Features of some rows, float32 [len(rows), views, width]."""
        out = np.empty((len(rows), *self.parts[0].shape[1:]), np.float32)
        where = self.where[rows]
        for part in np.unique(where[:, 0]):
            here = np.flatnonzero(where[:, 0] == part)
            out[here] = self.parts[part][where[here, 1]]
        return out

    def blocks(self, images: int) -> Iterator[np.ndarray]:
        """All rows, so many at a time, in the order in which they lie on disk."""
        order = np.lexsort((self.where[:, 1], self.where[:, 0]))
        for start in range(0, len(order), images):
            yield order[start : start + images]


def image_digests(paths: Iterable[Path], workers: int | None = None) -> list[bytes]:
    """SHA-256 of every file's content; b"" for a file that cannot be read (scoring it reports the reason)."""

    def digest(path: Path) -> bytes:
        try:
            return bytes.fromhex(sha256(path))
        except OSError:
            return b""

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(digest, paths))


def _existing(folder: Path) -> Path:
    return folder if folder.exists() or folder.parent == folder else _existing(folder.parent)


_README = (
    "The features of each image from a frozen backbone, saved by eufcc so that they are computed only once.\n"
    "You may delete this folder at any time.\n"
)
