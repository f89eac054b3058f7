"""How reliable a model is, in words, compared with always naming the most frequent tags."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from eufcc_cli.core.metrics.calibration import Calibration, Coherence, FacetCalibration
from eufcc_cli.core.metrics.ranking import rank_metrics

if TYPE_CHECKING:
    from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Vocabulary

LEVELS = (0.9, 0.7, 0.5)
"""Probabilities from which suggestions are counted."""

_FEW = 30  # images below which a figure is not reliable
_ROWS = 4096  # images that are compared at once

Right = dict[float, tuple[int, int]]
"""{probability: (right suggestions, all suggestions) with at least this probability}."""


@dataclass(frozen=True)
class Belief:
    """A model in one facet, compared with naming the most frequent tags."""

    facet: str
    images: int
    r_precision: float
    most_frequent: float | None
    """R-Precision of always naming the most frequent tags of the training images; None where unknown."""
    right: Right = field(default_factory=dict)

    def sentence(self) -> str:
        """One sentence of judgement.

        >>> Belief("materials", 400, 0.76, 0.35).sentence()
        'materials: useful with review: R-Precision 0.76, always naming the most frequent tags 0.35'
        >>> Belief("subjects", 400, 0.5, 0.52).sentence()
        'subjects: no better than always naming the most frequent tags: R-Precision 0.50 beside 0.52'
        """
        figure = f"R-Precision {self.r_precision:.2f}"
        if self.images < _FEW:
            return f"{self.facet}: too few images to judge by ({self.images}): {figure}"
        if self.most_frequent is None:
            return f"{self.facet}: {figure}"
        if self.r_precision <= self.most_frequent + 0.01:
            beside = f"{figure} beside {self.most_frequent:.2f}"
            return f"{self.facet}: no better than always naming the most frequent tags: {beside}"
        gained = (self.r_precision - self.most_frequent) / (1 - self.most_frequent)
        word = "little help" if gained < 0.25 else "useful with review" if gained < 0.75 else "reliable"
        return (
            f"{self.facet}: {word}: {figure}, always naming the most frequent tags {self.most_frequent:.2f}"
        )


def overall(beliefs: list[Belief]) -> list[str]:
    """A summary of all facets, in up to two sentences."""
    images = sum(belief.images for belief in beliefs)
    frequent = [
        belief.images * belief.most_frequent for belief in beliefs if belief.most_frequent is not None
    ]
    lines = []
    if images and len(frequent) == len(beliefs):
        own = sum(belief.images * belief.r_precision for belief in beliefs) / images
        reached = sum(frequent) / images
        lines.append(f"R-Precision {own:.3f}; always naming the most frequent tags reaches {reached:.3f}")
    shares = []
    for level in LEVELS:
        right = sum(belief.right.get(level, (0, 0))[0] for belief in beliefs)
        suggested = sum(belief.right.get(level, (0, 0))[1] for belief in beliefs)
        if suggested:
            shares.append(f"{suggested:,} above {level:g}, {right / suggested:.0%} were right")
    if shares:
        lines.append(f"of the suggestions: of {'; of '.join(shares)}")
    return lines


def most_frequent(counts: np.ndarray, truth: np.ndarray) -> float:
    """R-Precision of ranking the tags by their number of training images [n], on images bool [B, n].

    Only images with a true tag count; NaN where there is none.
    """
    truth = truth[truth.any(1)]
    if not len(truth):
        return float("nan")
    total = 0.0
    for start in range(0, len(truth), _ROWS):
        part = torch.from_numpy(truth[start : start + _ROWS])
        scores = torch.from_numpy(np.log(counts + 0.5)).float().expand(len(part), -1)
        total += float(rank_metrics(scores, part)["r_precision"].sum())
    return total / len(truth)


def right_above(
    log_scores: np.ndarray, truth: np.ndarray, tags: "FacetVocabulary", calibration: FacetCalibration
) -> Right:
    """How many suggestions of annotated images are right, above several probabilities.

    log_scores float [B, n], as the method gives them; truth bool [B, n], with the ancestors of true tags,
    as suggestions have them.
    """
    coherence = Coherence(tags)
    found = np.zeros((len(LEVELS), 2), np.int64)
    rows = np.flatnonzero(truth.any(1))
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        probabilities = calibration.probabilities(coherence(log_scores[part]))
        for number, level in enumerate(LEVELS):
            suggested = probabilities >= level
            found[number] += (suggested & truth[part]).sum(), suggested.sum()
    return {level: (int(a), int(b)) for level, (a, b) in zip(LEVELS, found, strict=True)}


def beliefs_of(
    log_scores: Mapping[str, np.ndarray],
    truth: Mapping[str, np.ndarray],
    counts: Mapping[str, np.ndarray],
    vocabulary: "Vocabulary",
    calibration: Calibration,
) -> list[Belief]:
    """How reliable scores {facet: [B, n]} of images with true tags are; counts [n]: images in training."""
    beliefs = []
    for facet, tags in vocabulary.facets.items():
        annotated = truth[facet].any(1)
        if not annotated.any():
            continue
        scores, true = log_scores[facet][annotated], truth[facet][annotated]
        figures = rank_metrics(torch.from_numpy(scores), torch.from_numpy(true))
        right = {}
        if facet in calibration.facets:
            right = right_above(scores, true, tags, calibration.facets[facet])
        frequent = most_frequent(counts[facet], true)
        figure = float(figures["r_precision"].mean())
        beliefs.append(Belief(facet, int(annotated.sum()), figure, frequent, right))
    return beliefs
