"""Choosing suggestions: limits, subtrees, coherence, paths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eufcc_cli.core.errors import EufccError, ModelError
from eufcc_cli.core.metrics.calibration import Calibration, FacetCalibration
from eufcc_cli.core.tagging.selection import Choice, Chooser
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Vocabulary

MATERIALS = FacetVocabulary(
    ("metal", "copper alloy", "bronze", "brass", "silver", "textile", "silk"), (-1, 0, 1, 1, 0, -1, 5)
)
OBJECTS = FacetVocabulary(("vessel", "vase", "silk"), (-1, 0, -1))
VOCABULARY = Vocabulary({"materials": MATERIALS, "objectTypes": OBJECTS})
PROBABILITIES = {
    "materials": np.array([0.2, 0.6, 0.9, 0.1, 0.3, 0.05, 0.25]),
    "objectTypes": np.array([0.8, 0.4, 0.01]),
}
SCORES = {facet: np.log(values).astype(np.float32) for facet, values in PROBABILITIES.items()}


def chosen(calibration: Calibration | None = None, **options: object) -> dict[str, list[str]]:
    chooser = Chooser(VOCABULARY, calibration, Choice(**options))
    return {facet: [tag.tag for tag in tags] for facet, tags in chooser(SCORES).items()}


def test_a_tag_comes_with_its_ancestors_first() -> None:
    suggestions = Chooser(VOCABULARY, None, Choice())(SCORES)["materials"]
    assert [(tag.tag, tag.score) for tag in suggestions] == [
        ("metal", pytest.approx(0.9)),
        ("copper alloy", pytest.approx(0.9)),
        ("bronze", pytest.approx(0.9)),
        ("silver", pytest.approx(0.3)),
        ("textile", pytest.approx(0.25)),
        ("silk", pytest.approx(0.25)),
    ]
    assert suggestions[2].path == ("metal", "copper alloy", "bronze")


def test_limits() -> None:
    assert chosen(top=2) == {"materials": ["metal", "copper alloy"], "objectTypes": ["vessel", "vase"]}
    assert chosen(threshold=0.5)["objectTypes"] == ["vessel"]
    assert chosen(threshold=0.95) == {"materials": [], "objectTypes": []}
    assert len(chosen(threshold=0)["materials"]) == 7  # a threshold of one's own lifts the default limit
    assert chosen(top=1, threshold=0.85) == {"materials": ["metal"], "objectTypes": []}
    assert chosen(facets=("objectTypes",)) == {"objectTypes": ["vessel", "vase"]}


def test_subtrees() -> None:
    assert chosen(only=("copper alloy",)) == {"materials": ["copper alloy", "bronze"], "objectTypes": []}
    assert chosen(exclude=("metal",), threshold=0) == {
        "materials": ["textile", "silk"],
        "objectTypes": ["vessel", "vase", "silk"],
    }
    assert chosen(only=("silk",), threshold=0) == {"materials": ["silk"], "objectTypes": ["silk"]}
    assert chosen(only=("materials:silk",), threshold=0) == {"materials": ["silk"], "objectTypes": []}
    assert chosen(only=("metal",), exclude=("copper  alloy",)) == {
        "materials": ["metal", "silver"],
        "objectTypes": [],
    }


def test_deepest() -> None:
    assert chosen(leaves_only=True)["materials"] == ["bronze", "silver", "silk"]
    assert chosen(leaves_only=True, top=1)["materials"] == ["bronze"]
    assert chosen(leaves_only=True, top=2)["materials"] == ["bronze", "silver"]
    assert chosen(leaves_only=True, threshold=0.5)["materials"] == ["bronze"]


def calibration(threshold: float) -> Calibration:
    facet = FacetCalibration(100, 2.0, 1.0, {0.1: threshold}, np.array([[-5.0, 0.0], [-1.0, 0.5]]))
    return Calibration({"materials": facet})


def test_coverage_takes_what_scores_above_its_threshold() -> None:
    assert chosen(calibration(float(np.log(0.28))), coverage=0.9)["materials"] == [
        "metal",
        "copper alloy",
        "bronze",
        "silver",
    ]
    chooser = Chooser(VOCABULARY, calibration(-np.inf), Choice(coverage=0.9))
    assert chooser.unreachable == ["materials", "objectTypes"]  # and objectTypes was not calibrated at all
    assert len(chooser(SCORES)["materials"]) == 7
    with pytest.raises(ModelError, match="no calibration") as caught:
        chosen(coverage=0.9)
    assert "evaluate --calibrate" in str(caught.value.hint)


def test_scores_are_calibrated_probabilities() -> None:
    tag = Chooser(VOCABULARY, calibration(-1.0), Choice())(SCORES)["materials"][0]
    logit = np.log(0.9 / 0.1)
    assert tag.score == pytest.approx(1 / (1 + np.exp(-(logit / 2 + 1))), abs=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "`top` 0"),
        ({"threshold": 1.5}, "`threshold` 1.5"),
        ({"coverage": -0.1}, "`coverage` -0.1"),
        ({"coverage": 1.0}, "`coverage` 1"),
        ({"facets": ("colours",)}, "`facet` colours"),
        ({"only": ("bronce",)}, "`only` bronce"),
        ({"exclude": ("materials:vase",)}, "`exclude` materials:vase"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(EufccError, match=message) as caught:
        chosen(**options)
    assert caught.value.hint


def test_a_misspelt_tag_is_guessed() -> None:
    with pytest.raises(EufccError) as caught:
        chosen(only=("bronce",))
    assert caught.value.hint == "did you mean bronze?"


@given(
    st.lists(st.floats(1e-6, 1 - 1e-6), min_size=7, max_size=7),
    st.integers(1, 8) | st.none(),
    st.floats(0, 1) | st.none(),
    st.booleans(),
)
def test_suggestions_are_coherent_sorted_and_within_limits(
    probabilities: list[float], top: int | None, threshold: float | None, deepest: bool
) -> None:
    choice = Choice(top=top, threshold=threshold, leaves_only=deepest, facets=("materials",))
    scores = np.log(np.array(probabilities)).astype(np.float32)
    tags = Chooser(VOCABULARY, None, choice)({"materials": scores})["materials"]
    values = [tag.score for tag in tags]
    assert values == sorted(values, reverse=True)
    if top is not None:
        assert len(tags) <= top
    if threshold is not None:
        assert all(value >= threshold - 1e-5 for value in values)
    paths = {tag.path for tag in tags}
    assert len(paths) == len(tags)
    for tag in tags:
        above = [tag.path[:depth] for depth in range(1, len(tag.path))]
        if deepest:
            assert paths.isdisjoint(above)
        else:
            assert paths.issuperset(above)
