"""Doubtful annotations: as cleanlab finds them, and those that were made wrong on purpose."""

import numpy as np
import pytest

from eufcc_cli.core.metrics.confident_learning import FEWEST, doubtful_tags


def noisy(seed: int, images: int = 400, tags: int = 8, noise: float = 0.05):
    """True tags, annotations with some of them flipped, and probabilities that know the truth roughly."""
    rng = np.random.default_rng(seed)
    true = rng.random((images, tags)) < rng.uniform(0.1, 0.6, tags)
    true[~true.any(1), 0] = True
    flipped = rng.random(true.shape) < noise
    logits = np.where(true, 2.0, -2.0) + rng.normal(scale=1.2, size=true.shape)
    return true, true ^ flipped, 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("seed", range(3))
def test_the_same_as_cleanlab(seed: int) -> None:
    filters = pytest.importorskip("cleanlab.multilabel_classification.filter", reason="no cleanlab here")
    _, annotated, probabilities = noisy(seed)
    labels = [np.flatnonzero(row).tolist() for row in annotated]
    expected = filters.find_multilabel_issues_per_class(
        labels, probabilities, filter_by="confident_learning", n_jobs=1
    )
    found = doubtful_tags(probabilities, annotated)
    mask = np.zeros_like(annotated)
    mask[found.rows, found.tags] = True
    assert mask.any()
    assert np.array_equal(mask, np.array(expected))


def test_flipped_annotations_come_first() -> None:
    true, annotated, probabilities = noisy(7)
    found = doubtful_tags(probabilities, annotated)
    order = np.argsort(-found.doubt)
    wrong = (true != annotated)[found.rows, found.tags][order]
    flips = int((true != annotated).sum())
    assert wrong[: flips // 2].mean() > 0.9
    assert wrong.sum() > 0.6 * flips
    assert np.array_equal(found.missing, ~annotated[found.rows, found.tags])
    assert ((found.doubt >= 0.5) & (found.doubt <= 1)).all()


def test_rare_tags_are_left_out() -> None:
    _, annotated, probabilities = noisy(1)
    annotated[:, 3] = False
    annotated[: FEWEST - 1, 3] = True
    assert (doubtful_tags(probabilities, annotated).tags != 3).all()
    assert doubtful_tags(probabilities, annotated).left_out == 1
