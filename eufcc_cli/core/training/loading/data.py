"""Images and targets, batch by batch: which images a split has, in which order, from file or cache."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from eufcc_cli.core.download.image_files import links_out
from eufcc_cli.core.download.image_locations import find_images, missing_hint
from eufcc_cli.core.errors import DataError, ImageError, ModelError
from eufcc_cli.core.files import Root
from eufcc_cli.core.images.decode import open_image
from eufcc_cli.core.model.preprocessing import Preprocessing, as_images
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import ID
from eufcc_cli.core.taxonomy.vocabulary import Targets, Vocabulary
from eufcc_cli.core.worker_processes import CleanContext

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("eufcc")


@dataclass(frozen=True)
class Split:
    """The images of a split that are on disk, with their files and targets, row by row."""

    name: str
    frame: "pd.DataFrame"
    files: list[Path]
    targets: dict[str, Targets]
    missing: int

    def __len__(self) -> int:
        return len(self.files)

    @property
    def annotated(self) -> np.ndarray:
        """bool [N]: which rows have a tag in some facet."""
        return np.any([targets.annotated for targets in self.targets.values()], axis=0)

    @property
    def tagged(self) -> np.ndarray:
        """bool [N]: which rows have a true tag in some facet; others may have rejected tags."""
        return np.any([np.diff(targets.indptr) > 0 for targets in self.targets.values()], axis=0)

    def truth(self, rows: Sequence[int] | np.ndarray) -> dict[str, Tensor]:
        """True tags of some rows: {facet: bool [rows, tags]}; a row without any is not annotated."""
        return {
            facet: torch.from_numpy(targets.dense(np.asarray(rows)))
            for facet, targets in self.targets.items()
        }

    def known(self, rows: Sequence[int] | np.ndarray) -> dict[str, Tensor]:
        """{facet: bool [rows, tags]}: the known tags of some rows, in facets decided tag by tag."""
        found = {facet: targets.known(np.asarray(rows)) for facet, targets in self.targets.items()}
        return {facet: torch.from_numpy(known) for facet, known in found.items() if known is not None}

    def without(self, bad: Iterable[int]) -> "Split":
        """The split without some rows."""
        keep = np.ones(len(self), dtype=bool)
        keep[list(bad)] = False
        if keep.all():
            return self
        frame = self.frame[keep].reset_index(drop=True)
        files = [file for file, kept in zip(self.files, keep, strict=True) if kept]
        targets = {facet: found.take(np.flatnonzero(keep)) for facet, found in self.targets.items()}
        return Split(self.name, frame, files, targets, self.missing)


def load_split(root: Root, name: str, vocabulary: Vocabulary, frame: "pd.DataFrame | None" = None) -> Split:
    """A split's images that are on disk, and their targets in a vocabulary.

    Raises DataError where the table is missing or none of its images is there.
    """
    if frame is None:
        frame = read_table(root.table(name))
    found = find_images(root, frame[ID])
    there = frame[ID].isin(found.keys()).to_numpy()
    if not there.any():
        out = links_out([root.images, root.path / "images"], [root.path, *root.photos])
        links = f"; {len(out):,} links there lead out of {root.path}, and are not followed" if out else ""
        raise DataError(
            f"{root.table(name)}: none of its {len(frame):,} images is in {root.images}{links}",
            hint=missing_hint(root, name, frame[ID].iloc[0]),
        )
    frame = frame[there].reset_index(drop=True)
    files = [found[image_id] for image_id in frame[ID]]
    return Split(name, frame, files, vocabulary.encode(frame), int((~there).sum()))


class ImageLoader(Protocol):
    """Loads images by row, cropped: from a packed cache, or from the files."""

    bad: dict[int, str]
    """Rows whose image cannot be read, with the reason."""

    def batches(self, order: Iterable[np.ndarray], epoch: int = 0) -> Iterator[tuple[Tensor, np.ndarray]]:
        """For each array of rows: uint8 images [b, 3, stored, stored] of those that were readable, and
        their positions in the array. Variations during decoding depend on the epoch."""


def check_files(split: Split, progress: Progress = SILENT, workers: int | None = None) -> dict[int, str]:
    """Decode every image at the smallest scale; the rows that fail, with their reasons."""
    bad: dict[int, str] = {}

    def problem(file: Path) -> str | None:
        try:
            open_image(file, short_side=32)
        except ImageError as error:
            return str(error)
        return None

    with (
        progress.task(f"checking the images of {split.name}", len(split)) as task,
        ThreadPoolExecutor(workers) as pool,
    ):
        for row, reason in enumerate(pool.map(problem, split.files)):
            if reason:
                bad[row] = reason
            task.advance()
    return bad


def check_unreadable(split: Split, bad: dict[int, str], max_unreadable: float) -> None:
    """Raise ModelError where more than the share `max_unreadable` of a split's images is unreadable."""
    if len(bad) > max_unreadable * len(split):
        row, reason = next(iter(bad.items()))
        count = f"{len(bad)} of {len(split)} images of {split.name}"
        raise ModelError(
            f"{count} cannot be read, first {split.files[row]}: {reason}",
            hint="`eufcc download --verify` finds them all; or raise `max_unreadable`, or `max_pixels`",
        )


