"""Which terms come first, what a filter shows, and in which order."""

from pathlib import Path

import numpy as np
import pytest

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root
from eufcc_cli.core.tagging.review import ordering
from eufcc_cli.core.tagging.review.opening import open_review
from eufcc_cli.core.tagging.review.ordering import Filter
from eufcc_cli.core.tagging.review.review_state import Review
from tests.core.tagging.review.conftest import METAL, SILK, line, suggestion, write_lines


def names(review: Review, **query: str) -> list[str]:
    return [term["path"][-1] for term in ordering.terms(review, Filter.from_query(query))]


def clicks_saved(review: Review, term: int) -> float:
    """By one row after another, what `ordering.clicks_saved` computes at once."""
    saved = 0.0
    rows = [row for row in range(review.suggested) if review.term[row] == term and not review.verdict[row]]
    for row in rows:
        p = float(review.score[row])
        above = sum(not review.verdict[other] for other in review.ancestors_of(row))
        below = sum(not review.verdict[other] for other in review.descendants_of(row))
        saved += 1 + p * above + (1 - p) * below - min(p, 1 - p)
    return saved - bool(rows)


def test_terms_come_as_they_save_clicks_and_decided_ones_last(review: Review) -> None:
    rng = np.random.default_rng(3)
    for row in rng.choice(review.suggested, 30, replace=False).tolist():
        review.decide("p", {row: "accepted" if rng.random() < 0.7 else "rejected"})
    shown = Filter().rows(review)
    expected = [clicks_saved(review, term) for term in range(len(review.suggestions.terms))]
    assert ordering.clicks_saved(review, shown) == pytest.approx(expected)
    listed = ordering.terms(review, Filter())
    saved = [expected[term["term"]] for term in listed if term["left"]]
    assert saved == sorted(saved, reverse=True)
    assert [bool(term["left"]) for term in listed] == sorted((bool(t["left"]) for t in listed), reverse=True)


def test_many_and_probable_terms_come_first(tmp_path: Path) -> None:
    tags = [("few", 0.9, 2), ("many", 0.9, 9), ("unsure", 0.5, 9)]
    lines = [
        line(i, {"materials": [suggestion([tag], score) for tag, score, count in tags if i < count]})
        for i in range(9)
    ]
    review = open_review(write_lines(tmp_path / "t.jsonl", lines), Root(tmp_path), "x")[0]
    assert names(review) == ["many", "unsure", "few"]
    assert names(review, sort="uncertainty") == ["unsure", "many", "few"]


def test_filters(review: Review) -> None:
    assert set(names(review)) == {"metal", "copper alloy", "bronze", "vase", "silk"}
    assert names(review, facet="objectTypes") == ["vase"]
    assert set(names(review, provider="City Archive")) == {"metal", "copper alloy", "bronze", "vase"}
    assert set(names(review, contradictions="1")) == {"metal", "copper alloy", "bronze"}
    vase = next(term["term"] for term in ordering.terms(review, Filter()) if term["path"][-1] == "vase")
    rows = ordering.sheet(review, vase, Filter())
    assert [row[1] for row in rows] == [0, 3, 6, 9, 12, 15, 18, 21]
    review.decide("p", {rows[0][0]: "rejected"})
    undecided = Filter.from_query({"undecided": "1"})
    assert [row[1] for row in ordering.sheet(review, vase, undecided)] == [3, 6, 9, 12, 15, 18, 21]
    assert [row[1] for row in ordering.sheet(review, vase, Filter.from_query({"high": "0.8"}))] == [
        15,
        18,
        21,
    ]
    images = ordering.images(review, Filter.from_query({"facet": "objectTypes", "undecided": "1"}))
    assert images[0] == [3, 1, 1]


def test_most_uncertain_images_first(review: Review) -> None:
    found = [image for image, *_ in ordering.images(review, Filter.from_query({"sort": "uncertainty"}))]
    unsure = ordering.uncertainty(review)
    most = [max(unsure[review.image == image]) for image in found]
    assert most == sorted(most, reverse=True)


@pytest.mark.parametrize("query", [{"facet": "colours"}, {"sort": "name"}, {"low": "x"}])
def test_filters_that_cannot_be(query: dict[str, str]) -> None:
    with pytest.raises(DataError):
        Filter.from_query(query)


def test_a_suspect_is_as_uncertain_as_it_is_doubtful(tmp_path: Path) -> None:
    base = {"image": "0.png", "facet": "materials", "suspect": "wrong"}
    lines = [{**base, **suggestion(path, 0.5), "doubt": d} for path, d in ((METAL, 0.2), (SILK, 0.9))]
    review = open_review(write_lines(tmp_path / "s.jsonl", lines), Root(tmp_path), "x")[0]
    assert names(review, sort="uncertainty") == ["silk", "metal"]
