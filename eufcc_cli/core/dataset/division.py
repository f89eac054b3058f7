"""An annotation table divided into train, val, test_id and test_ood, with a report of what became of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csr_array, hstack
from scipy.sparse.csgraph import connected_components

from eufcc_cli.core.dataset.split_memory import RECORD, SplitMemory
from eufcc_cli.core.dataset.stratification import hold_out, stratify
from eufcc_cli.core.download.candidates import candidate_urls
from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.files import SPLITS
from eufcc_cli.core.taxonomy.annotations import FACETS, IMAGE_URL, PROVIDER, facet_column, factorize, paths
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy, build_trees
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary

_STRATIFIED = ("train", "val", "test_id")
_OUTER = "test_ood"


@dataclass(frozen=True)
class Shares:
    """The shares of all images that val, test_id and test_ood are to have; train has the rest.

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
    """A tag with too few images: in all, in train, and its nearest kept ancestor (None: it has none)."""

    facet: str
    tag: str
    images: int
    train: int
    instead: str | None


@dataclass(frozen=True)
class Report:
    """What became of a table: the splits' sizes, the providers held out, tags kept and dropped, the worst
    imbalance, images left out for want of a tag, images that share their address with an earlier one, and
    providers spelled nearly as one held out: (provider, the one held out)."""

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


def divide(
    table: pd.DataFrame,
    shares: Shares,
    memory: SplitMemory | None = None,
    same: Sequence[np.ndarray] = (),
) -> tuple[dict[str, pd.DataFrame], Report]:
    """Divide an annotation table; returns the splits that have images, and the report.

    Whole providers go to test_ood, chosen so that the tags that can be learnt remain learnable; the others
    are stratified over their tags. Images with one address or of one record stay on one side, as do those
    with one number in an array of `same` ([N] int, -1: none). A tag with fewer than `min_count` images in
    train falls back to its nearest kept ancestor everywhere; images left without a tag are left out. The
    same table and seed give the same splits.

    What `memory` knows stays where it was. Where it knows images of the table, all others go to train or
    val; where it has providers held out, no others are.
    """
    table = table.reset_index(drop=True)
    memory = memory or SplitMemory()
    rng = np.random.default_rng(shares.seed)
    trees = build_trees([table])
    tags = [(facet, name) for facet, tree in trees.items() for name in tree]
    has = _matrix(table, trees)
    images = np.asarray(has.sum(axis=0))
    # A tag too rare in all can be no tag of train, whichever way the images fall.
    possible = images >= shares.min_count
    rows = np.flatnonzero(np.asarray(has[:, possible].sum(axis=1)))
    if not len(rows):
        raise _too_few(shares.min_count)
    unit, block, holdable = _groups(table.iloc[rows], [numbers[rows] for numbers in same])
    split = np.full(len(table), "", dtype=object)
    learnable = has[rows][:, possible].tocsr()
    stays = _together(memory.place(table.iloc[rows]), unit)
    if (stays != "").any():
        split[rows] = _assign_new(learnable, unit, stays, shares, rng)
    else:
        split[rows] = _assign(learnable, unit, block, holdable, shares, rng)

    train = np.asarray(has[split == "train"].sum(axis=0))
    kept = train >= shares.min_count
    if not kept.any():
        raise _too_few(shares.min_count)
    split[np.asarray(has[:, kept].sum(axis=1)) == 0] = ""
    pruned = _prune(table, {tag for tag, keep in zip(tags, kept, strict=True) if keep})
    parts = {name: pruned[split == name] for name in SPLITS if (split == name).any()}
    counts = {name: np.asarray(has[split == name][:, kept].sum(axis=0)) for name in parts}
    report = Report(
        shares=shares,
        splits={
            name: SplitSize(len(part), part[PROVIDER].nunique(), int((counts[name] > 0).sum()))
            for name, part in parts.items()
        },
        providers=table[PROVIDER].nunique(),
        held_out=sorted(set(parts[_OUTER][PROVIDER])) if _OUTER in parts else [],
        tags=int(kept.sum()),
        dropped=_dropped(trees, tags, images, train, kept),
        worst=_worst(has, split, kept, tags),
        untagged=int((split == "").sum()),
        duplicates=len(rows) - int(unit.max() + 1),
        near_held_out=memory.near(table[PROVIDER]),
    )
    return parts, report


