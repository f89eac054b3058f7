"""A thousand suggestions by the term view: few key presses, and every decision as the truth says."""

from pathlib import Path

import numpy as np
import pytest

from eufcc_cli.core.files import Root
from eufcc_cli.core.tagging.review.opening import open_review
from tests.benchmarks.review import decide, made_suggestions


@pytest.mark.parametrize("seed", range(2))
def test_few_key_presses_decide_a_thousand_suggestions(tmp_path: Path, seed: int) -> None:
    path, truth = made_suggestions(tmp_path, seed)
    review, _ = open_review(path, Root(tmp_path), "x")
    presses, decisions = decide(review, truth)
    assert decisions == review.suggested > 900
    assert presses <= 150
    right = [
        truth(image, review.suggestions.terms[term].tag)
        for image, term in zip(review.image.tolist(), review.term.tolist(), strict=True)
    ]
    assert np.array_equal(review.verdict == 1, right)
    assert 0.75 < np.mean(right) < 0.95
