"""Which suggestions a reviewer sees, in which order: first those that save the most clicks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.tagging.review.review_state import Review
from eufcc_cli.core.taxonomy.tables.annotations import FACETS

SORTS = ("probability", "uncertainty")


@dataclass(frozen=True)
class Filter:
    """Which rows are shown, and in which order."""

    facet: str | None = None
    provider: str | None = None
    undecided: bool = False
    low: float = 0.0
    high: float = 1.0
    contradictions: bool = False
    sort: str = "probability"

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "Filter":
        """A filter from a URL's parameters; DataError for invalid values."""
        facet, provider, sort = query.get("facet"), query.get("provider"), query.get("sort", SORTS[0])
        if facet and facet not in FACETS:
            raise DataError(f"no facet {facet!r}")
        if sort not in SORTS:
            raise DataError(f"no order {sort!r}")
        try:
            low, high = float(query.get("low", 0)), float(query.get("high", 1))
        except ValueError as error:
            raise DataError("a probability is a number from 0 to 1") from error
        flags = (query.get("undecided") == "1", query.get("contradictions") == "1")
        return cls(facet or None, provider or None, flags[0], low, high, flags[1], sort)

    def rows(self, review: Review) -> np.ndarray:
        """bool [rows]: those to show. Tags that people added have no probability and are left out."""
        suggestions = review.suggestions
        shown = np.arange(len(review)) < review.suggested
        if self.facet:
            shown &= np.array([term.facet == self.facet for term in suggestions.terms])[review.term]
        if self.provider:
            shown &= np.array([image.provider == self.provider for image in suggestions.images])[review.image]
        if self.undecided:
            shown &= review.verdict == 0
        if self.contradictions:
            shown &= review.contradicts
        if self.low > 0 or self.high < 1:
            shown &= (review.score >= self.low) & (review.score <= self.high)
        return shown

    def order(self, review: Review, rows: np.ndarray) -> np.ndarray:
        """Row numbers in the filter's order: most probable first, or most uncertain first."""
        key = -uncertainty(review)[rows] if self.sort == "uncertainty" else -review.score[rows]
        return rows[np.argsort(key, kind="stable")]


def uncertainty(review: Review) -> np.ndarray:
    """[rows]: 1 at probability 0.5, 0 at probability 0 or 1; for suspects, their doubt."""
    return np.where(np.isnan(review.doubt), 1 - np.abs(2 * review.score - 1), review.doubt)


def clicks_saved(review: Review, shown: np.ndarray) -> np.ndarray:
    """[terms]: how many clicks the sheet of a term is expected to save, compared with one click a suggestion.

    A sheet costs one key press, and one more for each image that is marked wrongly. It decides its own rows,
    the broader terms of accepted rows, and the narrower terms of rejected rows.
    """
    open_rows = (review.verdict == 0) & (np.arange(len(review)) < review.suggested)
    counted = np.flatnonzero(shown & open_rows)
    score = np.nan_to_num(review.score, nan=1.0)
    narrower, broader = review.pairs
    both = open_rows[narrower] & open_rows[broader]
    narrower, broader = narrower[both], broader[both]
    above = np.bincount(narrower, minlength=len(review))
    below = np.bincount(broader, minlength=len(review))
    decided = 1 + score * above + (1 - score) * below
    saved = (decided - np.minimum(score, 1 - score))[counted]
    terms = review.term[counted]
    size = len(review.suggestions.terms)
    touched = np.bincount(terms, minlength=size) > 0
    return np.bincount(terms, weights=saved, minlength=size) - touched


def terms(review: Review, filter_: Filter) -> list[dict[str, Any]]:
    """The terms with rows to show: those whose sheets save most clicks first, finished terms last."""
    shown = filter_.rows(review)
    size = len(review.suggestions.terms)
    total = np.bincount(review.term[shown], minlength=size)
    left = np.bincount(review.term[shown & (review.verdict == 0)], minlength=size)
    numbers = np.flatnonzero(total)
    saved = clicks_saved(review, shown)
    if filter_.sort == "uncertainty":
        value = np.zeros(size)
        counted = shown & (review.verdict == 0)
        np.add.at(value, review.term[counted], uncertainty(review)[counted])
    else:
        value = saved
    order = numbers[np.lexsort((-value[numbers], left[numbers] == 0))]
    return [
        {
            "term": int(n),
            "facet": review.suggestions.terms[n].facet,
            "path": review.suggestions.terms[n].path,
            "total": int(total[n]),
            "left": int(left[n]),
        }
        for n in order.tolist()
    ]


def sheet(review: Review, term: int, filter_: Filter) -> list[list[Any]]:
    """The rows of one term: [row, image, probability, verdict, contradicts the record, in the record]."""
    rows = filter_.order(review, np.flatnonzero(filter_.rows(review) & (review.term == term)))
    columns = (rows, review.image[rows], review.score[rows], review.verdict[rows])
    flags = (review.contradicts[rows], review.in_record[rows])
    return [list(row) for row in zip(*(column.tolist() for column in (*columns, *flags)), strict=True)]


def images(review: Review, filter_: Filter) -> list[list[int]]:
    """[image, rows left to decide, rows] of the images with rows to show.

    In the order of the suggestions, or those with the most uncertain open row first.
    """
    shown = filter_.rows(review)
    size = len(review.suggestions.images)
    total = np.bincount(review.image[shown], minlength=size)
    undecided = shown & (review.verdict == 0)
    left = np.bincount(review.image[undecided], minlength=size)
    numbers = np.flatnonzero(total)
    if filter_.sort == "uncertainty":
        most = np.zeros(size)
        np.maximum.at(most, review.image[undecided], uncertainty(review)[undecided])
        numbers = numbers[np.argsort(-most[numbers], kind="stable")]
    return [[int(n), int(left[n]), int(total[n])] for n in numbers.tolist()]