def _too_few(min_count: int) -> CollectError:
    hint = "a smaller `min_count`, or a larger collection" if min_count > 1 else "a larger collection"
    return CollectError(f"no tag has {min_count} images to learn from", hint=hint)


def _matrix(table: pd.DataFrame, trees: Mapping[str, Hierarchy]) -> csr_array:
    """[images, tags] int32: who has which tag, the tags of all facets side by side."""
    vocabulary = Vocabulary.from_trees(trees)
    blocks = [
        csr_array(
            (np.ones(len(targets.indices), dtype=np.int32), targets.indices, targets.indptr),
            shape=(len(table), targets.size),
        )
        for targets in vocabulary.encode(table).values()
    ]
    return hstack(blocks, format="csr") if blocks else csr_array((len(table), 0), dtype=np.int32)


def _groups(
    table: pd.DataFrame, same: Sequence[np.ndarray] = ()
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which images must stay together.

    Returns for each image the number of its unit (images with one address, record, or number in `same`) and
    of its block (providers that share a unit), and for each block whether it may be held out: an unnamed
    provider may be any.
    """
    addresses, texts = factorize(table[IMAGE_URL])
    # A thumbnail's address counts as that of the picture it was made from.
    originals, _ = factorize(
        pd.Series([candidate_urls(text, "original")[0].url for text in texts], dtype="str")
    )
    unit = originals[addresses]
    without = np.array([not text for text in texts], dtype=bool)[addresses]
    unit[without] = unit.max() + 1 + np.arange(without.sum())
    unit = np.unique(unit, return_inverse=True)[1]
    for numbers in (factorize(table[RECORD])[0], *same) if RECORD in table else same:
        unit = _joined(unit, numbers)
    provider, names = factorize(table[PROVIDER])
    units, providers = int(unit.max()) + 1, len(names)
    links = coo_array(
        (np.ones(len(unit), dtype=np.int8), (unit, units + provider)), shape=(units + providers,) * 2
    )
    label = connected_components(links, directed=False)[1][units:]
    block_of = np.unique(label, return_inverse=True)[1]
    holdable = np.ones(block_of.max() + 1, dtype=bool)
    holdable[[block for block, name in zip(block_of, names, strict=True) if not name.strip()]] = False
    return unit, block_of[provider], holdable


def _joined(unit: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The units after those with a number (-1: none) in common have become one."""
    there = np.flatnonzero(numbers >= 0)
    if len(there) == 0 or len(np.unique(numbers[there])) == len(there):
        return unit
    units = int(unit.max()) + 1
    size = units + int(numbers.max()) + 1
    links = coo_array(
        (np.ones(len(there), dtype=np.int8), (unit[there], units + numbers[there])), shape=(size, size)
    )
    label = connected_components(links, directed=False)[1][:units]
    return np.unique(label, return_inverse=True)[1][unit]


def _together(stays: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Where each image has to stay, with all of its unit: in a test split if any of them is in one."""
    if not (stays != "").any():
        return stays
    out = stays.copy()
    order = ("test_ood", "test_id", "val", "train")
    of_unit = np.full(int(unit.max()) + 1, "", dtype=object)
    for name in reversed(order):
        of_unit[unit[stays == name]] = name
    was_tested = (stays == "test_ood") | (stays == "test_id")
    out[~was_tested] = of_unit[unit[~was_tested]]
    return out


def _assign_new(
    has: csr_array, unit: np.ndarray, stays: np.ndarray, shares: Shares, rng: np.random.Generator
) -> np.ndarray:
    """The split of each image, where those that are known stay: new ones go to train or val."""
    split = stays.copy()
    fresh = np.flatnonzero(stays == "")
    if len(fresh):
        numbers, units = np.unique(unit[fresh], return_inverse=True)
        counts = _sum_rows(has[fresh], units, len(numbers))
        counts = counts[:, np.asarray(counts.sum(axis=0)) > 0].tocsr()
        train = 1 - shares.val - shares.test - shares.ood
        folds = np.array([train, shares.val]) / (train + shares.val)
        fold = stratify(counts, np.bincount(units), folds.tolist(), rng)
        split[fresh] = np.array(_STRATIFIED[:2], dtype=object)[fold[units]]
    return split


def _assign(
    has: csr_array,
    unit: np.ndarray,
    block: np.ndarray,
    holdable: np.ndarray,
    shares: Shares,
    rng: np.random.Generator,
) -> np.ndarray:
    """The split of each image."""
    images = len(unit)
    block_counts = _sum_rows(has, block, len(holdable)).toarray()
    total = block_counts.sum(axis=0)
    # What has to stay for train to get its images of a tag: one in reserve, since folds round.
    inner = 1 - shares.ood
    needed = math.ceil(shares.min_count * inner / (inner - shares.val - shares.test)) + 1
    spare = np.where(total >= needed, total - needed, total)
    candidates = np.flatnonzero(holdable)
    chosen = hold_out(
        block_counts[candidates],
        np.bincount(block, minlength=len(holdable))[candidates],
        shares.ood * images,
        spare,
        rng,
    )
    outer = np.isin(block, candidates[chosen])
    split = np.full(images, _OUTER, dtype=object)
    inside = np.flatnonzero(~outer)
    numbers, units = np.unique(unit[inside], return_inverse=True)
    counts = _sum_rows(has[inside], units, len(numbers))
    counts = counts[:, np.asarray(counts.sum(axis=0)) >= shares.min_count].tocsr()
    folds = np.array([inner - shares.val - shares.test, shares.val, shares.test]) / inner
    fold = stratify(counts, np.bincount(units), folds.tolist(), rng)
    split[inside] = np.array(_STRATIFIED, dtype=object)[fold[units]]
    return split


def _sum_rows(matrix: csr_array, group: np.ndarray, groups: int) -> csr_array:
    """[groups, tags]: the sum of each group's rows."""
    ones = np.ones(len(group), dtype=matrix.dtype)
    return (csr_array((ones, (group, np.arange(len(group)))), shape=(groups, len(group))) @ matrix).tocsr()


def _prune(table: pd.DataFrame, kept: set[tuple[str, str]]) -> pd.DataFrame:
    """The table with only the names kept in its paths: a rare tag falls back to what stands above it."""
    out = table.copy()
    for facet in FACETS:
        column = facet_column(facet)
        names = {name for of, name in kept if of == facet}
        if column in table:
            codes, texts = factorize(table[column])
            out[column] = (
                pd.Series([_prune_text(text, names) for text in texts], dtype="str").take(codes).array
            )
    return out


def _prune_text(annotation: str, names: set[str]) -> str:
    """An annotation without the names that are not kept; untouched where all are.

    >>> _prune_text("metal | alloy | bronze $ paper", {"metal", "paper"})
    'metal $ paper'
    """
    before = paths(annotation)
    after = [kept for path in before if (kept := tuple(name for name in path if name in names))]
    if after == before:
        return annotation
    beginnings = {path[:i] for path in after for i in range(1, len(path))}
    return " $ ".join(" | ".join(path) for path in dict.fromkeys(after) if path not in beginnings)


def _worst(
    has: csr_array, split: np.ndarray, kept: np.ndarray, tags: Sequence[tuple[str, str]]
) -> Imbalance | None:
    inner = [np.asarray(has[split == name].sum(axis=0)) for name in _STRATIFIED]
    sizes = [int((split == name).sum()) for name in _STRATIFIED]
    if not kept.any() or not sum(sizes):
        return None
    counts = np.stack(inner)
    even = counts.sum(axis=0) * (np.array(sizes) / sum(sizes))[:, None]
    gap = np.where(kept, np.abs(counts - even), -1)
    fold, tag = np.unravel_index(int(gap.argmax()), gap.shape)
    facet, name = tags[int(tag)]
    images, share = int(counts[fold, tag]), round(float(even[fold, tag]), 1)
    return Imbalance(facet, name, _STRATIFIED[int(fold)], images, share)


def _dropped(
    trees: Mapping[str, Hierarchy],
    tags: Sequence[tuple[str, str]],
    images: np.ndarray,
    train: np.ndarray,
    kept: np.ndarray,
) -> list[Dropped]:
    stay = {tag for tag, keep in zip(tags, kept, strict=True) if keep}
    out = []
    for (facet, name), all_images, train_images, keep in zip(tags, images, train, kept, strict=True):
        if not keep:
            above = reversed(trees[facet].ancestors(name))
            instead = next((ancestor for ancestor in above if (facet, ancestor) in stay), None)
            out.append(Dropped(facet, name, int(all_images), int(train_images), instead))
    return out
