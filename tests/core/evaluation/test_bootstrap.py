import math

import numpy as np
import pytest

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.evaluation.bootstrap import Bootstrap, difference
from eufcc_cli.core.evaluation.results import Measures, measure
from eufcc_cli.core.evaluation.scores.eval_split import read_split
from tests.core.evaluation.tiny import random_source


def result_of(root, name, seed=0, split="test_id"):
    source, read = random_source(root, name, seed), read_split(root, split)
    return measure(source, read, source.scores(read), Measures())


@pytest.fixture
def result(root):
    return result_of(root, "a")


@pytest.mark.parametrize("by", ["provider", "image"])
def test_replicates_are_the_figures_of_the_resampled_rows(result, by):
    """Draw clusters with numpy, repeat their rows one by one, and average the pairs of what comes out."""
    bootstrap = Bootstrap(draws=20, by=by, seed=5)
    found = bootstrap.replicates(result)
    cluster = bootstrap.clusters(result.split)
    size = cluster.max() + 1
    assert size == (4 if by == "provider" else len(result.split))
    counts = np.random.default_rng(5).multinomial(size, np.full(size, 1 / size), 20)
    for draw in range(20):
        by_facet = {
            facet: [
                value
                for row, value in zip(f.rows, f.values["r_precision"], strict=True)
                for _ in range(counts[draw][cluster[row]])
            ]
            for facet, f in result.facets.items()
        }
        everything = [value for values in by_facet.values() for value in values]
        assert found["overall", "r_precision"][draw] == pytest.approx(np.mean(everything))
        for facet, values in by_facet.items():
            expected = np.mean(values) if values else math.nan
            assert found[facet, "r_precision"][draw] == pytest.approx(expected, nan_ok=True)
        known = [np.mean(values) for values in by_facet.values() if values]
        assert found["macro", "r_precision"][draw] == pytest.approx(np.mean(known))


def test_parts_do_not_show(result, monkeypatch):
    whole = Bootstrap(50).replicates(result)
    monkeypatch.setattr("eufcc_cli.core.evaluation.bootstrap._AT_ONCE", 9)
    for figure, values in Bootstrap(50).replicates(result).items():
        assert values == pytest.approx(whole[figure], nan_ok=True)


def test_intervals_hold_95_percent_of_the_replicates(result):
    bootstrap = Bootstrap(1000, "image")
    values = bootstrap.replicates(result)["overall", "avg_rp"]
    low, high = bootstrap.interval(values)
    assert low < result.figures["overall"]["avg_rp"] < high
    assert np.mean((values >= low) & (values <= high)) == pytest.approx(0.95, abs=0.005)
    assert bootstrap.interval(np.array([math.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert all(map(math.isnan, bootstrap.interval(np.array([math.nan]))))


def test_differences_are_paired(root, result):
    """A model against itself differs by nothing in any resample; a better one by less than both intervals."""
    bootstrap = Bootstrap(500, "image")
    same = difference(bootstrap, result, result_of(root, "a"))
    assert set(same.figures.values()) == {0}
    assert set(same.intervals.values()) == {(0, 0)}
    other = result_of(root, "b", 1)
    found = difference(bootstrap, other, result)
    assert (found.model, found.against, found.split) == ("b", "a", "test_id")
    expected = other.figures["overall"]["acc@1"] - result.figures["overall"]["acc@1"]
    assert found.figures["acc@1"] == expected
    low, high = found.intervals["acc@1"]
    assert low <= expected <= high


def test_providers_that_differ_widen_the_interval(root):
    """Images of a provider are all right or all wrong: resampling images would promise too much."""
    split, source = read_split(root, "test_id"), random_source(root, "a")
    good = np.isin(split.providers, ["museum 0", "museum 1"])
    for facet, targets in split.targets(source.vocabulary).items():
        truth = targets.dense(slice(None))
        source.tables["test_id"][facet] = np.where(truth == good[:, None], 0, -9).astype(np.float32)
    result = measure(source, split, source.scores(split), Measures())
    widths = {}
    for by in ("provider", "image"):
        bootstrap = Bootstrap(500, by)
        low, high = bootstrap.interval(bootstrap.replicates(result)["overall", "r_precision"])
        widths[by] = high - low
    assert widths["provider"] > 1.5 * widths["image"]


def test_one_provider_cannot_be_resampled(root):
    split = read_split(root, "test_id")
    split.frame["repository.keeper"] = "the one museum"
    with pytest.raises(DataError, match="all images are of one provider") as caught:
        Bootstrap(10).clusters(split)
    assert caught.value.hint == "give `resample=image`"
    del split.frame["repository.keeper"]
    fresh = type(split)(split.name, split.table, split.frame)
    with pytest.raises(DataError, match="one provider"):
        Bootstrap(10).clusters(fresh)
