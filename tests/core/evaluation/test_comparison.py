import numpy as np
import pytest

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.evaluation.bootstrap import Bootstrap
from eufcc_cli.core.evaluation.comparison import compare
from eufcc_cli.core.evaluation.scores.ensembles import Ensemble, fit_weights
from eufcc_cli.core.evaluation.scores.eval_split import read_split
from eufcc_cli.core.evaluation.scores.prediction_files import read_predictions
from tests.core.evaluation.tiny import random_source


@pytest.fixture
def splits(root):
    return [read_split(root, name) for name in ("test_id", "test_ood")]


def test_every_source_is_measured_on_every_split_and_scored_once(root, splits):
    calls = []

    class Counting:
        def __init__(self, name, seed):
            self.inner = random_source(root, name, seed)
            self.name, self.method, self.vocabulary = name, "given", self.inner.vocabulary

        def scores(self, split, progress=None):
            calls.append((self.name, split.name))
            return self.inner.scores(split)

    a, b = Counting("a", 0), Counting("b", 1)
    found = compare([a, Ensemble([a, b]), b], splits, root)
    assert [(r.split.name, r.model) for r in found.results] == [
        ("test_id", "a"), ("test_id", "a+b"), ("test_id", "b"),
        ("test_ood", "a"), ("test_ood", "a+b"), ("test_ood", "b"),
    ]  # fmt: skip
    assert sorted(calls) == [("a", "test_id"), ("a", "test_ood"), ("b", "test_id"), ("b", "test_ood")]
    assert not found.incomplete
    assert found.differences == []
    assert found.results[0].intervals == {}


def test_weights_are_fitted_on_the_split_that_is_named_and_used(root, splits):
    val = read_split(root, "val")
    a, b = random_source(root, "a", 0), random_source(root, "b", 1)
    found = compare([Ensemble([a, b])], splits, root, weights_from=val)
    weights = fit_weights([a, b], [a.scores(val), b.scores(val)], val)
    assert found.weights == {"a+b": dict(zip("ab", weights, strict=True))}
    expected = compare([Ensemble([a, b], weights)], splits, root)
    equal = compare([Ensemble([a, b])], splits, root)
    assert [r.figures for r in found.results] == [r.figures for r in expected.results]
    assert [r.figures for r in found.results] != [r.figures for r in equal.results]


def test_an_image_without_scores_makes_it_incomplete(root, splits):
    source = random_source(root, "a", without=["test_ood.2"])
    assert compare([source], splits, root).incomplete


def test_differences_are_to_the_first_source_on_each_split(root, splits):
    sources = [random_source(root, name, seed) for seed, name in enumerate("abc")]
    found = compare(sources, splits, root, bootstrap=Bootstrap(20))
    assert [(d.split, d.model, d.against) for d in found.differences] == [
        ("test_id", "b", "a"), ("test_id", "c", "a"), ("test_ood", "b", "a"), ("test_ood", "c", "a"),
    ]  # fmt: skip
    assert all(result.intervals for result in found.results)


def test_files_of_scores_are_named_by_their_model_and_stay_in_their_folder(root, splits, tmp_path):
    sources = [random_source(root, name, seed) for seed, name in enumerate(["runs/a", "../b"])]
    compare(sources, splits, root, save=tmp_path / "scores-{model}.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "scores-..-b.parquet",
        "scores-runs-a.parquet",
    ]
    again = read_predictions(tmp_path / "scores-..-b.parquet", root)
    for split in splits:
        expected = sources[1].scores(split)
        for facet, table in again.scores(split).facets.items():
            assert np.array_equal(table, expected.facets[facet])


def test_what_is_wrong_is_said_before_any_image_is_scored(root, splits, tmp_path):
    class Never:
        name, method = "never", "given"
        vocabulary = random_source(root, "a").vocabulary

        def scores(self, split, progress=None):
            raise AssertionError("scored too early")

    path = tmp_path / "p.jsonl"
    path.write_text('{"image": "stranger.jpg", "tags": {"materials": [{"tag": "wood", "score": 1}]}}')
    strange = read_predictions(path, root)
    cases = [
        (([Never(), strange], splits), {}, "no prediction for any of the 24 images of test_id"),
        (([Ensemble([Never(), strange.__class__(path, "x", "y", Never.vocabulary, strange.lines)])], splits),
         {}, "no prediction for any"),
        (([Never(), Never()], splits), {}, "two models are called never"),
        (([], splits), {}, "nothing to evaluate"),
        (([Never()], splits), {"save": tmp_path / "x.xml"}, "unknown ending"),
    ]  # fmt: skip
    for arguments, options, message in cases:
        with pytest.raises(EufccError, match=message):
            compare(*arguments, root, **options)
    for split in splits:
        split.frame["repository.keeper"] = "one"
    with pytest.raises(EufccError, match="all images are of one provider"):
        compare([Never()], splits, root, bootstrap=Bootstrap(5))


def test_head_and_tail_are_counted_in_train_or_else_in_the_split(root, splits, tmp_path):
    from eufcc_cli.core.files import Root

    found = compare([random_source(root, "a")], splits, root)
    assert found.counted.name == "train"
    counts = found.tag_counts(found.results[0])["materials"]
    train = read_split(root, "train").frame["materials.hierarchy"]
    tags = found.results[0].vocabulary.facets["materials"]
    assert counts[tags.index["bronze"]] == train.str.contains("bronze").sum()
    alone = compare([random_source(root, "a")], splits, Root(tmp_path))
    assert alone.counted.name == "test_id"
