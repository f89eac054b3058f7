"""The cluster bootstrap: how much figures would vary with other providers or other images."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.evaluation.results import MACRO, OVERALL, Figure, Result
from eufcc_cli.core.evaluation.scores.eval_split import TestSplit

_AT_ONCE = 4_000_000  # resampled counts held at once


@dataclass(frozen=True)
class Bootstrap:
    """Resamples whole providers (Field and Welsh 2007), since images of one collection are alike; or images.

    Every result of a split sees the same resamples, so that differences are paired.
    """

    draws: int
    by: str = "provider"
    seed: int = 0
    level: float = 0.95

    def clusters(self, split: TestSplit) -> np.ndarray:
        """The cluster number of every row; raises DataError if there is only one cluster."""
        labels = split.providers if self.by == "provider" else np.arange(len(split))
        _, cluster = np.unique(labels, return_inverse=True)
        if cluster.max(initial=0) == 0:
            raise DataError(
                f"{split.table}: all images are of one {self.by}: nothing to resample",
                hint="give `resample=image`",
            )
        return cluster

    def replicates(self, result: Result) -> dict[Figure, np.ndarray]:
        """Every figure that is a mean over pairs, in every resample: float64 [draws]."""
        cluster = self.clusters(result.split)
        size = int(cluster.max()) + 1
        sums = {
            facet: {
                metric: np.bincount(cluster[found.rows], weights=values, minlength=size)
                for metric, values in found.values.items()
            }
            for facet, found in result.facets.items()
        }
        pairs = {f: np.bincount(cluster[r.rows], minlength=size) for f, r in result.facets.items()}
        metrics = list(next(iter(sums.values())))
        columns = [*(sums[f][m] for f in sums for m in metrics), *pairs.values()]
        stacked = np.stack(columns, axis=1).astype(np.float64)
        totals = np.concatenate([weights @ stacked for weights in self._weights(size)])
        by_facet = totals[:, : -len(pairs)].reshape(-1, len(pairs), len(metrics))
        counts = totals[:, -len(pairs) :, None]
        with np.errstate(invalid="ignore"):  # a facet without a pair in a resample is NaN there
            means = by_facet / counts
            overall = by_facet.sum(1) / counts.sum(1)
        out = {(OVERALL, metric): overall[:, i] for i, metric in enumerate(metrics)}
        scored = [i for i, found in enumerate(result.facets.values()) if len(found.rows)]
        macro = _mean_of_known(means[:, scored])
        out |= {(MACRO, metric): macro[:, i] for i, metric in enumerate(metrics)}
        return out | {
            (facet, metric): means[:, i, j]
            for i, facet in enumerate(sums)
            for j, metric in enumerate(metrics)
        }

    def interval(self, replicates: np.ndarray) -> tuple[float, float]:
        """The percentile interval of the replicates that are defined."""
        known = replicates[~np.isnan(replicates)]
        if not len(known):
            return (float("nan"), float("nan"))
        tail = (1 - self.level) / 2
        low, high = np.quantile(known, [tail, 1 - tail])
        return float(low), float(high)

    def _weights(self, size: int) -> Iterator[np.ndarray]:
        random = np.random.default_rng(self.seed)
        step = max(1, _AT_ONCE // size)
        for start in range(0, self.draws, step):
            yield random.multinomial(size, np.full(size, 1 / size), min(step, self.draws - start))


def _mean_of_known(means: np.ndarray) -> np.ndarray:
    """The mean over axis 1 of what is not NaN."""
    known = ~np.isnan(means)
    with np.errstate(invalid="ignore"):
        return np.where(known, means, 0).sum(1) / known.sum(1)


@dataclass(frozen=True)
class Difference:
    """How much better one model is than another on the same split: figures, intervals."""

    model: str
    against: str
    split: str
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]


def difference(bootstrap: Bootstrap, one: Result, other: Result) -> Difference:
    """The paired difference `one` - `other` of the overall figures, on the same resamples."""
    ours, theirs = bootstrap.replicates(one), bootstrap.replicates(other)
    metrics = [metric for scope, metric in ours if scope == OVERALL]
    return Difference(
        model=one.model,
        against=other.model,
        split=one.split.name,
        figures={m: one.figures[OVERALL][m] - other.figures[OVERALL][m] for m in metrics},
        intervals={m: bootstrap.interval(ours[OVERALL, m] - theirs[OVERALL, m]) for m in metrics},
    )
