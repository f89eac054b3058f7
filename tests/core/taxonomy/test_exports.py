"""Trees for other programs: JSON, Graphviz and SKOS say what the tree says."""

import json
import re
from pathlib import Path

import pytest
import rdflib
from hypothesis import given

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import Root
from eufcc_cli.core.taxonomy.exports import to_dot, to_json
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy, build_trees
from eufcc_cli.core.taxonomy.linked_data.skos import to_skos
from eufcc_cli.core.taxonomy.names import Names, names_of
from eufcc_cli.core.taxonomy.search import find
from tests import oracles
from tests.core.taxonomy.tables import CELLS, table

SKOS = rdflib.SKOS
# rdflib's own Turtle parser and pyshacl use names that rdflib has deprecated.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:rdflib", "ignore::DeprecationWarning:pyshacl"
)

# The integrity conditions of the SKOS Reference (S9, S13, S14, S27), and what a thesaurus needs beyond.
SHAPES = """
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix : <urn:shapes:> .
:Concept a sh:NodeShape ; sh:targetClass skos:Concept ;
    sh:not [ sh:class skos:ConceptScheme ] ;
    sh:property [ sh:path skos:prefLabel ; sh:minCount 1 ; sh:uniqueLang true ; sh:maxCount 1 ;
                  sh:disjoint skos:altLabel ] ;
    sh:property [ sh:path skos:inScheme ; sh:minCount 1 ; sh:maxCount 1 ; sh:class skos:ConceptScheme ] ;
    sh:property [ sh:path skos:broader ; sh:class skos:Concept ] ;
    sh:property [ sh:path skos:topConceptOf ; sh:maxCount 1 ] ;
    sh:property [ sh:path [ sh:oneOrMorePath skos:broader ] ; sh:disjoint skos:related ] .
:Scheme a sh:NodeShape ; sh:targetClass skos:ConceptScheme ;
    sh:property [ sh:path skos:hasTopConcept ; sh:minCount 1 ; sh:class skos:Concept ] .
"""
CYCLE = "ASK { ?c skos:broader+ ?c }"


def trees_of(**cells: list[str]) -> dict[str, Hierarchy]:
    trees = build_trees([table(**cells)])
    return {facet: tree for facet, tree in trees.items() if len(tree)}


def graph_of(trees: dict[str, Hierarchy], **options: str) -> "rdflib.Graph":
    return rdflib.Graph().parse(data=to_skos(trees.values(), **options), format="turtle")


@given(CELLS)
def test_json_says_what_the_tree_says(cells: list[str]) -> None:
    tree = build_trees([table(materials=cells)], ["materials"])["materials"]
    content = json.loads(json.dumps(to_json(tree)))
    images = oracles.images_of(cells)
    edges: dict[str, str | None] = {}

    def walk(entries: list[dict], parent: str | None) -> None:
        for entry in entries:
            edges[entry["tag"]] = parent
            assert entry["images"] == len(images[entry["tag"]])
            assert entry["share"] == pytest.approx(entry["images"] / content["annotated"], abs=1e-6)
            parents = {parent, *entry.get("other_parents", [])}
            assert parents == set(tree.counts.parents[entry["tag"]])
            walk(entry.get("children", []), entry["tag"])

    walk(content["tags"], None)
    assert edges == {name: tree.parent(name) for name in tree}
    assert content["size"] == len(tree) and content["annotated"] == sum(map(bool, cells))


def test_a_tree_without_annotations_has_no_counts() -> None:
    tree = Hierarchy("materials")
    tree.add("or", None)
    assert to_json(tree)["tags"] == [{"tag": "or"}]


@given(CELLS)
def test_dot_has_every_edge_once_and_other_parents_dashed(cells: list[str]) -> None:
    tree = build_trees([table(materials=cells)], ["materials"])["materials"]
    edges = re.findall(r'"materials(?::([^"]+))?" -> "materials:([^"]+)"( \[style=dashed\])?;', to_dot(tree))
    drawn = {(name, parent or None) for parent, name, dashed in edges if not dashed}
    assert drawn == {(name, tree.parent(name)) for name in tree}
    others = {(name, parent) for parent, name, dashed in edges if dashed}
    assert others == {
        (name, parent)
        for name in tree
        for parent in tree.counts.parents[name]
        if parent not in (None, name, tree.parent(name))
    }


def test_dot_escapes_names() -> None:
    tree = trees_of(materials=['a "b" \\', "a"])["materials"]
    assert '"materials:a \\"b\\" \\\\" [label="a \\"b\\" \\\\ (1)"];' in to_dot(tree, counts=True)


@given(CELLS)
def test_skos_is_valid_and_says_what_the_tree_says(cells: list[str]) -> None:
    trees = trees_of(materials=cells, subjects=["nu"])
    graph = graph_of(trees)
    nodes = graph.subjects(rdflib.RDF.type, SKOS.Concept)
    label = {node: str(graph.value(node, SKOS.prefLabel)) for node in nodes}
    for facet, tree in trees.items():
        scheme = rdflib.URIRef(f"urn:eufcc:{facet}")
        concepts = {label[node]: node for node in graph.subjects(SKOS.inScheme, scheme)}
        assert set(concepts) == set(tree)
        tops = {label[node] for node in graph.objects(scheme, SKOS.hasTopConcept)}
        assert (
            tops
            == {label[node] for node in graph.subjects(SKOS.topConceptOf, scheme)}
            == set(tree.children())
        )
        for name, node in concepts.items():
            broader = {label[parent] for parent in graph.objects(node, SKOS.broader)}
            told = " ".join(map(str, graph.objects(node, SKOS.editorialNote)))
            parents = {parent for parent in tree.counts.parents[name] if parent not in (None, name)}
            assert broader <= parents and all(f"below {parent}," in told for parent in parents - broader)
            assert tree.parent(name) is None or tree.parent(name) in broader
    assert not graph.query(CYCLE, initNs={"skos": SKOS}).askAnswer


