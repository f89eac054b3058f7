"""Dividing an annotation table into train, val, test_id and test_ood, with a report."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from eufcc_cli.core.dataset.splits.division_report import (
    STRATIFIED,
    Candidate,
    Report,
    Shares,
    SplitSize,
    dropped_tags,
    worst_imbalance,
)
from eufcc_cli.core.dataset.splits.image_groups import group_images, numbered, places_together
from eufcc_cli.core.dataset.splits.split_memory import SplitMemory
from eufcc_cli.core.dataset.splits.stratification import hold_out, stratify
from eufcc_cli.core.dataset.splits.tag_sets import Cells, TagSets
from eufcc_cli.core.errors import CollectError
from eufcc_cli.core.files import SPLITS
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy
from eufcc_cli.core.taxonomy.tables.annotations import (
    FACETS,
    ID,
    IMAGE_URL,
    PROVIDER,
    RECORD,
    facet_column,
    factorize,
    joined,
    paths,
)

_NOWHERE = -1  # the number of a split is its place in SPLITS
_FOLDS = np.array([SPLITS.index(name) for name in STRATIFIED], dtype=np.int8)
_OUTER = SPLITS.index("test_ood")


class Division(NamedTuple):
    """A table whose rare tags fell back to broader ones, the row numbers of each split that has images, and a
    report."""

    table: pd.DataFrame
    rows: dict[str, np.ndarray]
    report: Report

    def part(self, split: str) -> pd.DataFrame:
        """The rows of a split."""
        return self.table.iloc[self.rows[split]]


def divide(
    table: pd.DataFrame,
    shares: Shares,
    memory: SplitMemory | None = None,
    same: Sequence[np.ndarray] = (),
) -> Division:
    """Divide an annotation table.

    Whole providers go to test_ood, chosen so that the tags that can be learned remain learnable; the others
    are stratified over their tags. Images of one URL or of one record stay in one split, as do those
    with one number in an array of `same` ([N] int, -1: none). A tag with fewer than `min_count` images in
    train falls back to its nearest kept ancestor everywhere; images left without a tag are left out. The
    same table and seed give the same splits.

    Images in `memory` keep their split. If it has images of the table, all others go to train or val; if it
    has providers held out, no others are held out.
    """
    table = table.reset_index(drop=True)
    memory = memory or SplitMemory()
    rng = np.random.default_rng(shares.seed)
    cells = {facet: factorize(table[facet_column(facet)]) for facet in FACETS if facet_column(facet) in table}
    trees = {facet: _tree(facet, *cells[facet]) for facet in cells}
    tags = [(facet, name) for facet, tree in trees.items() for name in tree]
    sets = TagSets.of_annotations(cells, trees)
    images = sets.images()
    # A tag that is too rare in all images cannot be learned from train.
    possible = images >= shares.min_count
    learnable = sets.having(possible)
    if not learnable.any():
        raise _too_few(shares.min_count)
    rows = np.flatnonzero(learnable)
    some = table[[name for name in (ID, RECORD, IMAGE_URL, PROVIDER) if name in table]]
    some = some if learnable.all() else some.iloc[rows]
    unit, block, holdable = group_images(some, [numbers[rows] for numbers in same])
    split = np.full(len(table), _NOWHERE, dtype=np.int8)
    inside = sets.part(rows, possible)
    smallest = _smallest(some[PROVIDER], inside, block, holdable, shares)
    stays = places_together(memory.place(some), unit)
    continued = bool((stays != _NOWHERE).any())
    if continued:
        split[rows] = _assign_new(inside, unit, stays, shares, rng)
    else:
        split[rows] = _assign(inside, unit, block, holdable, shares, rng)

    images_of = {name: sets.images(split == i) for i, name in enumerate(SPLITS)}
    kept = images_of["train"] >= shares.min_count
    if not kept.any():
        raise _too_few(shares.min_count)
    split[~sets.having(kept)] = _NOWHERE
    pruned = _prune(table, cells, {tag for tag, keep in zip(tags, kept, strict=True) if keep})
    of = {name: found for i, name in enumerate(SPLITS) if len(found := np.flatnonzero(split == i))}
    provider, names = factorize(table[PROVIDER])
    providers = {name: np.unique(provider[found]).tolist() for name, found in of.items()}
    report = Report(
        shares=shares,
        splits={
            name: SplitSize(len(found), len(providers[name]), int((images_of[name][kept] > 0).sum()))
            for name, found in of.items()
        },
        providers=len(names),
        held_out=sorted(names[i] for i in providers.get(SPLITS[_OUTER], ())),
        tags=int(kept.sum()),
        dropped=dropped_tags(trees, tags, images, images_of["train"], kept),
        worst=worst_imbalance(images_of, of, kept, tags),
        untagged=int((split == _NOWHERE).sum()),
        duplicates=len(rows) - int(unit.max() + 1),
        continued=continued,
        smallest=smallest,
        near_held_out=memory.near(names),
    )
    return Division(pruned, of, report)


def _spare(total: np.ndarray, shares: Shares, ood: float) -> np.ndarray:
    """How many of each tag's images may go to test_ood, [tags] int: all of a tag that is too rare anyway."""
    # The images that train needs of a tag must stay: one more than needed, since folds are rounded.
    inner = 1 - ood
    needed = math.ceil(shares.min_count * inner / (inner - shares.val - shares.test)) + 1
    return np.where(total >= needed, total - needed, total)


