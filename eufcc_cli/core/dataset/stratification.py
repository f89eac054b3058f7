"""Dividing images among splits: whole providers held out, and iterative stratification over the tags."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array, hstack

_TRIES = 300
_PASSES = 4
_TIE = 1e-9


def stratify(
    counts: csr_array, sizes: np.ndarray, shares: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Assign each of N units to one of the folds so that every tag is shared out as the images are.

    counts: [N, T] int, the images of unit i that have tag t (a unit is an image, or several that must stay
    together); sizes: [N] int, the images of each unit; shares: the folds' shares, summing to 1. Returns
    [N] int64, the fold of each unit.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, "On the stratification of multi-label
    data", algorithm 1): the tag with the fewest units left goes first, and each of its units to the fold
    that still wants most of that tag, then most images, then by lot. It looks at one tag at a time, which
    serves rare tags well and the general ones above them no better than chance; so units are then moved
    while that brings all their tags together nearer to their shares.
    """
    folds = range(len(shares))
    # Plain lists: the loop below touches single numbers, which numpy is slow at.
    wanted = [[share * total for total in counts.sum(axis=0).tolist()] for share in shares]
    room = [share * float(sizes.sum()) for share in shares]
    by_tag = counts.tocsc()
    left = np.diff(by_tag.indptr)
    unit_tags, unit_counts, starts = counts.indices.tolist(), counts.data.tolist(), counts.indptr.tolist()
    unit_sizes = sizes.tolist()
    order = rng.permutation(len(sizes))
    lots = rng.random(len(sizes)).tolist()
    out = np.full(len(sizes), -1, dtype=np.int64)

    def assign(unit: int, fold: int) -> None:
        out[unit] = fold
        room[fold] -= unit_sizes[unit]
        mine = wanted[fold]
        for i in range(starts[unit], starts[unit + 1]):
            mine[unit_tags[i]] -= unit_counts[i]

    while (left > 0).any():
        tag = int(np.argmin(np.where(left > 0, left, np.iinfo(left.dtype).max)))
        units = by_tag.indices[by_tag.indptr[tag] : by_tag.indptr[tag + 1]]
        units = units[out[units] < 0]
        units = units[np.argsort(order[units])]
        for unit in units.tolist():
            assign(unit, _best(folds, [wanted[fold][tag] for fold in folds], room, lots[unit]))
        gone = np.concatenate([counts.indices[starts[unit] : starts[unit + 1]] for unit in units.tolist()])
        left = left - np.bincount(gone, minlength=len(left))
    for unit in np.flatnonzero(out < 0)[np.argsort(order[out < 0])].tolist():
        assign(unit, _best(folds, room, room, lots[unit]))
    return _even_out(counts, sizes, np.asarray(shares), out, rng)


def _best(folds: Sequence[int], first: list[float], second: list[float], lot: float) -> int:
    top = max(first)
    best = [fold for fold in folds if first[fold] >= top - _TIE]
    if len(best) > 1:
        top = max(second[fold] for fold in best)
        best = [fold for fold in best if second[fold] >= top - _TIE]
    return best[int(lot * len(best))]


def _even_out(
    counts: csr_array, sizes: np.ndarray, shares: np.ndarray, fold: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Move single units from fold to fold while the sum of (images - even share)^2 / images over all tags
    falls; the number of images counts as ten tags that every unit has."""
    counts = hstack([counts, csr_array(sizes[:, None])], format="csr")
    totals = np.asarray(counts.sum(axis=0), dtype=float)
    weight = 1 / np.maximum(totals, 1)
    weight[-1] *= 10
    squares = csr_array((counts.data**2, counts.indices, counts.indptr), shape=counts.shape)
    fold = fold.copy()
    for _ in range(_PASSES):
        gap = np.stack([np.asarray(counts[fold == f].sum(axis=0)) for f in range(len(shares))])
        gap = gap - shares[:, None] * totals
        # What each move would change by itself picks the units worth a closer look.
        pull = counts @ (weight * gap).T
        change = pull - pull[np.arange(len(fold)), fold][:, None] + (squares @ weight)[:, None]
        change[np.arange(len(fold)), fold] = 0
        for unit in rng.permutation(np.flatnonzero(change.min(axis=1) < -_TIE)).tolist():
            tags = counts.indices[counts.indptr[unit] : counts.indptr[unit + 1]]
            count = counts.data[counts.indptr[unit] : counts.indptr[unit + 1]]
            here, gaps = fold[unit], gap[:, tags]
            moves = (weight[tags] * count * (gaps - gaps[here] + count)).sum(axis=1)
            moves[here] = 0
            there = int(moves.argmin())
            if moves[there] < -_TIE:
                gap[here, tags] -= count
                gap[there, tags] += count
                fold[unit] = there
    return fold


def hold_out(
    counts: np.ndarray, sizes: np.ndarray, target: float, spare: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Choose blocks (providers) whose images together come near a target, with no tag given too much away.

    counts: [B, T] int, the images of block b that have tag t; sizes: [B] int; target: images wanted;
    spare: [T], how many images of a tag may go. Returns [B] bool, the blocks chosen.

    Many random orders are tried, each taking what still fits; the nearest to the target wins, of equal
    ones the one that shows more tags, then more blocks.
    """
    best, best_score = np.zeros(len(sizes), dtype=bool), (-float(target), 0, 0)
    for _ in range(_TRIES):
        chosen = np.zeros(len(sizes), dtype=bool)
        left, room = spare.astype(float), float(target)
        for block in rng.permutation(len(sizes)).tolist():
            # Past the target by less than the gap that is left: nearer than without it.
            if sizes[block] < 2 * room and (counts[block] <= left).all():
                chosen[block] = True
                left = left - counts[block]
                room -= sizes[block]
        score = (-abs(room), int((counts[chosen].sum(axis=0) > 0).sum()), int(chosen.sum()))
        if score > best_score:
            best, best_score = chosen, score
    return best