def test_skos_obeys_its_integrity_conditions() -> None:
    pyshacl = pytest.importorskip("pyshacl")
    cells = ["tèxtil | seda", "animal | seda | seda crua", "seda | tèxtil", '50% "x" <y> | {z} \\ #1 | *']
    graph = graph_of(trees_of(materials=cells, subjects=["nu"]))
    valid, _, report = pyshacl.validate(graph, shacl_graph=SHAPES, shacl_graph_format="turtle")
    assert valid, report
    broken = graph_of(trees_of(materials=cells))
    concept = next(broken.subjects(rdflib.RDF.type, SKOS.Concept))
    broken.add((concept, SKOS.prefLabel, rdflib.Literal("a second label")))
    assert not pyshacl.validate(broken, shacl_graph=SHAPES, shacl_graph_format="turtle")[0]


def test_skos_language_and_base() -> None:
    trees = trees_of(materials=["tèxtil | seda"])
    graph = graph_of(trees, base="https://museum.example/", tag_language="ca")
    silk = rdflib.URIRef("https://museum.example/materials/seda")
    assert graph.value(silk, SKOS.prefLabel) == rdflib.Literal("seda", lang="ca")
    assert graph.value(silk, SKOS.broader) == rdflib.URIRef("https://museum.example/materials/t%C3%A8xtil")
    for options in ({"base": "no iri"}, {"base": "http://a b/"}, {"tag_language": "català!"}):
        with pytest.raises(EufccError) as caught:
            to_skos(trees.values(), **options)
        assert caught.value.hint


def names_in(tree: Hierarchy, tmp_path: Path) -> Names:
    return names_of(Root(tmp_path), {tree.facet: tree})


def test_names_are_shown_and_found(tmp_path: Path) -> None:
    tree = trees_of(materials=["material vegetal | fusta", "unobtainium"])["materials"]
    names = names_in(tree, tmp_path)
    shown = names.shown("materials", "en")
    assert [tag["name"] for tag in to_json(tree, shown)["tags"]] == ["plant material", "unobtainium"]
    assert '[label="wood"]' in to_dot(tree, shown=shown)
    assert [place.tag for place in find({"materials": tree}, "MADERA", names)] == ["fusta"]
    with pytest.raises(EufccError) as caught:
        find({"materials": tree}, "wod", names)
    assert caught.value.hint == "did you mean wood?"


def test_skos_has_names_in_every_language_and_concepts(tmp_path: Path) -> None:
    pyshacl = pytest.importorskip("pyshacl")
    tree = trees_of(materials=["material vegetal | fusta", "unobtainium"])["materials"]
    names = names_in(tree, tmp_path)
    names.add("materials", "fusta", "en", "timber")
    names.add("materials", "unobtainium", "en", "unobtainium")
    uris = {"materials": {"fusta": "http://vocab.getty.edu/aat/300011914"}}
    graph = rdflib.Graph().parse(data=to_skos([tree], names=names, uris=uris), format="turtle")
    wood = rdflib.URIRef("urn:eufcc:materials/fusta")
    preferred = {(label.language, str(label)) for label in graph.objects(wood, SKOS.prefLabel)}
    assert preferred >= {("en", "wood"), ("es", "madera"), ("fr", "bois"), ("de", "Holz"), ("ca", "fusta")}
    assert rdflib.Literal("timber", lang="en") in set(graph.objects(wood, SKOS.altLabel))
    assert set(graph.objects(wood, SKOS.exactMatch)) == {rdflib.URIRef(uris["materials"]["fusta"])}
    other = rdflib.URIRef("urn:eufcc:materials/unobtainium")
    assert set(graph.objects(other, SKOS.prefLabel)) == {rdflib.Literal("unobtainium", lang="en")}
    shapes = SHAPES.replace(
        " sh:maxCount 1 ;\n                  sh:disjoint", "\n                  sh:disjoint"
    )
    valid, _, report = pyshacl.validate(graph, shacl_graph=shapes, shacl_graph_format="turtle")
    assert valid, report


def test_find_tells_every_place() -> None:
    trees = trees_of(
        objectTypes=["moble | Vidre $ vidre de llum", "moble"],
        materials=["vidre | cristall", "sorra | vidre"],
    )
    places = find(trees, "VÌDRE")
    assert [(p.facet, p.path, p.images, p.children, p.other_parents) for p in places] == [
        ("objectTypes", ("moble", "Vidre"), 1, 0, []),
        ("materials", ("vidre",), 2, 1, ["sorra"]),
    ]
    with pytest.raises(EufccError, match="'vidr'") as caught:
        find(trees, "vidr")
    assert caught.value.hint == "did you mean Vidre, vidre de llum?"
    with pytest.raises(EufccError) as caught:
        find(trees, "qqqq")
    assert caught.value.hint is None
