"""The result of one model on one split: its figures, and the values per pair behind them."""

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eufcc_cli.core.errors import DataError, ModelError
from eufcc_cli.core.evaluation.scores.eval_split import Scores, Source, TestSplit
from eufcc_cli.core.metrics.belief import Right, right_above
from eufcc_cli.core.metrics.calibration import Calibration, FacetCalibration, log_probabilities
from eufcc_cli.core.metrics.decided import average_precisions, decisions_in_parts, micro_average_precision
from eufcc_cli.core.metrics.ranking import RankMeans, Ranks, nan_row, rank_metrics_of, ranks
from eufcc_cli.core.taxonomy.tables.annotations import FACETS
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Targets, Vocabulary

OVERALL, MACRO = "overall", "macro"
Figure = tuple[str, str]
"""(overall, macro or a facet; metric)"""
_LISTED = 10  # best-ranked tags kept of every image, or as many as its facet has true tags at most


@dataclass(frozen=True)
class Measures:
    """The figures to compute in addition to R-Precision and the average ranking position."""

    ks: tuple[int, ...] = (1, 10)
    threshold: float | None = None
    """Probability from which a tag counts as decided; None leaves out all figures that need it."""
    details: bool = False
    """Average precision of every tag, and the best-ranked tags of every image."""


@dataclass(frozen=True)
class FacetResult:
    """One facet's p pairs: the images with at least one true tag in the vocabulary.

    rows: [p] rows of the split's table; values: {metric: float64 [p]}. Of each of the T true tags:
    true_pair [T] its pair, true_tag [T] its number, rank [T] float64, found [T] float64 its (expected)
    presence among the R best of its image. With `details`: best [p, m] the numbers of the best-ranked tags,
    best_scores [p, m] the logarithms of their probabilities, as `tag` shows them, average_precision [n].
    """

    tags: FacetVocabulary
    rows: np.ndarray
    values: dict[str, np.ndarray]
    true_pair: np.ndarray
    true_tag: np.ndarray
    rank: np.ndarray
    found: np.ndarray
    figures: dict[str, float] = field(default_factory=dict)
    """Figures that are no means over pairs: those of `decisions`."""
    best: np.ndarray | None = None
    best_scores: np.ndarray | None = None
    average_precision: np.ndarray | None = None
    right: Right = field(default_factory=dict)
    """How many suggestions above some probabilities are right, if the model has probabilities."""


@dataclass(frozen=True)
class Result:
    """One row of the table: a model on a split."""

    model: str
    method: str
    split: TestSplit
    scored: np.ndarray
    """Rows of the split's table that have scores."""
    facets: dict[str, FacetResult]
    missing: tuple[str, ...]
    failed: dict[str, str]
    unknown: dict[str, Counter[str]]
    """{facet: annotated tags outside the vocabulary, with the number of images that name each}."""
    not_scored: tuple[str, ...]
    """Facets that the split annotates and the model does not know."""
    vocabulary: Vocabulary
    intervals: dict[Figure, tuple[float, float]] = field(default_factory=dict)
    """Low and high of every figure, of the bootstrap."""
    deviations: dict[Figure, float] = field(default_factory=dict)
    """Standard deviations over seeds, where this is the mean of several runs."""
    seeds: tuple[int, ...] = ()
    """The seeds of these runs."""

    @cached_property
    def images(self) -> int:
        """Images that take part: scored, with a true tag in the vocabulary."""
        return len(np.unique(np.concatenate([facet.rows for facet in self.facets.values()])))

    @property
    def unannotated(self) -> int:
        """Images that are scored and have no true tag in the vocabulary."""
        return len(self.scored) - self.images

    @property
    def out_of_vocabulary(self) -> int:
        """True tags outside the vocabulary, over all images and facets."""
        return sum(sum(unknown.values()) for unknown in self.unknown.values())

    @cached_property
    def figures(self) -> dict[str, Any]:
        """`{"overall": {metric: mean, "pairs"}, "macro": {…}, "facets": {facet: {…, "images", "tags"}}}`."""
        means = RankMeans({name: {m: [v] for m, v in f.values.items()} for name, f in self.facets.items()})
        figures = means.compute()
        for name, facet in self.facets.items():
            figures["facets"][name] |= {"tags": len(facet.tags)} | facet.figures
        _add_extra(figures)
        return figures


def _add_extra(figures: dict[str, Any]) -> None:
    """Macro means of the metrics that are no means over pairs: they have no other overall value."""
    facets = [facet for facet in figures["facets"].values() if facet["images"]]
    ranked = set(figures["macro"]) | {"images", "tags"}
    for name in facets[0] if facets else []:
        if name not in ranked:
            values = [facet[name] for facet in facets if not math.isnan(facet[name])]
            figures["macro"][name] = math.fsum(values) / len(values) if values else math.nan


