import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eufcc_cli.core.metrics.decided import (
    average_precisions,
    decisions,
    decisions_in_parts,
    micro_average_precision,
)
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary
from tests import oracles


@st.composite
def facets(draw):
    """A tree of tags, probabilities with ties, and truth with at least one tag per image."""
    tags = draw(st.integers(1, 6))
    parents = [draw(st.integers(-1, i - 1)) for i in range(tags)]
    rows = draw(st.integers(1, 5))
    value = st.sampled_from([0.0, 0.013, 0.21, 0.5, 0.77, 0.99])
    probabilities = [draw(st.lists(value, min_size=tags, max_size=tags)) for _ in range(rows)]
    true = [draw(st.sets(st.integers(0, tags - 1), min_size=1)) for _ in range(rows)]
    return parents, probabilities, [[tag in row for tag in range(tags)] for row in true]


def vocabulary(parents):
    return FacetVocabulary(tuple(f"tag {i}" for i in range(len(parents))), tuple(parents))


@given(facets(), st.sampled_from([0.1, 0.5, 0.9]))
def test_equals_loops_over_images_and_tags(facet, threshold):
    parents, probabilities, truth = facet
    log_scores = torch.tensor(probabilities, dtype=torch.float64).log()
    found = decisions(log_scores, torch.tensor(truth), vocabulary(parents).ancestors, threshold).metrics()
    expected = oracles.decision_metrics(probabilities, truth, parents, threshold)
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


@given(facets())
def test_average_precision_equals_the_area_under_the_steps(facet):
    _, probabilities, truth = facet
    scores, true = np.array(probabilities), np.array(truth)
    found = average_precisions(scores, true)
    for tag in range(true.shape[1]):
        if true[:, tag].any():
            expected = oracles.average_precision(scores[:, tag].tolist(), true[:, tag].tolist())
            assert found[tag] == pytest.approx(expected, abs=1e-12)
        else:
            assert math.isnan(found[tag])
    flat = oracles.average_precision(scores.ravel().tolist(), true.ravel().tolist())
    assert micro_average_precision(scores, true) == pytest.approx(flat, abs=1e-12)


@pytest.fixture(scope="module")
def large():
    random = np.random.default_rng(0)
    probabilities = random.random((300, 40)).astype(np.float32).round(2).clip(0.005, 0.995)
    truth = random.random((300, 40)) < 0.1
    truth[:, 3] |= ~truth.any(1)
    parents = [-1, *(int(random.integers(-1, i)) for i in range(1, 40))]
    return probabilities, truth, vocabulary(parents)


def test_equals_the_published_packages(large):
    from sklearn.metrics import average_precision_score, f1_score
    from torchmetrics.functional.classification import binary_calibration_error

    probabilities, truth, tags = large
    log_scores = torch.from_numpy(probabilities).double().log()
    found = decisions(log_scores, torch.from_numpy(truth), tags.ancestors, 0.705).metrics()
    decided = probabilities >= 0.705
    assert found["f1_micro"] == pytest.approx(f1_score(truth, decided, average="micro"))
    assert found["f1_macro"] == pytest.approx(f1_score(truth, decided, average="macro"))
    ece = binary_calibration_error(
        torch.from_numpy(probabilities).flatten(), torch.from_numpy(truth).long().flatten(), n_bins=15
    )
    assert found["ece"] == pytest.approx(ece.item(), abs=1e-5)
    expected = average_precision_score(truth, probabilities, average=None)
    assert average_precisions(probabilities, truth) == pytest.approx(expected)
    assert micro_average_precision(probabilities, truth) == pytest.approx(
        average_precision_score(truth, probabilities, average="micro")
    )


def test_hierarchical_figures_equal_hiclass_on_single_paths(large):
    from hiclass import metrics as hiclass

    _, _, tags = large
    random = np.random.default_rng(1)
    true, chosen = random.integers(0, 40, 200), random.integers(0, 40, 200)
    truth, decided = np.zeros((200, 40), bool), np.full((200, 40), -9.0)
    truth[range(200), true], decided[range(200), chosen] = True, 0.0
    found = decisions(torch.tensor(decided), torch.tensor(truth), tags.ancestors, 0.5).metrics()
    depth = tags.ancestors.shape[1]
    rows = {
        name: np.array([[*tags.path(t), *[""] * (depth - len(tags.path(t)))] for t in leaves], dtype=object)
        for name, leaves in (("true", true), ("chosen", chosen))
    }
    assert found["h_precision"] == pytest.approx(hiclass.precision(rows["true"], rows["chosen"]))
    assert found["h_recall"] == pytest.approx(hiclass.recall(rows["true"], rows["chosen"]))
    assert found["h_f1"] == pytest.approx(hiclass.f1(rows["true"], rows["chosen"]))


def test_parts_add_up(large):
    probabilities, truth, tags = large
    arguments = torch.from_numpy(probabilities).log(), torch.from_numpy(truth), tags.ancestors, 0.3
    whole, parts = decisions(*arguments).metrics(), decisions_in_parts(*arguments, rows=17).metrics()
    assert parts == pytest.approx(whole, rel=1e-12)


def test_known_extremes():
    tags = vocabulary([-1, 0, 1])
    truth = torch.tensor([[True, True, False], [True, False, False]])
    perfect = torch.where(truth, 0.0, -math.inf)
    found = decisions(perfect, truth, tags.ancestors, 0.5).metrics()
    assert found == {
        "f1_micro": 1, "f1_macro": 1, "h_precision": 1, "h_recall": 1, "h_f1": 1, "deepest": 1.5,
        "incoherent": 0, "ece": 0,
    }  # fmt: skip
    upside_down = torch.tensor([[0.1, 0.2, 0.3]]).log()
    assert decisions(upside_down, truth[:1], tags.ancestors, 0.5).metrics()["incoherent"] == 1
