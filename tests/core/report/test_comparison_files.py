import csv
import io
import json
import re

import pytest

from eufcc_cli.core.evaluation.paper import PUBLISHED
from eufcc_cli.core.evaluation.results import Measures, measure
from eufcc_cli.core.evaluation.scores.eval_split import read_split
from eufcc_cli.core.report.cells import Table
from eufcc_cli.core.report.comparison_files import to_csv, to_json, to_markdown
from eufcc_cli.core.report.latex import to_latex
from eufcc_cli.core.report.tables import comparison_tables
from tests.core.evaluation.tiny import random_source
from tests.core.report.conftest import HOSTILE


def test_json_holds_every_figure_in_full(comparison):
    content = json.loads(to_json(comparison, paper=True))
    assert len(content["results"]) == 6
    for entry, result in zip(content["results"], comparison.results, strict=True):
        assert (entry["model"], entry["split"]) == (result.model, result.split.name)
        assert entry["overall"] == result.figures["overall"]
        assert entry["facets"]["materials"]["acc@1"] == result.figures["facets"]["materials"]["acc@1"]
        assert set(entry["facets"]["materials"]) >= {"r_precision", "avg_rp", "images", "tags", "map", "ece"}
        assert entry["images"] + entry["images_unannotated"] == len(result.split)
        assert (entry["images_missing"], entry["tags_out_of_vocabulary"]) == (0, 0)
        assert entry["intervals"]["overall"]["acc@1"] == list(result.intervals["overall", "acc@1"])
    assert content["results"][0]["paper"] == {"row": "Multi-label", **PUBLISHED["Multi-label"]["test_id"]}
    assert content["paper"]["dataset_revision"] == "original"
    assert [found["against"] for found in content["differences"]] == ["ml"] * 4
    assert content["bootstrap"]["draws"] == 50


def test_what_is_undefined_is_null_in_json_and_empty_in_csv(collection, comparison):
    from dataclasses import replace

    split, source = read_split(collection, "test_id"), random_source(collection, "a")
    split.frame["materials.hierarchy"] = ""
    result = measure(source, split, source.scores(split), Measures())
    other = replace(comparison, results=[result], differences=[], bootstrap=None)
    entry = json.loads(to_json(other))["results"][0]
    assert entry["facets"]["materials"] == {
        "r_precision": None, "acc@1": None, "acc@10": None, "avg_rp": None, "images": 0, "tags": 6,
    }  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(to_csv(other))))
    assert {row["r_precision"] for row in rows if row["scope"] == "materials"} == {""}


def test_csv_has_a_row_per_model_split_and_scope(comparison):
    rows = list(csv.DictReader(io.StringIO(to_csv(comparison, paper=True))))
    ours = [row for row in rows if row["kind"] == "run"]
    assert len(ours) == 3 * 2 * 4
    for row in ours:
        result = next(r for r in comparison.of_split(row["split"]) if r.model == row["model"])
        scope = row["scope"]
        figures = result.figures.get(scope) or result.figures["facets"][scope]
        assert float(row["r_precision"]) == figures["r_precision"]
        assert float(row["avg_rp low"]) == result.intervals[scope, "avg_rp"][0]
    published = [row for row in rows if row["kind"] == "paper"]
    assert {row["model"] for row in published} == {"paper"}
    assert [row["kind"] for row in rows].count("difference") == 4
    assert len(published) == 22
    assert float(published[0]["avg_rp"]) == 4.8


def test_markdown_tables_keep_their_shape_whatever_the_names_hold(comparison):
    text = to_markdown(comparison_tables(comparison, per_facet=True))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    widths = {len(re.split(r"(?<!\\)\|", line)) for line in lines}
    assert widths == {9, 8}  # the splits' tables, and the differences
    assert "<script>" not in text
    assert "&lt;script>" in text
    assert re.search(r"\*\*\d\.\d{3} \\\[", text)
    hostile = to_markdown([Table("t", ["a|b"], [["x\ny | z"]])])
    assert hostile.splitlines()[2:] == ["| a\\|b |", "| --- |", "| x y \\| z |"]


@pytest.mark.parametrize("per_facet", [False, True])
def test_latex_is_one_booktabs_table_with_the_splits_side_by_side(comparison, per_facet):
    text = to_latex(comparison, per_facet=per_facet, paper=True)
    lines = text.splitlines()
    columns = (2 if per_facet else 1) + 8
    assert lines[0] == f"\\begin{{tabular}}{{{'l' * (columns - 8)}{'r' * 8}}}"
    end = lines.index("\\end{tabular}")
    rows = [line for line in lines[:end] if line.endswith("\\\\") and " & " in line]
    assert len(rows) == 2 + 3 * (4 if per_facet else 1) + 11
    assert lines[end + 2].startswith("\\begin{tabular}") and lines[-1] == "\\end{tabular}"
    assert sum("$-$ ml &" in line for line in lines) == 2
    assert "\\multicolumn{4}{c}{test\\_id} & \\multicolumn{4}{c}{test\\_ood}" in rows[0]
    for row in rows[1:]:
        assert len(re.findall(r"(?<!\\)&", row)) == columns - 1
    assert [rule for rule in ("\\toprule", "\\midrule", "\\bottomrule") if rule not in text] == []
    best = max(r.figures["overall"]["r_precision"] for r in comparison.of_split("test_id"))
    assert f"\\textbf{{{best:.2f}}}" in text
    assert "original revision" in text and "not a published revision" in text
    assert HOSTILE not in text
    assert r"\{\{ 7 * 7 \}\} 50\% a\_b \textbackslash{} \textasciitilde{} \textasciicircum{}" in text
    assert "Multi-label (paper)" in text