@dataclass
class FileImageLoader:
    """Decodes images from their files in worker processes.

    An unreadable file is left out of its batch and recorded in `bad` with its reason.
    """

    files: Sequence[Path]
    preprocessing: Preprocessing
    workers: int
    randaugment_seed: int | None = None
    pin_memory: bool = False
    bad: dict[int, str] = field(default_factory=dict)

    def batches(self, order: Iterable[np.ndarray], epoch: int = 0) -> Iterator[tuple[Tensor, np.ndarray]]:
        batches = [rows.tolist() for rows in order]
        seed = None if self.randaugment_seed is None else (self.randaugment_seed, epoch)
        loader = DataLoader(
            _Files(self.files, self.preprocessing, seed),
            batch_sampler=batches,
            num_workers=self.workers,
            collate_fn=_collate,
            prefetch_factor=4 if self.workers else None,
            # Workers must not inherit a parent that has begun computing in threads or on a GPU.
            multiprocessing_context=CleanContext() if self.workers else None,
        )
        for crops, kept, failures in loader:
            self.bad |= failures
            images = as_images(crops)
            yield images.pin_memory() if self.pin_memory else images, kept


class _Files(Dataset[tuple[int, np.ndarray | str]]):
    def __init__(
        self, files: Sequence[Path], preprocessing: Preprocessing, seed: tuple[int, int] | None
    ) -> None:
        # One array of text instead of a list of paths: workers share its pages instead of copying them.
        self.files = np.array([str(file) for file in files])
        self.preprocessing = preprocessing
        self.seed = seed

    def __getitem__(self, row: int) -> tuple[int, np.ndarray | str]:
        try:
            square = self.preprocessing.load(Path(str(self.files[row])))
        except ImageError as error:
            return row, str(error)
        if self.seed is not None:
            from eufcc_cli.core.training.loading.augmentation import randaugment

            square = randaugment(square, self.preprocessing, (*self.seed, int(row)))
        return row, square


def _collate(items: list[tuple[int, np.ndarray | str]]) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """A batch as arrays, which come through a pipe: tensors need shared memory, a container's has 64 MB."""
    failures = {int(row): value for row, value in items if isinstance(value, str)}
    crops = [value for _, value in items if isinstance(value, np.ndarray)]
    kept = np.array(
        [i for i, (_, value) in enumerate(items) if isinstance(value, np.ndarray)], dtype=np.int64
    )
    if not crops:
        return np.empty((0, 1, 1, 3), np.uint8), kept, failures
    return np.stack(crops), kept, failures


def epoch_order(
    size: int, batch_size: int, seed: int, epoch: int, weights: np.ndarray | None = None
) -> list[np.ndarray]:
    """The batches of rows of one epoch: a function of seed and epoch only, the same on every process.

    With weights, rows are drawn in proportion to them, with replacement.
    """
    generator = np.random.default_rng([seed, epoch])
    if weights is None:
        order = generator.permutation(size)
    else:
        order = generator.choice(size, size=size, p=weights / weights.sum())
    return [order[start : start + batch_size] for start in range(0, size, batch_size)]


def rarity_weights(split: Split) -> np.ndarray:
    """For each row 1 / sqrt(images with its rarest tag): rare tags are drawn more often."""
    rarest = np.full(len(split), np.inf)
    for targets in split.targets.values():
        counts = np.bincount(targets.indices, minlength=int(targets.indices.max(initial=-1)) + 1)
        rows = np.repeat(np.arange(len(split)), np.diff(targets.indptr))
        np.minimum.at(rarest, rows, counts[targets.indices])
    rarest[np.isinf(rarest)] = len(split)
    return rarest**-0.5
