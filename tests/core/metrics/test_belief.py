import numpy as np
import pytest

from eufcc_cli.core.metrics.belief import LEVELS, Belief, beliefs_of, most_frequent, overall, right_above
from eufcc_cli.core.metrics.calibration import fit_calibration
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Vocabulary
from tests.oracles import rank_metrics_by_loops

TAGS = FacetVocabulary(("metal", "bronze", "gold", "paper"), (-1, 0, 0, -1))
VOCABULARY = Vocabulary({"materials": TAGS, "subjects": FacetVocabulary(("portrait",), (-1,))})


def images(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-scores of a model that is often right, and the true tags of images; every tenth has none."""
    random = np.random.default_rng(seed)
    leaf = random.choice([1, 2, 3], count, p=[0.6, 0.1, 0.3])
    truth = np.zeros((count, 4), bool)
    truth[np.arange(count), leaf] = True
    truth[:, 0] = truth[:, 1] | truth[:, 2]
    z = 2.0 * truth - 1 + random.normal(size=truth.shape)
    truth[::10] = False
    return -np.log1p(np.exp(-z)).astype(np.float32), truth


def test_the_most_frequent_tags_are_a_model_of_their_own() -> None:
    _, truth = images(200, 0)
    counts = np.array([70, 60, 10, 30])
    rows = truth[truth.any(1)]
    by_loops = [
        rank_metrics_by_loops(counts.tolist(), set(np.flatnonzero(row).tolist()), (1,)) for row in rows
    ]
    expected = np.mean([found["r_precision"] for found in by_loops])
    assert most_frequent(counts, truth) == pytest.approx(expected)
    assert np.isnan(most_frequent(counts, truth[::10]))


def test_suggestions_that_are_right_are_counted_one_by_one() -> None:
    scores, truth = images(400, 1)
    none = np.zeros((400, 1), bool)
    nothing = np.full((400, 1), -1.0, np.float32)
    tables = {"materials": scores, "subjects": nothing}
    calibration = fit_calibration(tables, {"materials": truth, "subjects": none}, VOCABULARY)
    fitted = calibration.facets["materials"]
    right = right_above(scores, truth, TAGS, fitted)
    for level in LEVELS:
        hits = suggested = 0
        for row, true in zip(scores, truth, strict=True):
            if not true.any():
                continue
            row = row.copy()
            row[0] = max(row[:3])  # metal is at least as probable as what it stands above
            for probability, is_true in zip(fitted.probabilities(row), true, strict=True):
                suggested += probability >= level
                hits += probability >= level and is_true
        assert right[level] == (hits, suggested)
    shares = [right[level][0] / right[level][1] for level in LEVELS]
    assert shares == sorted(shares, reverse=True) and shares[0] > 0.85
    counts = {"materials": truth.sum(0), "subjects": np.zeros(1, int)}
    (belief,) = beliefs_of(tables, {"materials": truth, "subjects": none}, counts, VOCABULARY, calibration)
    assert belief.right == right and belief.images == 360  # what nobody annotated is not judged
    first, second = overall([belief])
    assert "always naming the most frequent tags" in first and "above 0.9" in second


@pytest.mark.parametrize(
    ("own", "frequent", "found"),
    [(0.4, 0.5, "no better"), (0.55, 0.5, "little help"), (0.8, 0.5, "with review"), (0.9, 0.5, "reliable")],
)
def test_a_facet_is_judged_by_what_it_gains(own: float, frequent: float, found: str) -> None:
    assert found in Belief("materials", 100, own, frequent).sentence()
    assert "too few" in Belief("materials", 9, own, frequent).sentence()
    assert Belief("materials", 100, own, None).sentence() == f"materials: R-Precision {own:.2f}"
