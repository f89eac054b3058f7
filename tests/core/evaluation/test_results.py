import math

import numpy as np
import pytest

from eufcc_cli.core.errors import DataError, ModelError
from eufcc_cli.core.evaluation.results import Measures, measure
from eufcc_cli.core.evaluation.scores.eval_split import read_split
from eufcc_cli.core.metrics.calibration import Calibration, Coherence, FacetCalibration
from eufcc_cli.core.taxonomy.tables.annotations import paths
from tests import oracles
from tests.core.evaluation.tiny import random_source

METRICS = ("r_precision", "acc@1", "acc@10", "avg_rp")


def true_tags(split, facet, row, tags):
    """The numbers of the tags that a row's annotation names."""
    names = {name for path in paths(split.frame[f"{facet}.hierarchy"][row]) for name in path}
    return {tags.index[name] for name in names}


def test_figures_are_means_over_pairs_per_facet_and_macro(root):
    split, source = read_split(root, "test_id"), random_source(root, "random")
    result = measure(source, split, source.scores(split), Measures())
    values = {}
    for facet, tags in source.vocabulary.facets.items():
        for row in range(len(split)):
            if true := true_tags(split, facet, row, tags):
                scores = source.tables["test_id"][facet][row].tolist()
                pair = oracles.rank_metrics_by_loops(scores, true, (1, 10))
                values.setdefault(facet, []).append(pair)

    def mean(pairs, metric):
        return sum(pair[metric] for pair in pairs) / len(pairs)

    everything = [pair for pairs in values.values() for pair in pairs]
    for metric in METRICS:
        assert result.figures["overall"][metric] == pytest.approx(mean(everything, metric), abs=1e-12)
        by_facet = [mean(pairs, metric) for pairs in values.values()]
        assert [result.figures["facets"][f][metric] for f in values] == pytest.approx(by_facet, abs=1e-12)
        assert result.figures["macro"][metric] == pytest.approx(sum(by_facet) / len(by_facet), abs=1e-12)
    assert result.figures["overall"]["pairs"] == len(everything)
    for facet, pairs in values.items():
        assert result.figures["facets"][facet]["images"] == len(pairs)
        assert result.figures["facets"][facet]["tags"] == len(source.vocabulary.facets[facet])


def test_what_takes_no_part_is_counted(root):
    split = read_split(root, "test_id")
    split.frame.loc[3, "materials.hierarchy"] = "metal | unobtainium $ metal"
    split.frame.loc[4, "classifications.hierarchy"] = "physics"
    source = random_source(root, "random", without=["test_id.2", "test_id.5"])
    result = measure(source, split, source.scores(split), Measures())
    empty = sum(
        all(not split.frame[f"{facet}.hierarchy"][row] for facet in source.vocabulary.facets)
        for row in range(len(split))
        if row not in (2, 5)
    )
    assert empty > 0
    assert result.unannotated == empty
    assert result.images == len(split) - 2 - empty
    assert result.missing == ("test_id.2", "test_id.5")
    assert result.unknown == {"objectTypes": {}, "materials": {"unobtainium": 1}}
    assert result.out_of_vocabulary == 1
    assert result.not_scored == ("classifications",)


def test_every_true_tag_knows_its_place(root):
    split, source = read_split(root, "test_id"), random_source(root, "random")
    result = measure(source, split, source.scores(split), Measures())
    for name, facet in result.facets.items():
        for pair, row in enumerate(facet.rows):
            mine = facet.true_pair == pair
            assert set(facet.true_tag[mine]) == true_tags(split, name, row, facet.tags)
            # The mean presence among the R best is R-Precision, the mean rank is the average position.
            assert facet.found[mine].mean() == pytest.approx(facet.values["r_precision"][pair], abs=1e-12)
            assert facet.rank[mine].mean() == pytest.approx(facet.values["avg_rp"][pair], abs=1e-12)


@pytest.mark.parametrize("calibrated", [False, True])
def test_details_agree_with_the_oracles(root, calibrated):
    split, source = read_split(root, "test_id"), random_source(root, "random")
    if calibrated:
        curve = FacetCalibration(1, 0.8, 0.7, {}, np.empty((0, 2)))
        source.calibration = Calibration(dict.fromkeys(source.vocabulary.facets, curve))
    result = measure(source, split, source.scores(split), Measures(threshold=0.3, details=True))
    for name, facet in result.facets.items():
        scores = source.tables["test_id"][name][facet.rows]
        truth = np.zeros(scores.shape, dtype=bool)
        truth[facet.true_pair, facet.true_tag] = True
        expected = [
            oracles.average_precision(scores[:, tag].tolist(), truth[:, tag].tolist())
            for tag in range(truth.shape[1])
            if truth[:, tag].any()
        ]
        assert facet.figures["map"] == pytest.approx(sum(expected) / len(expected))
        coherent = Coherence(facet.tags)(scores)
        shown = np.log(curve.probabilities(coherent)) if calibrated else coherent
        probabilities = np.exp((shown if calibrated else scores).astype(np.float64)).tolist()
        decided = oracles.decision_metrics(probabilities, truth.tolist(), facet.tags.parents, 0.3)
        given = oracles.decision_metrics(np.exp(scores).tolist(), truth.tolist(), facet.tags.parents, 0.3)
        decided["incoherent"] = given["incoherent"]  # of the model's own scores
        assert {m: facet.figures[m] for m in decided} == pytest.approx(decided, abs=1e-9, nan_ok=True)
        assert (np.diff(np.take_along_axis(scores, facet.best, 1)) <= 0).all()
        assert (np.take_along_axis(shown, facet.best, 1) == facet.best_scores).all()
    macro = [result.figures["facets"][facet]["map"] for facet in result.facets]
    assert result.figures["macro"]["map"] == pytest.approx(sum(macro) / len(macro))


def test_a_facet_without_annotations_is_undefined_and_takes_no_part(root):
    split, source = read_split(root, "test_id"), random_source(root, "random")
    split.frame["materials.hierarchy"] = ""
    result = measure(source, split, source.scores(split), Measures(threshold=0.5, details=True))
    assert math.isnan(result.figures["facets"]["materials"]["r_precision"])
    assert result.figures["facets"]["materials"]["images"] == 0
    assert result.figures["macro"]["acc@1"] == result.figures["overall"]["acc@1"]
    split = read_split(root, "test_id")
    split.frame[["materials.hierarchy", "objectTypes.hierarchy"]] = "unobtainium"
    with pytest.raises(DataError, match="no image has a true tag that random knows"):
        measure(source, split, source.scores(split), Measures())


def test_nan_scores_are_refused(root):
    split, source = read_split(root, "test_id"), random_source(root, "random")
    source.tables["test_id"]["materials"][7, 1] = math.nan
    with pytest.raises(ModelError, match=r"random: a score of test_id\.7 .* is NaN"):
        measure(source, split, source.scores(split), Measures())


def test_a_split_that_is_not_there_names_those_that_are(root, tmp_path):
    with pytest.raises(DataError, match="`split` holdout: no table") as caught:
        read_split(root, "holdout")
    assert caught.value.hint == "there are: test_id, test_ood, train, val"
    with pytest.raises(DataError, match="no table"):
        read_split(root, "../data/test_id")
