"""Lint: what is found, where, and that a clean collection has no findings."""

from collections import Counter
from pathlib import Path

import pandas as pd
from hypothesis import given

from eufcc_cli.core.taxonomy.hierarchy import Hierarchy, build_trees, read_trees
from eufcc_cli.core.taxonomy.lint import KINDS, Finding, lint
from eufcc_cli.core.taxonomy.spelling import fold, near_misses, singulars
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import FACETS
from tests import oracles
from tests.core.taxonomy.tables import CELLS, HEADER, table, written


def found(kind: str, labels: dict[str, Hierarchy] | None = None, **cells: list[str]) -> list[Finding]:
    frame = table(**cells)
    findings = lint({Path("t.csv"): frame}, build_trees([frame]), labels or {})
    return [finding for finding in findings if finding.kind == kind]


def messages(kind: str, **cells: list[str]) -> list[str]:
    return [finding.message for finding in found(kind, **cells)]


def test_every_parent_of_an_ambiguous_name_is_told() -> None:
    cells = ["metall | plat", "plat", "vaixella | plat", "vaixella | plat"]
    assert messages("ambiguous", materials=cells) == ["plat: metall (1), (top level) (1), vaixella (2)"]
    [finding] = found("ambiguous", materials=cells)
    assert (finding.facet, finding.tags) == ("materials", ("plat",))


@given(CELLS)
def test_nothing_that_was_merged_is_left_out(cells: list[str]) -> None:
    parents: dict[str, set[str | None]] = {}
    for cell in filter(None, cells):
        for tag in cell.split(" $ "):
            for parent, name in zip([None, *tag.split(" | ")], tag.split(" | "), strict=False):
                parents.setdefault(name, set()).add(parent)
    told = found("ambiguous", materials=cells)
    assert {finding.tags[0] for finding in told} == {name for name, of in parents.items() if len(of) > 1}
    for finding in told:
        for parent in parents[finding.tags[0]]:
            assert f"{parent or '(top level)'} (" in finding.message


def test_cycles_and_repeated_names() -> None:
    assert messages("cycle", materials=["a | b | c", "c | a"]) == [
        "a is above c and, in other annotations, below it"
    ]
    assert not messages("cycle", materials=["a | b", "a | c", "c | b", "d | d"])
    assert messages("repeated", materials=["gorra | gorra", "gorra | gorra", "a | b"]) == [
        "gorra | gorra (2)"
    ]


def test_near_duplicates() -> None:
    cells = ["Vestit", "vestit", "vestits", "camisa", "camises", "bodego", "bodegó", "plat", "plata", "test"]
    groups = {finding.tags for finding in found("near-duplicate", materials=cells)}
    assert groups == {
        ("Vestit", "vestit"),
        ("Vestit", "vestit", "vestits"),
        ("camisa", "camises"),
        ("bodego", "bodegó"),
    }
    assert messages("near-duplicate", materials=["teixit de pel", "teixit  de pèl", "b"]) == [
        "teixit de pel (1), teixit de pèl (1)"
    ]


def test_plurals_and_folding() -> None:
    plurals = {
        "boca": "boques",
        "platja": "platges",
        "màniga": "mànigues",
        "imatge": "imatges",
        "plaça": "places",
    }
    plurals |= {"figura humana": "figures humanes", "capó": "capons", "study": "studies", "cruz": "cruces"}
    for singular, plural in plurals.items():
        assert fold(singular) in set(singulars(plural)), plural
        assert not set(singulars(singular)) & {fold(plural)}
    assert fold("Cel·luloide ") == fold("CELLULOIDE") and fold("हिन्दी") != fold("हन्द")


def test_near_misses_prefer_names_that_hold_the_text() -> None:
    tags = ["plat", "plata", "plàtera", "platet de tassa", "bronze"]
    assert near_misses("PLATE", tags)[:2] == ["plàtera", "platet de tassa"]
    assert near_misses("xyz", tags) == []


def test_tags_in_two_facets_singletons_and_tags_outside_the_label_files(tmp_path: Path) -> None:
    cells = {"objectTypes": ["vas $ retrat", "vas"], "subjects": ["retrat", "nu"]}
    assert messages("two-facets", **cells) == ["retrat: objectTypes (1), subjects (1)"]
    assert messages("singleton", **cells) == ["retrat", "retrat", "nu"]
    labels = read_trees([written(tmp_path / "subjects.txt", "Root\n└── nu")])
    outside = found("outside-labels", labels, **cells)
    assert [(finding.facet, finding.message) for finding in outside] == [("subjects", "retrat (1)")]


