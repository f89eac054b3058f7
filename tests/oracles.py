"""Slow, independent references for metrics, methods and builders: loops and dictionaries, no vectorising."""

import itertools
from fractions import Fraction

# --- metrics -----------------------------------------------------------------------------------------


def rank_metrics_by_orders(scores, true, ks):
    """The four figures of one image as means over all orders of the tags that respect the scores.

    Exact fractions; factorial in the size of the tied groups, so only for a handful of tags.
    """
    tags = range(len(scores))
    groups = [[tag for tag in tags if scores[tag] == score] for score in sorted(set(scores), reverse=True)]
    sums = dict.fromkeys(["r_precision", *(f"acc@{k}" for k in ks), "avg_rp"], Fraction(0))
    orders = 0
    for parts in itertools.product(*(list(itertools.permutations(group)) for group in groups)):
        order = [tag for part in parts for tag in part]
        orders += 1
        sums["r_precision"] += Fraction(sum(tag in true for tag in order[: len(true)]), len(true))
        for k in ks:
            sums[f"acc@{k}"] += any(tag in true for tag in order[:k])
        sums["avg_rp"] += Fraction(sum(order.index(tag) + 1 for tag in true), len(true))
    return {name: float(value / orders) for name, value in sums.items()}