def _smallest(
    providers: pd.Series, sets: TagSets, block: np.ndarray, holdable: np.ndarray, shares: Shares
) -> Candidate | None:
    """The provider, or providers that share images, that would be held out first."""
    images = np.bincount(block, minlength=len(holdable))
    if not holdable.any():
        return None
    least = int(np.where(holdable, images, len(block) + 1).argmin())
    share = math.ceil(100 * images[least] / len(block)) / 100
    theirs = block == least
    possible = share + shares.val + shares.test < 1 and bool(
        (sets.images(theirs) <= _spare(sets.images(), shares, share)).all()
    )
    return Candidate(", ".join(sorted(providers[theirs].unique())), share, possible)


def _too_few(min_count: int) -> CollectError:
    hint = "a smaller `min_count`, or a larger collection" if min_count > 1 else "a larger collection"
    return CollectError(f"no tag has {min_count} images to learn from", hint=hint)


def _tree(facet: str, codes: np.ndarray, texts: Sequence[str]) -> Hierarchy:
    """The tree of a facet's annotations."""
    rows = np.bincount(codes, minlength=len(texts)).tolist()
    return Hierarchy.from_annotations(
        facet, {text: count for text, count in zip(texts, rows, strict=True) if text}
    )


def _assign_new(
    sets: TagSets, unit: np.ndarray, stays: np.ndarray, shares: Shares, rng: np.random.Generator
) -> np.ndarray:
    """The number of each image's split: known images stay in theirs, new ones go to train or val."""
    split = stays.copy()
    fresh = np.flatnonzero(stays == _NOWHERE)
    if len(fresh):
        units = numbered(unit[fresh])
        new = sets.part(fresh)
        train = 1 - shares.val - shares.test - shares.ood
        folds = np.array([train, shares.val]) / (train + shares.val)
        fold = stratify(new.part(slice(None), new.images() > 0).units(units), folds.tolist(), rng)
        split[fresh] = _FOLDS[fold[units]]
    return split


def _assign(
    sets: TagSets,
    unit: np.ndarray,
    block: np.ndarray,
    holdable: np.ndarray,
    shares: Shares,
    rng: np.random.Generator,
) -> np.ndarray:
    """The number of each image's split."""
    images = len(unit)
    inner = 1 - shares.ood
    candidates = np.flatnonzero(holdable)
    chosen = hold_out(
        sets.sum(block, len(holdable)).toarray()[candidates],
        np.bincount(block, minlength=len(holdable))[candidates],
        shares.ood * images,
        _spare(sets.images(), shares, shares.ood),
        rng,
    )
    outer = np.isin(block, candidates[chosen])
    split = np.full(images, _OUTER, dtype=np.int8)
    inside = np.flatnonzero(~outer)
    units = numbered(unit[inside])
    folds = np.array([inner - shares.val - shares.test, shares.val, shares.test]) / inner
    there = sets.part(inside, sets.images(inside) >= shares.min_count)
    fold = stratify(there.units(units), folds.tolist(), rng)
    split[inside] = _FOLDS[fold[units]]
    return split


def _prune(table: pd.DataFrame, cells: Mapping[str, Cells], kept: set[tuple[str, str]]) -> pd.DataFrame:
    """The table with only the kept names in its paths: a rare tag falls back to its nearest kept ancestor."""
    out = table.copy(deep=False)
    for facet, (codes, texts) in cells.items():
        names = {name for of, name in kept if of == facet}
        after = [_prune_text(text, names) for text in texts]
        if after != texts:
            out[facet_column(facet)] = pd.array(after, dtype="str").take(codes)
    return out


def _prune_text(annotation: str, names: set[str]) -> str:
    """An annotation without the names that are not kept; unchanged if all are kept.

    >>> _prune_text("metal | alloy | bronze $ paper", {"metal", "paper"})
    'metal $ paper'
    """
    before = paths(annotation)
    after = [kept for path in before if (kept := tuple(name for name in path if name in names))]
    if after == before:
        return annotation
    return joined(after)
