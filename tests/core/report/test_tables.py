import dataclasses

import pytest

from eufcc_cli.core.dataset.pinned_files import git_blob_id
from eufcc_cli.core.dataset.published import REVISIONS, Revision
from eufcc_cli.core.evaluation.paper import PUBLISHED
from eufcc_cli.core.report.cells import best_cells
from eufcc_cli.core.report.tables import (
    comparison_tables,
    groups_tables,
    legend,
    other_metrics,
    paper_table,
)
from tests.core.report.conftest import HOSTILE


def cell(table, row, column):
    return table.rows[row][list(table.columns).index(column)]


def test_a_table_per_split_shows_the_figures_and_what_was_counted(comparison):
    inner, outer, differences = comparison_tables(comparison)
    assert (inner.title, outer.title) == ("test_id", "test_ood")
    assert inner.columns == ["Model", "Method", "R-Prec", "Acc@1", "Acc@10", "AvgRP", "Pairs"]
    for row, result in enumerate(comparison.of_split("test_id")):
        assert cell(inner, row, "Model") == result.model
        figures, (low, high) = result.figures["overall"], result.intervals["overall", "r_precision"]
        assert cell(inner, row, "R-Prec") == f"{figures['r_precision']:.3f} [{low:.3f}, {high:.3f}]"
        assert cell(inner, row, "AvgRP").startswith(f"{figures['avg_rp']:.2f} [")
        assert cell(inner, row, "Pairs") == str(figures["pairs"])
    result = comparison.results[0]
    assert inner.notes[0] == (
        f"{result.images} of 24 images, {result.figures['overall']['pairs']} pairs; 0 images missing; "
        f"{result.unannotated} without a tag of the vocabulary; 0 true tags outside the vocabulary"
    )
    assert "50 resamples of 5 providers" in inner.notes[1]
    assert len(differences.rows) == 4
    first = comparison.differences[0]
    assert cell(differences, 0, "Difference") == f"{HOSTILE} - ml"
    assert cell(differences, 0, "R-Prec").startswith(f"{first.figures['r_precision']:+.3f} [")


def test_per_facet_adds_macro_and_each_facet(comparison):
    table = comparison_tables(comparison, per_facet=True)[0]
    scopes = [cell(table, row, "Facet") for row in range(4)]
    assert scopes == ["overall", "macro", "objectTypes", "materials"]
    assert len(table.rows) == 12


def test_all_metrics_have_a_table_and_a_meaning(comparison):
    table = comparison_tables(comparison, all_metrics=True)[2]
    assert table.columns[3:] == [
        "mAP", "mAP micro", "F1 micro", "F1 macro", "hP", "hR", "hF1", "Depth", "Incoherent", "ECE",
    ]  # fmt: skip
    assert len(table.rows) == 2 * 3 * 3
    explained = " ".join(legend(other_metrics(comparison)))
    for column in table.columns[3:]:
        assert column in explained


def test_best_figures_are_those_that_show_best_and_ties_are_all_best():
    rows = [("overall", [0.7001, 4.0]), ("overall", [0.7002, 3.0]), ("macro", [0.1, None])]
    assert best_cells(rows, ["acc@1", "avg_rp"], 2) == {(0, 2), (1, 2), (1, 3), (2, 2)}


def test_the_paper_has_eleven_rows_beside_ours_by_method(comparison):
    for split in ("test_id", "test_ood"):
        table = paper_table(comparison, split)
        assert [row[0] for row in table.rows] == list(PUBLISHED)
        models = {row[0]: row[1] for row in table.rows if row[1] != "–"}
        assert models == {
            "Multi-label": "ml", "Softmax": HOSTILE, "Ensemble: ML+S": f"ml+{HOSTILE}",
        }  # fmt: skip
        softmax = table.rows[1]
        figures = comparison.of_split(split)[1].figures["overall"]
        published = PUBLISHED["Softmax"][split]
        expected = [f"{figures['r_precision']:.3f}", f"{published['r_precision']:.2f}"]
        assert softmax[2:4] == expected
        assert softmax[-1] == f"{published['avg_rp']:.1f}"
    other = dataclasses.replace(comparison, results=comparison.results[2:3])
    assert [row[1] for row in paper_table(other, "test_id").rows].count("–") == 10
    assert paper_table(comparison, "val") is None


@pytest.mark.parametrize(
    ("revision", "note"),
    [
        ("original", "the figures are comparable"),
        ("corrected", "without leakage"),
        (None, "not a published revision"),
    ],
)
def test_the_revision_of_the_splits_is_told(comparison, collection, monkeypatch, revision, note):
    if revision:
        here = {"data/train.csv": git_blob_id(collection.table("train"))}
        monkeypatch.setitem(REVISIONS, revision, Revision(REVISIONS[revision].commit, here))
    notes = paper_table(comparison, "test_id").notes
    assert "original revision" in notes[0]
    assert note in notes[1]


def test_groups_show_every_model(comparison):
    inner, _ = groups_tables(comparison)
    assert inner.columns == ["Tags", "Distinct", "Support", "ml", HOSTILE, f"ml+{HOSTILE}"]
    assert [row[0].split(":")[0] for row in inner.rows] == ["depth 1", "depth 2", "depth 3", "middle", "tail"]
    one = dataclasses.replace(comparison, results=comparison.results[:1])
    assert groups_tables(one)[0].columns == ["Tags", "Distinct", "Support", "R-Prec", "AvgRP", "mAP"]
