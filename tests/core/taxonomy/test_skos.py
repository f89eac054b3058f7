"""The SKOS export against the integrity conditions of the SKOS Reference, with names and concepts."""

from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from rdflib import RDF, SKOS, Graph, Literal, URIRef
from rdflib.term import Node

from eufcc_cli.core.files import Root
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy
from eufcc_cli.core.taxonomy.linked_data.concepts import add_uris, read_uris
from eufcc_cli.core.taxonomy.linked_data.skos import to_skos
from eufcc_cli.core.taxonomy.names import LANGUAGES, Names, glossary, glossary_trees, names_of
from eufcc_cli.core.taxonomy.tables.annotations import FACETS

LABELS = (SKOS.prefLabel, SKOS.altLabel, SKOS.hiddenLabel)


def violations(graph: Graph) -> list[str]:
    """What breaks a numbered condition of https://www.w3.org/TR/skos-reference/, and cycles of broader."""
    found = []
    concepts, schemes = (
        set(graph.subjects(RDF.type, SKOS.Concept)),
        set(graph.subjects(RDF.type, SKOS.ConceptScheme)),
    )
    found += [f"S9 {node}" for node in concepts & schemes]
    found += [f"S37 {node}" for node in set(graph.subjects(RDF.type, SKOS.Collection)) & (concepts | schemes)]
    for node in concepts:
        labels = [set(graph.objects(node, property)) for property in LABELS]
        found += [
            f"S12 {node} {label}" for some in labels for label in some if not isinstance(label, Literal)
        ]
        found += [
            f"S13 {node} {label}" for a, b in ((0, 1), (0, 2), (1, 2)) for label in labels[a] & labels[b]
        ]
        languages = Counter(
            (label.language or "").lower() for label in labels[0] if isinstance(label, Literal)
        )
        found += [f"S14 {node} {language}" for language, times in languages.items() if times > 1]
        if not labels[0]:
            found.append(f"no label {node}")

    @cache
    def above(node: Node) -> frozenset[Node]:
        reached: set[Node] = set()
        waiting = [*graph.objects(node, SKOS.broader), *graph.subjects(SKOS.narrower, node)]
        while waiting:
            if (parent := waiting.pop()) not in reached:
                reached.add(parent)
                waiting += [*graph.objects(parent, SKOS.broader), *graph.subjects(SKOS.narrower, parent)]
        return frozenset(reached)

    found += [f"cycle {node}" for node in concepts if node in above(node)]
    for node, other in graph.subject_objects(SKOS.related):
        if other in above(node) or node in above(other):
            found.append(f"S27 {node} {other}")
    matched = defaultdict(set)
    for node, other in graph.subject_objects(SKOS.exactMatch):
        matched[other].add(node)
        for property in (SKOS.broadMatch, SKOS.narrowMatch, SKOS.relatedMatch):
            if (node, property, other) in graph or (other, property, node) in graph:
                found.append(f"S46 {node} {other}")
    # Exact matches are symmetric and transitive (S44, S45): two concepts of a scheme would be one.
    for other, nodes in matched.items():
        schemes_of = Counter(scheme for node in nodes for scheme in graph.objects(node, SKOS.inScheme))
        found += [f"S45 {other}" for times in schemes_of.values() if times > 1]
    return found


def test_the_check_finds_what_it_looks_for() -> None:
    broken = Graph().parse(format="turtle", data="""
        @prefix : <urn:> . @prefix skos: <http://www.w3.org/2004/02/skos/core#> .
        :a a skos:Concept, skos:ConceptScheme ; skos:prefLabel "x"@en, "y"@EN ; skos:altLabel "x"@en ;
           skos:broader :b ; skos:related :c ; skos:exactMatch :m ; skos:broadMatch :m ; skos:inScheme :s .
        :b a skos:Concept ; skos:prefLabel "b" ; skos:broader :c ; skos:exactMatch :m ; skos:inScheme :s .
        :c a skos:Concept, skos:Collection ; skos:broader :b .
    """)  # fmt: skip
    assert {violation.split()[0] for violation in violations(broken)} == {
        "S9", "S13", "S14", "S27", "S37", "S45", "S46", "cycle", "no"
    }  # fmt: skip


def test_the_published_vocabulary_with_all_its_names_and_concepts(tmp_path: Path) -> None:
    root, trees = Root(tmp_path), glossary_trees()
    uri = "http://vocab.getty.edu/aat/3000{:05d}".format
    some = {facet: {tag: uri(i) for i, tag in enumerate([*tree][:9])} for facet, tree in trees.items()}
    some["materials"]["fusta"] = some["materials"]["metall"] = uri(99999)
    add_uris(root.concepts, some)
    graph = Graph().parse(
        data=to_skos(trees.values(), names=names_of(root, trees), uris=read_uris(root.concepts)),
        format="turtle",
    )
    assert violations(graph) == []
    preferred = defaultdict(set)
    for node in graph.subjects(RDF.type, SKOS.Concept):
        (scheme,) = graph.objects(node, SKOS.inScheme)
        labels = [label for label in graph.objects(node, SKOS.prefLabel) if isinstance(label, Literal)]
        assert {label.language for label in labels} == set(LANGUAGES)
        for label in labels:  # homonyms of a facet have names that tell them apart
            assert label not in preferred[scheme], label
            preferred[scheme].add(label)
    assert sum(map(len, preferred.values())) == 1203 * len(LANGUAGES)
    wood = URIRef("urn:eufcc:materials/fusta")
    assert list(graph.objects(wood, SKOS.closeMatch)) == [URIRef(uri(99999))]
    exact = {(str(node), str(other)) for node, other in graph.subject_objects(SKOS.exactMatch)}
    assert len(exact) == sum(map(len, some.values())) - 2
    assert set(glossary()) == set(FACETS)


text = st.text("abAB é", min_size=1, max_size=4).map(str.strip).filter(bool)
languages = st.sampled_from(["en", "EN", "en-GB", "de", "x y", ""])


@given(
    st.dictionaries(text, st.lists(st.tuples(languages, text), max_size=5), min_size=1, max_size=5),
    st.sampled_from([None, "ca", "en", "EN"]),
    st.data(),
)
def test_any_names_give_valid_labels(
    tags: dict[str, list[tuple[str, str]]], tag_language: str | None, data: st.DataObject
) -> None:
    tree = Hierarchy("materials")
    names = Names()
    for tag, texts in tags.items():
        tree.add(tag, data.draw(st.sampled_from([None, *tree])))
        for language, name in texts:
            names.add("materials", tag, language, name)
    uris = {"materials": {tag: data.draw(st.sampled_from(["urn:a", "urn:b"])) for tag in tags}}
    graph = Graph().parse(
        data=to_skos([tree], tag_language=tag_language, names=names, uris=uris), format="turtle"
    )
    assert violations(graph) == []
    labels = defaultdict(set)
    for property in LABELS:
        for node, label in graph.subject_objects(property):
            labels[node].add(str(label))
    for tag, texts in tags.items():
        (found,) = [some for node, some in labels.items() if tag in some and str(node).endswith(_quoted(tag))]
        assert {name for _, name in texts} | {tag} <= found


def _quoted(tag: str) -> str:
    from urllib.parse import quote

    return "/" + quote(tag, safe="")
