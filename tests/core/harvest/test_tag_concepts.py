"""Concepts for a root's tags, against a local server in the shapes of Getty's services."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eufcc_cli.core.errors import CollectError, DataError
from eufcc_cli.core.files import Root
from eufcc_cli.core.harvest.tag_concepts import TagConcepts, fetch_concepts
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy
from eufcc_cli.core.taxonomy.linked_data.concepts import add_uris, read_uris
from eufcc_cli.core.taxonomy.names import read_names
from eufcc_cli.core.taxonomy.tables.annotations import FACETS
from tests.servers.catalogue import AAT
from tests.servers.europe import Europe, europe

MATERIALS = [
    "metal | copper alloy | bronze",
    "metal | argentum",  # a label of two concepts
    "metal | paper",  # AAT's paper is no metal
    "plant material | timber",
    "unobtainium",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Europe]:
    with europe(1, tmp_path_factory.mktemp("files")) as running:
        yield running


@pytest.fixture
def root(tmp_path: Path, server: Europe) -> Root:
    server.forget()
    made = Root(tmp_path)
    labels(made, "materials", MATERIALS)
    labels(made, "objectTypes", ["vase", "bronze"])  # bronze is no object type in AAT
    return made


def labels(root: Root, facet: str, annotations: list[str]) -> None:
    Hierarchy.from_annotations(facet, dict.fromkeys(annotations, 1)).write(root.label_file(facet))


def find(root: Root, server: Europe, **options: Any) -> TagConcepts:
    environment = server.environment
    return fetch_concepts(
        root,
        options.pop("facets", FACETS),
        reconcile_url=environment["EUFCC_RECONCILE_URL"],
        sparql_url=environment["EUFCC_SPARQL_URL"],
        **options,
    )


def review(root: Root) -> dict[str, dict[str, str]]:
    with (root.labels / "concepts-review.csv").open(encoding="utf-8", newline="") as file:
        return {row["tag"]: row for row in csv.DictReader(file)}


def fill_in(root: Root, tag: str, uri: str) -> None:
    path = root.labels / "concepts-review.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["uri"] = uri if row["tag"] == tag else row["uri"]
    with path.open("w", encoding="utf-8-sig", newline="") as file:  # as a spreadsheet writes it
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_only_what_is_beyond_doubt_is_accepted(root: Root, server: Europe) -> None:
    found = find(root, server)
    uris = read_uris(root.concepts)
    assert uris == {
        "materials": {
            "metal": f"{AAT}300010900",
            "copper alloy": f"{AAT}300010946",
            "bronze": f"{AAT}300010957",
            "plant material": f"{AAT}300212963",
            "timber": f"{AAT}300011914",
        },
        "objectTypes": {"vase": f"{AAT}300132254"},
    }
    reasons = {(doubt.facet, doubt.path[-1]): doubt.reason for doubt in found.doubts}
    assert reasons == {
        ("materials", "argentum"): "several concepts have this name",
        ("materials", "paper"): "no broader concept is called metal",
        ("materials", "unobtainium"): "AAT has no candidate in this facet",
        ("objectTypes", "bronze"): "AAT has no candidate in this facet",
    }
    assert (found.accepted, found.known, len(found.doubts)) == (6, 0, 4)
    assert review(root)["argentum"]["candidates"].splitlines() == [
        f"{AAT}300010946 copper alloy < metal < inorganic material < materials (substances)",
        f"{AAT}300011029 silver (metal) < metal < inorganic material < materials (substances)",
    ]
    names = read_names(root.names)
    assert names.of("materials", "bronze", "nl") == "brons"
    assert names.of("materials", "timber", "en") == "wood"


def test_what_a_person_fills_in_applies_and_nothing_is_asked_twice(root: Root, server: Europe) -> None:
    find(root, server)
    asked = server.count()
    fill_in(root, "argentum", f"{AAT}300011029")
    fill_in(root, "unobtainium", "-")
    found = find(root, server)
    assert server.count() == asked
    assert read_uris(root.concepts)["materials"]["argentum"] == f"{AAT}300011029"
    assert (found.reviewed, found.accepted, found.without) == (1, 0, 1)
    assert set(review(root)) == {"paper", "bronze", "unobtainium"}
    assert find(root, server).without == 1
    assert server.count() == asked


def test_catalan_tags_are_asked_for_by_their_english_names(tmp_path: Path, server: Europe) -> None:
    root = Root(tmp_path)
    labels(root, "materials", ["material vegetal | fusta", "metall"])
    find(root, server)
    assert read_uris(root.concepts)["materials"] == {
        "metall": f"{AAT}300010900",
        "material vegetal": f"{AAT}300212963",
        "fusta": f"{AAT}300011914",
    }
    assert [*read_names(root.names).every("materials", "fusta")][:2] == [("en", "wood"), ("es", "madera")]


def test_an_interrupted_run_continues(root: Root, server: Europe) -> None:
    labels(root, "subjects", ["teapot"])
    with pytest.raises(CollectError, match="reconciliation service answered 400"):
        find(root, server)
    assert not root.concepts.exists()
    labels(root, "subjects", ["too many"])
    find(root, server, facets=("subjects",))
    assert server.log()["asked"]  # a limit of requests is waited for
    assert review(root)["too many"]["reason"] == "AAT has no candidate in this facet"


def test_one_facet_leaves_the_review_of_the_others_alone(root: Root, server: Europe) -> None:
    find(root, server)
    before = review(root)
    find(root, server, facets=("objectTypes",))
    assert review(root) == before


def test_uris_of_the_root_stay(root: Root, server: Europe) -> None:
    add_uris(root.concepts, {"materials": {"bronze": "http://example.org/bronze"}})
    found = find(root, server, facets=("materials",))
    assert read_uris(root.concepts)["materials"]["bronze"] == "http://example.org/bronze"
    assert found.known == 1


@pytest.mark.parametrize("uri", ["bronze", "javascript:alert(1)"])
def test_a_line_that_is_no_uri_is_named(root: Root, server: Europe, uri: str) -> None:
    find(root, server)
    fill_in(root, "argentum", uri)
    with pytest.raises(DataError, match=r"concepts-review.csv: line \d+: '.*' is not a URI"):
        find(root, server)


def test_the_command_says_what_became_of_the_tags(root: Root, server: Europe, eufcc: Any) -> None:
    done = eufcc("--root", root.path, "fetch", "concepts", "--facet", "materials", env=server.environment)
    assert done.returncode == 0, done.stderr
    assert re.search(r"accepted now\s+5\n", done.stdout)
    assert "concepts-review.csv" in done.stderr
    wrong = eufcc("--root", root.path, "fetch", "concepts", "--facet", "colours", env=server.environment)
    assert wrong.returncode == 1
    assert "unknown facet 'colours'" in wrong.stderr


def test_a_root_without_tags_is_an_error(tmp_path: Path, server: Europe) -> None:
    with pytest.raises(DataError, match="no tags to find concepts for"):
        find(Root(tmp_path), server)
