"""The settings of a division and its report: splits, providers held out, tags dropped."""

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass, field

import numpy as np

from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy

STRATIFIED = ("train", "val", "test_id")
"""The splits that share the images of a tag."""


@dataclass(frozen=True)
class Shares:
    """The shares of all images for val, test_id and test_ood; train gets the rest.

    `min_count` is how many images of train a tag needs to be kept.
    """

    val: float = 0.1
    test: float = 0.1
    ood: float = 0.1
    min_count: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("val", "test", "ood"):
            if not 0 <= getattr(self, name) < 1:
                raise CollectError(f"`{name}` {getattr(self, name):g}: not a share of 0 up to 1")
        if self.val + self.test + self.ood >= 1:
            parts = f"{self.val:g} + {self.test:g} + {self.ood:g}"
            raise CollectError(f"`val`, `test` and `ood` leave nothing to train on ({parts})")
        if self.min_count < 1:
            raise CollectError(f"`min_count` {self.min_count} is less than 1")


@dataclass(frozen=True)
class SplitSize:
    """What one split holds: images, data providers, and tags over all facets."""

    images: int
    providers: int
    tags: int


@dataclass(frozen=True)
class Imbalance:
    """The tag that is furthest from its even share among train, val and test_id: images, and even share."""

    facet: str
    tag: str
    split: str
    images: int
    even: float


@dataclass(frozen=True)
class Dropped:
    """A dropped tag: its images in all and in train, and its nearest ancestor that is kept, if any."""

    facet: str
    tag: str
    images: int
    train: int
    instead: str | None


@dataclass(frozen=True)
class Candidate:
    """A provider that might be held out: its name, its share of the images, rounded up to a hundredth, and
    whether that leaves enough images of every tag."""

    provider: str
    share: float
    possible: bool


@dataclass(frozen=True)
class Report:
    """The report of a division: the splits' sizes, the providers held out, tags kept and dropped, the worst
    imbalance, images left out because they have no tag, images with the URL of an earlier one, and
    providers whose names resemble one held out: (provider, the one held out)."""

    shares: Shares
    splits: dict[str, SplitSize]
    providers: int
    held_out: list[str]
    tags: int
    dropped: list[Dropped]
    worst: Imbalance | None
    untagged: int
    duplicates: int
    near_held_out: list[tuple[str, str]] = field(default_factory=list)
    continued: bool = False
    """Whether an earlier division already chose the test images."""
    smallest: Candidate | None = None
    """The provider with the fewest images."""


def worst_imbalance(
    images_of: Mapping[str, np.ndarray],
    rows: Mapping[str, Sized],
    kept: np.ndarray,
    tags: Sequence[tuple[str, str]],
) -> Imbalance | None:
    """The tag furthest from its even share; images_of: {split: [T] int}, rows: {split: its images}, kept: [T]
    bool."""
    sizes = [len(rows.get(name, ())) for name in STRATIFIED]
    if not kept.any() or not sum(sizes):
        return None
    counts = np.stack([images_of[name] for name in STRATIFIED])
    even = counts.sum(axis=0) * (np.array(sizes) / sum(sizes))[:, None]
    gap = np.where(kept, np.abs(counts - even), -1)
    fold, tag = np.unravel_index(int(gap.argmax()), gap.shape)
    facet, name = tags[int(tag)]
    images, share = int(counts[fold, tag]), round(float(even[fold, tag]), 1)
    return Imbalance(facet, name, STRATIFIED[int(fold)], images, share)


def dropped_tags(
    trees: Mapping[str, Hierarchy],
    tags: Sequence[tuple[str, str]],
    images: np.ndarray,
    train: np.ndarray,
    kept: np.ndarray,
) -> list[Dropped]:
    """The tags that are not kept; images, train: [T] int, kept: [T] bool."""
    stay = {tag for tag, keep in zip(tags, kept, strict=True) if keep}
    out = []
    for (facet, name), all_images, train_images, keep in zip(tags, images, train, kept, strict=True):
        if not keep:
            above = reversed(trees[facet].ancestors(name))
            instead = next((ancestor for ancestor in above if (facet, ancestor) in stay), None)
            out.append(Dropped(facet, name, int(all_images), int(train_images), instead))
    return out