def test_annotations_that_stop_at_an_inner_node() -> None:
    cells = ["metall | or", "metall", "metall $ paper", "fusta"]
    assert messages("inner", materials=cells) == ["2 of 5 paths (40.0%) stop at 1 inner nodes"]


def test_leakage_between_splits(tmp_path: Path) -> None:
    train = written(tmp_path / "train.csv", HEADER + "1,a,,http://x/1\n2,a,,http://x/2\n3,a,,http://x/2\n")
    test = written(tmp_path / "test_id.csv", HEADER + "1,a,,http://x/9\n8,a,,http://x/1\n")
    tables = {path: read_table(path, need_ids=False) for path in (train, test)}
    findings = lint(tables, build_trees(tables.values()), {})
    shared = [finding.message for finding in findings if finding.kind == "shared-url"]
    assert shared == [
        f"http://x/1 is the image of 1, 8 ({train}, line 2; {test}, line 3)",
        f"http://x/2 is the image of 2, 3 ({train}, line 3; {train}, line 4)",
    ]
    [twice] = [finding for finding in findings if finding.kind == "shared-id"]
    assert (twice.file, twice.place, twice.column) == (str(test), "line 2", "idInSource")
    assert str(twice) == f"{test}, line 2, idInSource: '1' is also the id of {train}, line 2"


def test_a_clean_collection_has_no_findings() -> None:
    frame = table(materials=["metall | or", "metall | or"], subjects=["nu", "nu"])
    trees = build_trees([frame])
    assert lint({Path("t.csv"): frame}, trees, trees) == []


def test_findings_come_in_the_order_of_their_kinds() -> None:
    frame = table(materials=["a | b", "b | a", "c $ ", "a | | c", "c / d"])
    order = [
        list(KINDS).index(finding.kind) for finding in lint({Path("t"): frame}, build_trees([frame]), {})
    ]
    assert order == sorted(order) and len(set(order)) > 4


def test_what_lint_finds_in_the_real_rows(shared_data: Path) -> None:
    real = shared_data / "eufcc-340k" / "test_id.csv"
    tables: dict[Path, pd.DataFrame] = {real: read_table(real, need_ids=False)}
    labels = read_trees((shared_data / "eufcc-340k" / "labels").glob("*.txt"))
    findings = lint(tables, build_trees(tables.values()), labels)
    assert Counter(finding.kind for finding in findings) == {
        "ambiguous": 48,
        "repeated": 7,
        "near-duplicate": 2,
        "two-facets": 72,
        "singleton": 93,
        "outside-labels": 115,
        "inner": 3,
    }
    cells = tables[real]["materials.hierarchy"].tolist()
    nodes = oracles.tree_of(cells)
    ends = [tag.split(" | ")[-1] for cell in cells if cell for tag in cell.split(" $ ")]
    inner = [name for name in ends if nodes[name].children]
    told = {finding.facet: finding.message for finding in findings if finding.kind == "inner"}
    assert told["materials"].startswith(
        f"{len(inner):,} of {len(ends):,} paths ({len(inner) / len(ends):.1%})"
    )
    assert set(told) == set(FACETS) - {"subjects"}


def test_tags_that_look_like_lists() -> None:
    cells = ["gold; silver, wood", "metal > bronze", "gold", "bone, gold", "a, b, c", "oil, black"]
    assert messages("list", materials=cells) == [
        "gold; silver, wood (1)", "metal > bronze (1)", "bone, gold (1)", "a, b, c (1)"
    ]  # fmt: skip


def test_columns_that_look_like_a_facet() -> None:
    frame = table(objectTypes=["vas"]).rename(columns={"objectTypes.hierarchy": "objectTypes.hierarchy"})
    frame["materials"], frame["title"] = "bronze", "x"
    known = {"materials": "materials", "title": "materials"}
    findings = lint({Path("t.csv"): frame}, build_trees([frame]), {}, facet_of=known.get)
    [finding] = [finding for finding in findings if finding.kind == "facet-name"]
    assert str(finding) == (
        "t.csv, header, materials: column materials looks like materials, whose column is materials.hierarchy"
    )


def test_one_picture_under_several_records() -> None:
    frame = table(materials=["or"] * 4)
    ids = frame["idInSource"].tolist()
    digests = {ids[0]: "a", ids[1]: "a", ids[2]: "b"}
    findings = lint({Path("t.csv"): frame}, build_trees([frame]), {}, digests=digests)
    assert [str(f) for f in findings if f.kind == "same-picture"] == [
        f"{ids[0]}, {ids[1]} have the same picture"
    ]
    frame["record"] = ["one", "one", "two", "two"]
    findings = lint({Path("t.csv"): frame}, build_trees([frame]), {}, digests=digests)
    assert not [finding for finding in findings if finding.kind == "same-picture"]
