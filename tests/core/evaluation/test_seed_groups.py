"""Runs that differ only by seed as one row, against what NumPy says of the single runs; in every format."""

import csv
import io
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.evaluation.bootstrap import Bootstrap
from eufcc_cli.core.evaluation.comparison import compare
from eufcc_cli.core.evaluation.results import Measures, measure
from eufcc_cli.core.evaluation.scores.ensembles import Ensemble
from eufcc_cli.core.evaluation.scores.eval_split import read_split
from eufcc_cli.core.evaluation.scores.scoring import ModelScorer
from eufcc_cli.core.evaluation.seed_groups import seed_groups
from eufcc_cli.core.report.comparison_files import to_csv, to_json, to_markdown
from eufcc_cli.core.report.latex import to_latex
from eufcc_cli.core.report.tables import comparison_tables, judgements, paper_table
from tests.core.evaluation.tiny import make_root, random_source


class Run(ModelScorer):
    """A trained run whose scores are given."""

    def __init__(self, root, name, seed, random_seed=None, without=(), **training):
        given = random_source(root, name, seed if random_seed is None else random_seed, without=without)
        settings = {"method": "softmax", "lr": 1e-4, "seed": seed, "threads": seed + 1} | training
        config = {
            "training": settings, "method_options": {}, "finished": True,
            "digests": {"tables": {"train.csv": "1"}, "images": {"train": "2"}},
            "vocabulary": {"digest": given.vocabulary.digest},
        }  # fmt: skip
        model = SimpleNamespace(
            method="softmax", vocabulary=given.vocabulary, config=config, digest=f"{seed:064d}"
        )
        super().__init__(model, root, name)
        self.given = given

    def scores(self, split, progress=None):
        return self.given.scores(split)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_root(tmp_path_factory.mktemp("collection"))


@pytest.fixture(scope="module")
def sources(root):
    seeds = [Run(root, f"soft-{seed}", seed) for seed in (0, 1, 2)]
    return [seeds[0], Run(root, "fast", 0, random_seed=9, lr=3e-4), *seeds[1:]]


@pytest.fixture(scope="module")
def found(root, sources):
    splits = [read_split(root, name) for name in ("test_id", "test_ood")]
    return compare(sources, splits, root, bootstrap=Bootstrap(50), against="fast")


def test_only_runs_of_the_same_settings_and_data_are_a_group(root, sources):
    (group,) = seed_groups(sources)
    assert (group.name, group.members, group.seeds) == (
        "soft-{seed}", ("soft-0", "soft-1", "soft-2"), (0, 1, 2),
    )  # fmt: skip
    other_data = Run(root, "soft-1", 1)
    other_data.model.config["digests"] = {"tables": {"train.csv": "other"}}
    assert seed_groups([sources[0], other_data]) == []
    assert seed_groups([sources[0], Run(root, "again", 0), random_source(root, "given")]) == []


def test_a_group_is_the_mean_and_standard_deviation_of_its_runs(found):
    for mean in found.means:
        single = [r for r in found.of_split(mean.split.name) if r.model.startswith("soft")]
        assert mean.seeds == (0, 1, 2)
        for scope in ("overall", "macro", "materials"):
            for metric in ("r_precision", "acc@1", "avg_rp"):
                values = [(r.figures.get(scope) or r.figures["facets"][scope])[metric] for r in single]
                figures = mean.figures.get(scope) or mean.figures["facets"][scope]
                assert figures[metric] == pytest.approx(np.mean(values))
                assert mean.deviations[scope, metric] == pytest.approx(np.std(values, ddof=1))
        draws = [found.bootstrap.replicates(r)["overall", "acc@1"] for r in single]
        low, high = np.quantile(np.mean(draws, axis=0), [0.025, 0.975])
        assert mean.intervals["overall", "acc@1"] == pytest.approx((low, high))


def test_a_facet_without_an_annotated_image_has_no_figures_and_stops_nothing(root, sources):
    split = read_split(root, "test_id")
    split.frame["materials.hierarchy"] = ""
    (mean,) = (found := compare(sources, [split], root, bootstrap=Bootstrap(5))).means
    assert np.isnan(mean.deviations["materials", "r_precision"])
    assert mean.deviations["overall", "r_precision"] > 0
    group = json.loads(to_json(found))["seed_groups"][0]
    assert group["standard_deviation"]["materials"]["r_precision"] is None


def test_rows_are_groups_and_differences_are_to_any_row(root, sources, found):
    assert [r.model for r in found.grouped.of_split("test_id")] == ["soft-{seed}", "fast"]
    assert [(d.model, d.against, d.split) for d in found.differences] == [
        ("soft-{seed}", "fast", "test_id"), ("soft-{seed}", "fast", "test_ood"),
    ]  # fmt: skip
    split = read_split(root, "test_id")
    single = compare(sources, [split], root, bootstrap=Bootstrap(20), against="soft-1")
    assert [d.model for d in single.differences] == ["soft-{seed}", "fast"]
    with pytest.raises(EufccError, match="`against` nothing") as caught:
        compare(sources, [split], root, against="nothing")
    assert "soft-{seed}" in caught.value.hint


