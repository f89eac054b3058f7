"""The coverage promise on drawn images that neither training nor calibration has seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from eufcc_cli.core.demo import draw_collection
from eufcc_cli.core.devices import precision_name
from eufcc_cli.core.files import Root
from eufcc_cli.core.metrics.calibration import Coherence, fit_calibration
from eufcc_cli.core.model.checkpoint import load_model
from eufcc_cli.core.model.inference.prediction import predict
from eufcc_cli.core.model.tagging_model import TaggingModel
from eufcc_cli.core.tagging.selection import Choice
from eufcc_cli.core.tagging.tagger import Tagger, calibration_of
from eufcc_cli.core.training.loading.data import Split, load_split


@pytest.fixture(scope="module")
def model(trained: Path) -> TaggingModel:
    return load_model("small", Root(trained))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """Freshly drawn images of the same museums."""
    root = Root(tmp_path_factory.mktemp("fresh"))
    draw_collection(root, images=500, seed=8)
    return root


@pytest.fixture(scope="module")
def held_out(model: TaggingModel, fresh: Root) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Log-scores and true tags of the fresh images, per facet."""
    return _scored(model, load_split(fresh, "train", model.vocabulary))


@pytest.fixture(scope="module")
def held_out_elsewhere(model: TaggingModel, fresh: Root) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The same from a machine that computes at another precision than the one that trained the model."""
    other = torch.float32 if model.precision == torch.bfloat16 else torch.bfloat16
    return _scored(replace(model, precision=other), load_split(fresh, "train", model.vocabulary))


def _scored(model: TaggingModel, split: Split) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    predictions = list(predict(model, ((str(path), path) for path in split.files), batch_size=64))
    truth = split.truth(np.arange(len(split)))
    return {
        facet: (
            np.stack([p.scores[facet] for p in predictions if p.scores is not None]),
            truth[facet].numpy(),
        )
        for facet in model.vocabulary.facets
    }


@pytest.mark.parametrize("alpha", [0.1, 0.2])
def test_the_promise_holds_over_twenty_calibration_splits(
    model: TaggingModel, held_out: dict[str, tuple[np.ndarray, np.ndarray]], alpha: float
) -> None:
    missed: dict[str, list[float]] = {"objectTypes": [], "materials": []}
    for seed in range(20):
        for facet, shares in missed.items():
            scores, truth = held_out[facet]
            rows = np.flatnonzero(truth.any(axis=1))
            rows = np.random.default_rng(seed).permutation(rows)
            fit, new = rows[: len(rows) // 3], rows[len(rows) // 3 :]
            one = model.vocabulary.subset([facet])
            fitted = fit_calibration({facet: scores[fit]}, {facet: truth[fit]}, one).facets[facet]
            coherent = Coherence(one.facets[facet])(scores[new])
            found = ((coherent >= fitted.threshold(1 - alpha)) & truth[new]).sum(1) / truth[new].sum(1)
            shares.append(1 - float(found.mean()))
    for facet, shares in missed.items():
        # Splits of one collection are not independent; their mean wanders as that of m images does.
        scatter = 0.5 / np.sqrt(truth_count(held_out[facet][1]))
        assert np.mean(shares) <= alpha + scatter, (facet, shares)
        assert np.mean(shares) >= alpha - 0.06, (facet, shares)  # and no more tags than it takes


def truth_count(truth: np.ndarray) -> int:
    return int(truth.any(axis=1).sum())


def test_training_stores_a_calibration_for_every_facet(model: TaggingModel, processor: str) -> None:
    calibration = calibration_of(model)
    assert calibration is not None
    assert calibration.precision == processor == precision_name(model.precision)
    assert calibration.facets.keys() == model.vocabulary.facets.keys()
    assert calibration.facets["objectTypes"].images > 0


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2, 0.3])
def test_a_model_keeps_its_promise_at_another_precision(
    model: TaggingModel,
    held_out: dict[str, tuple[np.ndarray, np.ndarray]],
    held_out_elsewhere: dict[str, tuple[np.ndarray, np.ndarray]],
    alpha: float,
) -> None:
    """Trained and calibrated at one precision, it covers as much at the other, with as many tags."""
    calibration = calibration_of(model)
    assert calibration is not None
    for facet in ("objectTypes", "materials"):
        threshold = calibration.facets[facet].threshold(1 - alpha)
        shares, tags = [], []
        for scores, truth in (held_out[facet], held_out_elsewhere[facet]):
            rows = truth.any(axis=1)
            suggested = Coherence(model.vocabulary.facets[facet])(scores[rows]) >= threshold
            shares.append(float(((suggested & truth[rows]).sum(1) / truth[rows].sum(1)).mean()))
            tags.append(float(suggested.sum(1).mean()))
        assert shares[1] == pytest.approx(shares[0], abs=0.01)
        assert tags[1] == pytest.approx(tags[0], rel=0.02)


@pytest.mark.parametrize("where", ["held_out", "held_out_elsewhere"])
def test_calibrated_probabilities_are_near_the_frequencies(
    model: TaggingModel, where: str, request: pytest.FixtureRequest
) -> None:
    """On fresh images, tags said to be some 30 % likely are right some 30 % of the time."""
    calibration = calibration_of(model)
    assert calibration is not None
    scores, truth = request.getfixturevalue(where)["objectTypes"]
    rows = truth.any(axis=1)
    coherent = Coherence(model.vocabulary.facets["objectTypes"])(scores[rows])
    probabilities, right = calibration.facets["objectTypes"].probabilities(coherent), truth[rows]
    possible = probabilities > 0.01
    order = np.argsort(probabilities[possible])
    assert len(order) >= 500
    # In groups of equally many: how likely the likeliest tags are depends on how much the model has learned.
    groups = np.array_split(order, 10)
    gaps = [right[possible][group].mean() - probabilities[possible][group].mean() for group in groups]
    assert np.abs(gaps).mean() < 0.08


def test_an_ensemble_scores_the_tags_its_members_expect(model: TaggingModel, trained: Path) -> None:
    """With itself, a model expects as many tags as alone, and orders them alike."""
    rng = np.random.default_rng(0)
    scores = {
        facet: np.log(rng.uniform(0.01, 0.9, len(tags))).astype(np.float32)
        for facet, tags in model.vocabulary.facets.items()
    }
    twice = Tagger([model, model], Choice(threshold=0), Root(trained))
    assert twice.calibration is None
    tables = {facet: row[None] for facet, row in scores.items()}
    together = twice.combined([tables, tables])
    once = Tagger([model], Choice(threshold=0), Root(trained)).chooser
    for facet, chooser in once.facets.items():
        expected = chooser.scores(scores[facet])[1].sum()
        assert np.exp(together[facet]).sum() == pytest.approx(expected, rel=1e-4)
        assert (np.argsort(together[facet]) == np.argsort(scores[facet])).all()
