"""How well scores rank the true tags: R-Precision, Acc@k and average ranking position, ties included.

Every function is pure, takes one facet's scores of a batch of images, and works on any device. Higher
scores rank first; only their order counts, so log-scores in float32 keep what probabilities would lose.

Source of the definitions: Net et al., EUFCC-340K (2024), section 4. Equal scores count by their expected
value over the random order of the tied group, so that no method gains from the order of the vocabulary.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import BoolTensor, Tensor

from eufcc_cli.core.errors import ModelError

# Scores compared at once. On the CPU a block stays in the cache, and below the size from which torch shares
# an operation among threads: these are so short that waiting for each other would cost more than they gain.
_CPU_BLOCK = 32 * 1024 - 1
_GPU_BLOCK = 64 * 1024 * 1024


@dataclass(frozen=True)
class Ranks:
    """Where every true tag of a batch stands among all the tags of its facet.

    `row` int64 [T] is the true tag's image (sorted), `better` int64 [T] how many tags score above it,
    `tied` int64 [T] how many share its score, itself included.
    """

    row: Tensor
    better: Tensor
    tied: Tensor

    @property
    def rank(self) -> Tensor:
        """Mid-ranks [T] float64: 1 for the best tag, the middle of its group for a tied one."""
        return 1 + self.better + (self.tied - 1).double() / 2

    def among_best(self, cut: Tensor) -> Tensor:
        """The chance [T] float64 that each true tag is among the `cut` [T] best tags of its row."""
        return ((cut - self.better) / self.tied.double()).clamp(0, 1)


def ranks(scores: Tensor, row: Tensor, column: Tensor) -> Ranks:
    """Count, for every true tag, the tags of its row that score above it and those that tie with it.

    `scores` [B, n] floating; the true tags are at `row` and `column`, int64 [T], sorted by row. Each costs
    one comparison with its row, in blocks that stay in the cache: no sorting, and next to no memory beyond
    the scores. Raises ModelError for NaN.
    """
    check_no_nan(scores)
    own = scores[row, column]
    # Comparing into a buffer of numbers keeps comparison and sum vectorised; counts are exact to 2**24.
    counting = torch.float64 if scores.dtype == torch.float64 else torch.float32
    better = torch.empty(len(row), dtype=counting, device=scores.device)
    at_least = torch.empty_like(better)
    tags = max(1, scores.shape[1])
    step = max(1, (_CPU_BLOCK if scores.device.type == "cpu" else _GPU_BLOCK) // tags)
    buffer = torch.empty(min(step, len(row)), tags, dtype=counting, device=scores.device)
    for start in range(0, len(row), step):
        part = slice(start, start + step)
        block = scores.index_select(0, row[part]).to(counting)
        mark, least = buffer[: len(block)], own[part, None].to(counting)
        better[part] = torch.gt(block, least, out=mark).sum(1)
        at_least[part] = torch.ge(block, least, out=mark).sum(1)
    return Ranks(row, better.long(), (at_least - better).long())


def check_no_nan(scores: Tensor) -> None:
    """Raise ModelError where a score is not a number."""
    if (row := nan_row(scores)) is not None:
        raise ModelError(
            f"scores of image {row} (counted from 0 in its batch) are not numbers (NaN)",
            hint="the weights or predictions are damaged; in training, give a smaller `lr`",
        )


def nan_row(scores: Tensor) -> int | None:
    """The first row of [B, n] that holds NaN (amin passes NaN on, without any memory)."""
    if not scores.numel() or not bool(scores.amin().isnan()):
        return None
    return int(scores.isnan().any(1).nonzero()[0])


def rank_metrics(
    log_scores: Tensor, truth: BoolTensor | Tensor, ks: Sequence[int] = (1, 10)
) -> dict[str, Tensor]:
    """R-Precision, Acc@k and average ranking position of each image, float64 [B].

    `log_scores` [B, n] float32, `truth` [B, n] bool with at least one true tag in every row. With R true
    tags: `r_precision` is the share of true tags among the R best, `acc@k` is 1 where a true tag is among
    the k best, `avg_rp` is the mean rank of the true tags. Raises ModelError for NaN, ValueError for a row
    without a true tag.

    >>> scores = torch.tensor([[0.9, 0.5, 0.5, 0.1]]).log()
    >>> truth = torch.tensor([[True, True, False, False]])
    >>> {name: value.item() for name, value in rank_metrics(scores, truth, ks=[1, 2]).items()}
    {'r_precision': 0.75, 'acc@1': 1.0, 'acc@2': 1.0, 'avg_rp': 1.75}
    """
    if log_scores.shape != truth.shape or log_scores.ndim != 2:
        raise ValueError(f"scores {[*log_scores.shape]} and truth {[*truth.shape]} must be one [B, n]")
    row, column = truth.nonzero(as_tuple=True)
    return rank_metrics_of(ranks(log_scores, row, column), len(log_scores), ks)


def rank_metrics_of(found: Ranks, rows: int, ks: Sequence[int] = (1, 10)) -> dict[str, Tensor]:
    """The same from ranks that are already counted."""
    if any(k < 1 for k in ks):
        raise ValueError(f"k must be at least 1: {list(ks)}")
    row, better, tied = found.row, found.better, found.tied
    zeros = torch.zeros(rows, dtype=torch.int64, device=row.device)

    def count(mark: Tensor) -> Tensor:
        return zeros.index_add(0, row, mark.long())

    def largest(values: Tensor) -> Tensor:
        return zeros.scatter_reduce(0, row, values, "amax")

    relevant = count(torch.ones_like(row))
    if bool((relevant == 0).any()):
        raise ValueError("every row needs at least one true tag")
    # At most one group of equal scores lies across the cut after R tags; all others are in or out. Each
    # figure is so a ratio of integers, and cannot depend on the order of the batch.
    cut = relevant[row]
    inside = better + tied <= cut
    across = (better < cut) & ~inside
    share = largest((cut - better) * across) / largest(tied * across).clamp(min=1).double()
    metrics = {"r_precision": (count(inside) + count(across) * share) / relevant.double()}

    best = zeros.scatter_reduce(0, row, better, "amin", include_self=False)
    of_best = better == best[row]
    group, true_in_group = largest(tied * of_best), count(of_best)
    for k in ks:
        # The chance that the k - best tags drawn from the best group hold none of its true tags:
        # hypergeometric, as a product over the true tags.
        drawn = (k - best).clamp(min=0).minimum(group)
        none = torch.ones(rows, dtype=torch.float64, device=row.device)
        for i in range(int(true_in_group.max()) if rows else 0):
            term = (group - drawn - i).clamp(min=0) / (group - i).clamp(min=1).double()
            none = torch.where(i < true_in_group, none * term, none)
        metrics[f"acc@{k}"] = 1 - none

    twice = count(2 * better + tied - 1)  # twice the sum of (rank - 1), an integer
    metrics["avg_rp"] = 1 + twice / (2 * relevant).double()
    return metrics


@dataclass
class RankMeans:
    """Means of `rank_metrics` over (image, facet) pairs, per facet and overall.

    Keeps every pair's values and adds them with `math.fsum`, which rounds once: neither the size nor the
    order of batches, nor the number of processes whose parts are merged, changes a digit.

    >>> means = RankMeans()
    >>> means.update("materials", {"acc@1": torch.tensor([1.0, 0.0])})
    >>> means.update("subjects", {"acc@1": torch.tensor([1.0])})
    >>> means.compute()["overall"]
    {'acc@1': 0.6666666666666666, 'pairs': 3}
    """

    values: dict[str, dict[str, list[np.ndarray]]] = field(default_factory=dict)

    def update(self, facet: str, metrics: Mapping[str, Tensor | np.ndarray]) -> None:
        """Add one batch of a facet's values, each [B]."""
        kept = self.values.setdefault(facet, {})
        for name, value in metrics.items():
            array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
            kept.setdefault(name, []).append(np.asarray(array, dtype=np.float64))

    def merge(self, others: Iterable["RankMeans"]) -> "RankMeans":
        """Add what other processes gathered; returns self."""
        for other in others:
            for facet, metrics in other.values.items():
                for name, parts in metrics.items():
                    self.values.setdefault(facet, {}).setdefault(name, []).extend(parts)
        return self

    def compute(self) -> dict[str, Any]:
        """`{"overall": {metric: mean, "pairs": N}, "facets": {facet: {…, "images": N}}, "macro": {…}}`.

        Overall is the mean over all pairs, macro the mean of the facets' means; both NaN without pairs.
        """
        facets = {
            facet: {name: mean(parts) for name, parts in metrics.items()}
            | {"images": sum(map(len, next(iter(metrics.values()), [])))}
            for facet, metrics in self.values.items()
        }
        names = list(dict.fromkeys(name for metrics in self.values.values() for name in metrics))
        together = {
            name: [part for metrics in self.values.values() for part in metrics.get(name, [])]
            for name in names
        }
        pairs = sum(int(facet["images"]) for facet in facets.values())
        scored = [facet for facet in facets.values() if facet["images"]]
        return {
            "overall": {name: mean(parts) for name, parts in together.items()} | {"pairs": pairs},
            "facets": facets,
            "macro": {name: mean([np.array([facet[name] for facet in scored])]) for name in names},
        }


def mean(parts: Iterable[np.ndarray]) -> float:
    """The mean of all values, rounded once, whatever their order; NaN where there are none."""
    values = [value for part in parts for value in part.tolist()]
    return math.fsum(values) / len(values) if values else math.nan
