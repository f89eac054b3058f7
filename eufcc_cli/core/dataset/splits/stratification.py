"""Dividing images among splits: whole providers held out, and iterative stratification over the tags."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array, hstack

from eufcc_cli.core.dataset.splits.tag_sets import TagSets

_TRIES = 300
_PASSES = 4
_TIE = 1e-9
_FEW = 8


def stratify(units: TagSets, shares: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Assign each of N units (images, or several that stay together) to one of the folds so that every tag is
    shared out as the images are.

    shares: the folds' shares, summing to 1. Returns [N] int64, the fold of each unit.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, "On the stratification of multi-label
    data", algorithm 1): the tag with the fewest units left goes first, and each of its units to the fold
    that still wants most of that tag, then most images, then at random. It considers one tag at a time,
    which divides rare tags well, but the general tags above them no better than chance; so units are then
    moved while that brings all tags together nearer to their shares. Units with the same tags are
    interchangeable: every fold first gets its share of those, rounded down.
    """
    folds = range(len(shares))
    kind, sizes = units.of, units.sizes[units.of]
    order = rng.permutation(len(kind))
    lots = rng.random(len(kind))
    out = _share_out_alike(kind, shares, order)
    # Plain lists: the loop below reads single numbers, which is slow in numpy.
    given = units.has.T @ _members(units, out, len(shares))
    totals = units.images()
    wanted = [(share * totals - given[:, fold]).tolist() for fold, share in enumerate(shares)]
    room = [share * float(sizes.sum()) - float(sizes[out == f].sum()) for f, share in enumerate(shares)]
    rest = np.flatnonzero(out < 0)
    of_rest = units.has[kind[rest]]
    by_tag = of_rest.tocsc()
    left = np.bincount(of_rest.indices, minlength=len(totals))
    place = np.full(len(sizes), -1)
    place[rest] = np.arange(len(rest))
    unit_tags, unit_counts, starts = of_rest.indices.tolist(), of_rest.data.tolist(), of_rest.indptr.tolist()

    def assign(unit: int, fold: int) -> None:
        out[unit] = fold
        room[fold] -= sizes[unit]
        mine, row = wanted[fold], place[unit]
        for i in range(starts[row], starts[row + 1]):
            mine[unit_tags[i]] -= unit_counts[i]

    while (left > 0).any():
        tag = int(np.argmin(np.where(left > 0, left, np.iinfo(left.dtype).max)))
        having = rest[by_tag.indices[by_tag.indptr[tag] : by_tag.indptr[tag + 1]]]
        having = having[out[having] < 0]
        having = having[np.argsort(order[having])]
        for unit in having.tolist():
            assign(unit, _best(folds, [wanted[fold][tag] for fold in folds], room, lots[unit]))
        rows = place[having].tolist()
        gone = np.concatenate([of_rest.indices[starts[row] : starts[row + 1]] for row in rows])
        left = left - np.bincount(gone, minlength=len(left))
    for unit in np.flatnonzero(out < 0)[np.argsort(order[out < 0])].tolist():
        assign(unit, _best(folds, room, room, lots[unit]))
    return _even_out(units, np.asarray(shares), out, rng)


def _members(units: TagSets, fold: np.ndarray, folds: int) -> np.ndarray:
    """[sets, folds] int: the units with each set of tags in each fold (-1: in none)."""
    there = fold >= 0
    cells = len(units.sizes) * folds
    return np.bincount(units.of[there] * folds + fold[there], minlength=cells).reshape(-1, folds)


def _places(kind: np.ndarray) -> np.ndarray:
    """[N] int, the place of each unit among those of its kind."""
    small = kind.astype(np.min_scalar_type(int(kind.max(initial=0))))  # small numbers are sorted much faster
    order = np.argsort(small, kind="stable")
    images = np.bincount(kind)
    place = np.empty(len(kind), dtype=np.int64)
    place[order] = np.arange(len(kind)) - np.repeat(np.cumsum(images) - images, images)
    return place


