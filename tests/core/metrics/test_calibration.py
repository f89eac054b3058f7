"""Calibration against slow references, and its promise on data it has not seen."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.metrics.calibration import ALPHAS, Calibration, Coherence, fit_calibration
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Vocabulary
from tests.oracles import coherent_by_loops, coverage_threshold_by_loops


def vocabulary_of(parents: list[int]) -> FacetVocabulary:
    return FacetVocabulary(tuple(f"tag {i}" for i in range(len(parents))), tuple(parents))


@st.composite
def forests(draw: st.DrawFn) -> list[int]:
    return [draw(st.integers(-1, i - 1)) for i in range(draw(st.integers(1, 12)))]


@given(forests(), st.data())
def test_coherent_scores_agree_with_loops(parents: list[int], data: st.DataObject) -> None:
    rows = data.draw(
        st.lists(
            st.lists(st.floats(-50, 0), min_size=len(parents), max_size=len(parents)), min_size=1, max_size=3
        )
    )
    coherent = Coherence(vocabulary_of(parents))
    expected = [coherent_by_loops(row, parents) for row in rows]
    assert coherent(np.array(rows)).tolist() == expected
    assert coherent(np.array(rows[0])).tolist() == expected[0]
    floor = data.draw(st.floats(-50, 0))
    likely = coherent.likely(np.array(rows), floor)
    assert np.maximum(likely, floor).tolist() == np.maximum(expected, floor).tolist()


def test_a_table_is_made_coherent_as_its_rows_are() -> None:
    rng = np.random.default_rng(4)
    parents = [-1, 0, 0, 1, -1, 4, 5]
    table = rng.normal(-3, 2, (700, len(parents))).astype(np.float32)
    coherent = Coherence(vocabulary_of(parents))
    assert coherent(table).tolist() == [coherent_by_loops(row, parents) for row in table.tolist()]


def simulated(images: int, seed: int, tags: int = 40, slope: float = 0.6, bias: float = -0.8):
    """Scores of which it is known how probable they make a tag: sigmoid(slope * logit + bias)."""
    rng = np.random.default_rng(seed)
    parents = [-1 if i < 8 else int(rng.integers(0, 8)) for i in range(tags)]
    logits = rng.normal(-2, 2.5, (images, tags))
    scores = -np.logaddexp(0, -logits)
    coherent = Coherence(vocabulary_of(parents))(scores)
    probabilities = 1 / (1 + np.exp(-(slope * (coherent - np.log(-np.expm1(coherent))) + bias)))
    truth = rng.random((images, tags)) < probabilities
    return Vocabulary({"materials": vocabulary_of(parents)}), scores.astype(np.float32), truth, probabilities


def test_platt_scaling_finds_the_true_probabilities() -> None:
    vocabulary, scores, truth, probabilities = simulated(3000, seed=1)
    kept = truth.any(axis=1)
    fitted = fit_calibration({"materials": scores}, {"materials": truth}, vocabulary).facets["materials"]
    assert fitted.images == kept.sum()
    assert fitted.temperature == pytest.approx(1 / 0.6, rel=0.03)
    assert fitted.bias == pytest.approx(-0.8, abs=0.06)
    coherent = Coherence(vocabulary.facets["materials"])(scores)
    assert np.abs(fitted.probabilities(coherent) - probabilities).max() < 0.03
    order = np.argsort(coherent, axis=1, kind="stable")
    assert (np.diff(np.take_along_axis(fitted.probabilities(coherent), order, axis=1), axis=1) >= 0).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10_000), st.sampled_from([*ALPHAS, 0.13, 0.5]))
def test_thresholds_agree_with_loops(images: int, seed: int, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    tags = 6
    scores = rng.choice([-3.0, -2.5, -2.0, -1.0, -0.5], (images, tags)).astype(np.float32)  # with ties
    truth = rng.random((images, tags)) < 0.3
    vocabulary = Vocabulary({"materials": vocabulary_of([-1] * tags)})
    fitted = fit_calibration({"materials": scores}, {"materials": truth}, vocabulary).facets["materials"]
    expected = coverage_threshold_by_loops(scores.tolist(), truth.tolist(), alpha)
    assert fitted.threshold(1 - alpha) == expected  # few images: the curve keeps every point


def test_a_compact_curve_is_never_bolder_than_the_promise() -> None:
    vocabulary, scores, truth, _ = simulated(2000, seed=2)
    fitted = fit_calibration({"materials": scores}, {"materials": truth}, vocabulary).facets["materials"]
    assert len(fitted.curve) <= 256
    coherent = Coherence(vocabulary.facets["materials"])(scores)
    exact = fit_calibration({"materials": coherent}, {"materials": truth}, vocabulary).facets["materials"]
    for alpha in (0.03, 0.07, 0.15, 0.25, 0.4):
        threshold = fitted.threshold(1 - alpha)
        kept = truth.any(axis=1)
        covered = ((coherent >= threshold) & truth)[kept].sum(1) / truth[kept].sum(1)
        assert alpha - 0.02 < 1 - covered.mean() <= alpha
    assert exact.thresholds == fitted.thresholds


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_promise_holds_on_average_over_splits(alpha: float) -> None:
    """On images the thresholds were not computed from, over many calibration sets (exchangeable images)."""
    vocabulary, scores, truth, _ = simulated(4000, seed=3)
    coherent = Coherence(vocabulary.facets["materials"])(scores)
    kept = truth.any(axis=1)
    coherent, truth = coherent[kept], truth[kept]
    missed = []
    for seed in range(200):
        order = np.random.default_rng(seed).permutation(len(truth))
        fit, new = order[:60], order[60:]
        fitted = fit_calibration({"materials": coherent[fit]}, {"materials": truth[fit]}, vocabulary)
        threshold = fitted.facets["materials"].threshold(1 - alpha)
        found = ((coherent[new] >= threshold) & truth[new]).sum(1) / truth[new].sum(1)
        missed.append(1 - found.mean())
    error = np.std(missed) / np.sqrt(len(missed))
    assert np.mean(missed) <= alpha + 3 * error
    assert np.mean(missed) > alpha - 0.03  # and no more tags than it takes


def test_few_images_promise_nothing_but_all_tags() -> None:
    vocabulary, scores, truth, _ = simulated(8, seed=4)
    fitted = fit_calibration({"materials": scores}, {"materials": truth}, vocabulary).facets["materials"]
    assert fitted.threshold(0.95) == -np.inf
    assert fitted.threshold(0.9) == -np.inf
    assert np.isfinite(fitted.threshold(0.7))


def test_an_unannotated_facet_keeps_its_scores() -> None:
    vocabulary, scores, truth, _ = simulated(10, seed=5)
    fitted = fit_calibration({"materials": scores}, {"materials": truth & False}, vocabulary)
    facet = fitted.facets["materials"]
    assert (facet.images, facet.threshold(0.9)) == (0, -np.inf)
    assert facet.probabilities(np.log([0.25, 0.5])) == pytest.approx([0.25, 0.5])
    assert Calibration.from_json(json.loads(json.dumps(fitted.to_json()))).facets["materials"].images == 0


def test_scores_of_minus_infinity_and_zero_are_calibrated() -> None:
    vocabulary, scores, truth, _ = simulated(50, seed=6)
    scores[0, :] = -np.inf
    scores[1, :] = 0.0
    fitted = fit_calibration({"materials": scores}, {"materials": truth}, vocabulary)
    again = Calibration.from_json(json.loads(json.dumps(fitted.to_json(), allow_nan=False)))
    assert np.isfinite(again.facets["materials"].probabilities(scores)).all()


def test_nan_scores_are_an_error() -> None:
    vocabulary, scores, truth, _ = simulated(50, seed=7)
    scores[3, 3] = np.nan
    with pytest.raises(ModelError, match="are NaN"):
        fit_calibration({"materials": scores}, {"materials": truth | True}, vocabulary)


def test_json_keeps_everything() -> None:
    vocabulary, scores, truth, _ = simulated(300, seed=8)
    fitted = fit_calibration({"materials": scores}, {"materials": truth}, vocabulary, "bf16")
    whole = Calibration.from_json(json.loads(json.dumps(fitted.to_json())))
    assert whole.precision == "bf16"
    again = whole.facets["materials"]
    first = fitted.facets["materials"]
    earlier = Calibration.from_json(fitted.to_json()["facets"])  # without a word about precision
    assert earlier.precision is None
    assert earlier.facets["materials"].temperature == first.temperature
    assert (again.temperature, again.bias, again.thresholds) == (
        first.temperature,
        first.bias,
        first.thresholds,
    )
    assert (again.curve == first.curve).all()


@pytest.mark.parametrize(
    "content",
    [
        {"materials": {}},
        {"materials": None},
        [1, 2],
        {"facets": None},
        {"facets": {"materials": {}}},
        {"materials": {"images": 1, "temperature": 0, "bias": 0, "thresholds": {}, "curve": []}},
        {"materials": {"images": 1, "temperature": 1, "bias": "x", "thresholds": {}, "curve": []}},
        {"materials": {"images": 1, "temperature": 1, "bias": 0, "thresholds": {"a": 1}, "curve": []}},
        {"materials": {"images": 1, "temperature": 1, "bias": 0, "thresholds": {}, "curve": [[1]]}},
    ],
)
def test_a_broken_calibration_is_refused(content: object) -> None:
    with pytest.raises(ModelError, match=r"its calibration") as caught:
        Calibration.from_json(content)  # type: ignore[arg-type]
    assert "--calibrate" in str(caught.value.hint)