def test_a_group_is_judged_once_and_its_suggestions_are_the_members_mean(root):
    runs = [Run(root, f"soft-{seed}", seed) for seed in (0, 1, 2)]
    (group,), split = seed_groups(runs), read_split(root, "test_id")
    results = [measure(run, split, run.scores(split), Measures()) for run in runs]
    for number, result in enumerate(results):
        facet = result.facets["materials"]
        result.facets["materials"] = replace(facet, right={0.9: (number, 10), 0.5: (2, 4 + number)})
    mean = group.mean(results)
    assert mean.facets["materials"].right == {0.9: (1, 10), 0.5: (2, 5)}
    lines = judgements(compare(runs, [split], root).grouped)
    assert len(lines) == len(set(lines)) and all(
        line.startswith("soft-{seed} on test_id: ") for line in lines
    )


def test_runs_that_failed_on_other_images_are_no_group(root):
    split = read_split(root, "test_id")
    runs = [Run(root, "a-0", 0), Run(root, "a-1", 1, without=["test_id.3"])]
    found = compare(runs, [split], root)
    assert found.means == [] and len(found.grouped.results) == 2


def test_ensembles_whose_members_differ_only_by_seed_are_a_group(root):
    pairs = [
        [Run(root, f"{n}-{s}", s, random_seed=i + 5 * s, lr=i) for i, n in enumerate("ab")] for s in (0, 1)
    ]
    ensembles = [Ensemble(pair) for pair in pairs]
    found = compare(ensembles, [read_split(root, "test_id")], root)
    (mean,) = found.means
    assert (mean.model, mean.seeds) == ("a-{seed}+b-{seed}", (0, 1))
    single = [result.figures["overall"]["r_precision"] for result in found.results]
    assert mean.figures["overall"]["r_precision"] == pytest.approx(np.mean(single))
    mixed = Ensemble([pairs[0][0], pairs[1][1]])  # of two seeds: which one would it be?
    assert seed_groups([ensembles[0], mixed]) == []
    given = Ensemble([pairs[1][0], random_source(root, "given")])
    assert seed_groups([ensembles[0], given]) == []


def test_every_format_has_the_group_with_intervals(found):
    content = json.loads(to_json(found))
    assert len(content["results"]) == 8
    group = content["seed_groups"][0]
    assert (group["members"], group["seeds"]) == (["soft-0", "soft-1", "soft-2"], [0, 1, 2])
    mean = found.means[0]
    deviation = mean.deviations["overall", "r_precision"]
    assert group["standard_deviation"]["overall"]["r_precision"] == deviation
    assert group["intervals"]["overall"]["r_precision"] == list(mean.intervals["overall", "r_precision"])
    rows = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert {row["kind"] for row in rows} == {"run", "seeds", "difference"}
    row = next(row for row in rows if row["kind"] == "seeds" and row["scope"] == "overall")
    assert float(row["r_precision deviation"]) == deviation
    row = next(row for row in rows if row["kind"] == "difference")
    assert row["model"] == "soft-{seed} - fast" and float(row["acc@1 low"]) <= float(row["acc@1 high"])
    figure, (low, high) = mean.figures["overall"]["r_precision"], mean.intervals["overall", "r_precision"]
    table = comparison_tables(found.grouped)[0]
    assert table.rows[0][2] == f"{figure:.3f} ± {deviation:.3f} [{low:.3f}, {high:.3f}]"
    assert "soft-{seed}: mean ± standard deviation over 3 seeds (0, 1, 2)" in table.notes
    assert f"{figure:.3f} ± {deviation:.3f}" in to_markdown([table])
    assert paper_table(found.grouped, "test_id").rows[1][:2] == ["Softmax", "soft-{seed}"]


def test_latex_has_intervals_differences_notes_and_as_many_digits_in_every_row(found):
    text = to_latex(found.grouped, paper=True)
    first, second = text.split("\n\n")
    for part in (first, second):
        assert part.startswith("\\begin{tabular}") and part.endswith("\\end{tabular}")
        assert part.count("\\toprule") == part.count("\\bottomrule") == 1
    mean = found.means[0]
    low, high = mean.intervals["overall", "r_precision"]
    deviation = mean.deviations["overall", "r_precision"]
    assert f" $\\pm$ {deviation:.2f} {{\\scriptsize [{low:.2f}, {high:.2f}]}}" in first
    cells = [line.split(" & ") for line in first.splitlines() if line.endswith("\\\\") and " & " in line][2:]
    for column, decimals in zip(range(1, 9), (2, 2, 2, 1) * 2, strict=True):
        shown = [re.search(r"\d+\.(\d+)", row[column]) for row in cells]
        assert {len(found[1]) for found in shown if found} == {decimals}
    assert "not a published revision" in first and "3 seeds" in first
    assert "soft-\\{seed\\} $-$ fast" in second
    assert re.search(r"\$[+-]0\.\d{3}\$ \{\\scriptsize \[", second)