def _share_out_alike(kind: np.ndarray, shares: Sequence[float], order: np.ndarray) -> np.ndarray:
    """[N] the fold of each unit, -1 for the remaining ones: of the units of one kind, in an order, each fold
    gets its share, rounded down."""
    ends = np.cumsum(
        np.floor(np.bincount(kind)[:, None] * np.asarray(shares) + _TIE).astype(np.int64), axis=1
    )
    place = np.empty(len(kind), dtype=np.int64)
    turn = np.empty(len(kind), dtype=np.int64)
    turn[order] = np.arange(len(kind))
    place[turn] = _places(kind[turn])
    fold = (place[:, None] >= ends[kind]).sum(axis=1)
    return np.where(fold == len(shares), -1, fold)


def _best(folds: Sequence[int], first: list[float], second: list[float], lot: float) -> int:
    top = max(first)
    best = [fold for fold in folds if first[fold] >= top - _TIE]
    if len(best) > 1:
        top = max(second[fold] for fold in best)
        best = [fold for fold in best if second[fold] >= top - _TIE]
    return best[int(lot * len(best))]


def _even_out(units: TagSets, shares: np.ndarray, fold: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move single units from fold to fold while the sum of (images - even share)^2 / images over all tags
    falls; the number of images counts as ten tags that every unit has. Of the units with one set of tags in a
    fold, a few are looked at: the others would make the same difference."""
    alike = hstack([units.has, csr_array(units.sizes[:, None])], format="csr")
    kind = units.of
    totals = (alike.T @ np.bincount(kind, minlength=len(units.sizes))).astype(float)
    weight = 1 / np.maximum(totals, 1)
    weight[-1] *= 10
    folds = len(shares)
    tags = list(
        zip(
            alike.indices.tolist(),
            alike.data.tolist(),
            (weight[alike.indices] * alike.data).tolist(),
            strict=True,
        )
    )
    tags_of = [tags[start:end] for start, end in pairwise(alike.indptr.tolist())]
    squares = csr_array((alike.data**2, alike.indices, alike.indptr), shape=alike.shape) @ weight
    fold = fold.copy()
    for _ in range(_PASSES):
        place = kind * folds + fold
        gap = (alike.T @ _members(units, fold, folds)).T - shares[:, None] * totals
        # The change by each single move selects the units for a closer look.
        pull = alike @ (weight * gap).T
        change = pull[:, None, :] - pull[:, :, None] + squares[:, None, None]
        change[:, np.arange(folds), np.arange(folds)] = 0
        worth = rng.permutation(np.flatnonzero((change.min(axis=2) < -_TIE).ravel()[place]))
        # Plain lists, as above.
        gaps = gap.tolist()
        few = worth[_places(place[worth]) < _FEW]
        for unit, of, here in zip(few.tolist(), kind[few].tolist(), fold[few].tolist(), strict=True):
            mine, its_tags = gaps[here], tags_of[of]
            best, there = -_TIE, here
            for other, theirs in enumerate(gaps):
                if other != here:
                    move = 0.0
                    for tag, images, weighed in its_tags:
                        move += weighed * (theirs[tag] - mine[tag] + images)
                    if move < best:
                        best, there = move, other
            if there != here:
                target = gaps[there]
                for tag, images, _ in its_tags:
                    mine[tag] -= images
                    target[tag] += images
                fold[unit] = there
    return fold


def hold_out(
    counts: np.ndarray, sizes: np.ndarray, target: float, spare: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Choose blocks (providers) whose images together come near a target, with no tag given too much away.

    counts: [B, T] int, the images of block b that have tag t; sizes: [B] int; target: images wanted;
    spare: [T], how many images of a tag may go. Returns [B] bool, the blocks chosen.

    Many random orders are tried, each taking the blocks that still fit. The nearest to the target wins; of
    equally near ones that with more tags, then with more blocks.
    """
    best, best_score = np.zeros(len(sizes), dtype=bool), (-float(target), 0, 0)
    # Few providers have few orders: each is tried once.
    for order in dict.fromkeys(tuple(rng.permutation(len(sizes)).tolist()) for _ in range(_TRIES)):
        chosen = np.zeros(len(sizes), dtype=bool)
        left, room = spare.astype(float), float(target)
        for block in order:
            # It exceeds the target by less than the remaining gap: nearer than without it.
            if sizes[block] < 2 * room and (counts[block] <= left).all():
                chosen[block] = True
                left = left - counts[block]
                room -= sizes[block]
        score = (-abs(room), int((counts[chosen].sum(axis=0) > 0).sum()), int(chosen.sum()))
        if score > best_score:
            best, best_score = chosen, score
    return best
