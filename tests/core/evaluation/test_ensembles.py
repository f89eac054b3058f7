import itertools
import math

import numpy as np
import pytest

from eufcc_cli.core.errors import DataError, ModelError
from eufcc_cli.core.evaluation.scores.ensembles import Ensemble, fit_weights
from eufcc_cli.core.evaluation.scores.eval_split import read_split
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Vocabulary
from tests.core.evaluation.tiny import Given, random_source


@pytest.mark.parametrize("weights", [None, [0.2, 0.5, 0.3], [0.0, 1.0, 0.0]])
def test_scores_are_the_weighted_mean_of_normalised_probabilities(root, weights):
    split = read_split(root, "test_id")
    members = [random_source(root, name, seed) for seed, name in enumerate("abc")]
    ensemble = Ensemble(members, weights)
    assert (ensemble.name, ensemble.method) == ("a+b+c", "given+given+given")
    scores = ensemble.scores(split)
    for facet, table in scores.facets.items():
        for row, tag in itertools.product(range(len(table)), range(table.shape[1])):
            mean = 0.0
            for member, weight in zip(members, weights or [1 / 3] * 3, strict=True):
                probabilities = [math.exp(v) for v in member.tables["test_id"][facet][row].tolist()]
                mean += weight * probabilities[tag] / sum(probabilities)
            assert math.exp(table[row, tag]) == pytest.approx(mean, rel=1e-5)


def test_tags_that_no_member_gives_a_chance_have_none(root):
    split = read_split(root, "test_id")
    members = [random_source(root, name, seed) for seed, name in enumerate("ab")]
    for member in members:
        member.tables["test_id"]["materials"][:, 2] = -np.inf
    table = Ensemble(members).scores(split).facets["materials"]
    assert (table[:, 2] == -np.inf).all()
    assert np.isfinite(np.delete(table, 2, axis=1)).all()
    members[1].tables["test_id"]["materials"][4] = -np.inf
    with pytest.raises(DataError, match=r"b: test_id\.4 of test_id has no tag with a score in materials"):
        Ensemble(members).scores(split)


def test_an_image_that_only_some_members_score_is_an_error(root):
    split = read_split(root, "test_id")
    members = [random_source(root, "a"), random_source(root, "b", without=["test_id.7", "test_id.9"])]
    with pytest.raises(DataError, match=r"a\+b: test_id\.7 of test_id has scores from only one of a and b"):
        Ensemble(members).scores(split)


def test_vocabularies_must_agree_and_the_first_difference_is_named():
    def source(name, *facets):
        return Given(name, Vocabulary({f: FacetVocabulary(tags, parents) for f, tags, parents in facets}), {})

    metal = ("metal", "bronze", "wood")
    one = source("one", ("materials", metal, (-1, 0, -1)))
    cases = {
        "facets materials against subjects": source("two", ("subjects", metal, (-1, 0, -1))),
        "materials, tag 2: bronze against silver": source(
            "two", ("materials", ("metal", "silver", "wood"), (-1, 0, -1))
        ),
        "materials, 3 tags against 2": source("two", ("materials", metal[:2], (-1, 0))),
        "materials, the same tags under other parents": source("two", ("materials", metal, (-1, 0, 0))),
    }
    for message, two in cases.items():
        with pytest.raises(ModelError, match=f"one and two do not score the same tags: {message}"):
            Ensemble([one, two])
    Ensemble([one, source("two", ("materials", metal, (-1, 0, -1)))])


def log_likelihood(members, split, weights):
    """Of the true tags under the mixture, each pair weighing 1: by loops."""
    total = 0.0
    for facet, tags in members[0].vocabulary.facets.items():
        for row in range(len(split)):
            true = split.targets(members[0].vocabulary)[facet].row(row)
            for tag in true:
                mixed = 0.0
                for member, weight in zip(members, weights, strict=True):
                    probabilities = np.exp(member.tables[split.name][facet][row].astype(np.float64))
                    mixed += weight * probabilities[tag] / probabilities.sum()
                total += math.log(mixed) / len(true)
        assert len(tags)
    return total


def test_fitted_weights_have_the_highest_likelihood_of_all(root):
    split = read_split(root, "val")
    members = [random_source(root, name, seed, decimals=4) for seed, name in enumerate("abc")]
    # b knows something about the truth, so that the best weights are not those of a corner.
    for facet, targets in split.targets(members[1].vocabulary).items():
        members[1].tables["val"][facet] += targets.dense(slice(None)) * 1.0
    weights = fit_weights(members, [member.scores(split) for member in members], split)
    assert sum(weights) == pytest.approx(1)
    best = log_likelihood(members, split, weights)
    steps = [i / 20 for i in range(21)]
    for a, b in itertools.product(steps, steps):
        if a + b <= 1:
            assert log_likelihood(members, split, [a, b, 1 - a - b]) <= best + 1e-6
    assert weights[1] == max(weights)


def test_a_member_that_knows_everything_gets_all_the_weight(root):
    split = read_split(root, "val")
    members = [random_source(root, "a"), random_source(root, "b", 1)]
    for facet, targets in split.targets(members[0].vocabulary).items():
        members[0].tables["val"][facet] = np.where(targets.dense(slice(None)), 0, -30).astype(np.float32)
    weights = fit_weights(members, [member.scores(split) for member in members], split)
    assert weights == pytest.approx([1, 0], abs=1e-4)