def measure(source: Source, split: TestSplit, scores: Scores, measures: Measures) -> Result:
    """All figures of one model on one split.

    Raises DataError where no scored image has a true tag in the vocabulary, ModelError for NaN scores.
    """
    targets = split.targets(source.vocabulary)
    calibration: Calibration | None = getattr(source, "calibration", None)
    facets = {}
    for name, tags in source.vocabulary.facets.items():
        table = torch.from_numpy(scores.facets[name])
        if (row := nan_row(table)) is not None:
            raise ModelError(
                f"{source.name}: a score of {split.ids[scores.rows[row]]} ({split.name}) in {name} is NaN",
                hint="the weights or the predictions are broken: train or export again",
            )
        fitted = calibration.facets.get(name) if calibration is not None else None
        facets[name] = _measure_facet(tags, targets[name], scores.rows, table, measures, fitted)
        if not len(facets[name].rows):
            continue
        own = scores.facets[name][np.flatnonzero(targets[name].annotated[scores.rows])]
        if fitted is not None:
            right = right_above(own, targets[name].dense(facets[name].rows), tags, fitted)
            facets[name] = replace(facets[name], right=right)
        if (best := facets[name].best) is not None:
            shown = log_probabilities(own, tags, fitted)
            facets[name] = replace(facets[name], best_scores=np.take_along_axis(shown, best, 1))
    if not any(len(facet.rows) for facet in facets.values()):
        raise DataError(
            f"{split.table}: no image has a true tag that {source.name} knows",
            hint="the model was trained on other facets or other tags than this table holds",
        )
    annotated = split.annotated_facets(FACETS)
    return Result(
        model=source.name,
        method=source.method,
        split=split,
        scored=scores.rows,
        facets=facets,
        missing=scores.missing,
        failed=scores.failed,
        unknown={name: found.unknown for name, found in targets.items()},
        not_scored=tuple(facet for facet in annotated if facet not in source.vocabulary.facets),
        vocabulary=source.vocabulary,
    )


def _measure_facet(
    tags: FacetVocabulary,
    targets: Targets,
    scored: np.ndarray,
    scores: Tensor,
    measures: Measures,
    fitted: FacetCalibration | None,
) -> FacetResult:
    chosen = np.flatnonzero(targets.annotated[scored])
    rows = scored[chosen]
    true = [targets.row(row) for row in rows]
    relevant = np.array([len(tags) for tags in true], dtype=np.int64)
    pair = np.repeat(np.arange(len(rows)), relevant)
    tag = np.concatenate([np.empty(0, dtype=np.int64), *true])
    place = ranks(scores, torch.from_numpy(chosen[pair]), torch.from_numpy(tag))
    place = Ranks(torch.from_numpy(pair), place.better, place.tied)
    values = rank_metrics_of(place, len(rows), measures.ks)
    result = FacetResult(
        tags=tags,
        rows=rows,
        values={name: value.numpy() for name, value in values.items()},
        true_pair=pair,
        true_tag=tag,
        rank=place.rank.numpy(),
        found=place.among_best(torch.from_numpy(relevant)[place.row]).numpy(),
    )
    if len(rows) and (measures.details or measures.threshold is not None):
        truth = targets.dense(rows)
        result = replace(result, **_beyond_ranking(result, scores[chosen], truth, measures, fitted))
    return result


def _beyond_ranking(
    result: FacetResult,
    scores: Tensor,
    truth: np.ndarray,
    measures: Measures,
    fitted: FacetCalibration | None,
) -> dict[str, Any]:
    """The fields of a FacetResult that need more than the ranks of the true tags.

    Tags are decided by the probabilities that `tag` shows; scores without a calibration are taken as given.
    """
    fields: dict[str, Any] = {}
    figures: dict[str, float] = {}
    if measures.details:
        precision = average_precisions(scores.numpy(), truth)
        known = precision[~np.isnan(precision)]
        figures["map"] = math.fsum(known.tolist()) / len(known)
        figures["map_micro"] = micro_average_precision(scores.numpy(), truth)
        most = max(_LISTED, int(np.bincount(result.true_pair).max()))
        best_scores, best = scores.topk(min(most, scores.shape[1]))
        fields |= {"average_precision": precision, "best": best.numpy(), "best_scores": best_scores.numpy()}
    if measures.threshold is not None:
        ancestors, true = result.tags.ancestors, torch.from_numpy(truth)
        shown = partial(log_probabilities, tags=result.tags, calibration=fitted) if fitted else None
        figures |= decisions_in_parts(scores, true, ancestors, measures.threshold, shown).metrics()
    return {**fields, "figures": figures}
