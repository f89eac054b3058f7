"""Trees as a SKOS thesaurus in Turtle: one concept scheme per facet, one concept per tag.

SKOS Reference, W3C Recommendation 18 August 2009. Every parent that annotations give a tag becomes a
`skos:broader`, except one that would close a cycle: an editorial note tells it instead.
"""

import re
from collections.abc import Iterable
from urllib.parse import quote

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.taxonomy.exports import other_parents
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy

BASE_IRI = "urn:eufcc:"


def to_skos(trees: Iterable[Hierarchy], base: str = BASE_IRI, language: str | None = None) -> str:
    """Trees as Turtle.

    `base` begins every IRI: base + facet names a scheme, base + facet/tag a concept; `language` (BCP 47,
    `ca` for the published tags) marks the labels. Raises EufccError for a base or language that is none,
    and where rdflib is not installed.
    """
    try:
        from rdflib import Graph, Literal, URIRef
        from rdflib.namespace import RDF, SKOS
    except ImportError as error:
        raise EufccError("SKOS needs rdflib", hint="pip install 'eufcc[skos]'") from error
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]*", base):
        raise EufccError(f"{base!r} cannot begin an IRI", hint="give one such as https://example.org/tags/")
    if language is not None and not re.fullmatch(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*", language):
        raise EufccError(f"{language!r} is not a language tag", hint="give one such as ca, en or pt-BR")
    graph = Graph()
    graph.bind("skos", SKOS)
    for tree in trees:
        scheme = URIRef(base + tree.facet)
        concept = {name: URIRef(f"{scheme}/{quote(name, safe='')}") for name in tree}
        graph.add((scheme, RDF.type, SKOS.ConceptScheme))
        graph.add((scheme, SKOS.prefLabel, Literal(tree.facet)))
        broader, cyclic = broader_of(tree)
        for name, node in concept.items():
            graph.add((node, RDF.type, SKOS.Concept))
            graph.add((node, SKOS.inScheme, scheme))
            graph.add((node, SKOS.prefLabel, Literal(name, lang=language)))
            if tree.parent(name) is None:
                graph.add((node, SKOS.topConceptOf, scheme))
                graph.add((scheme, SKOS.hasTopConcept, node))
            for parent in broader[name]:
                graph.add((node, SKOS.broader, concept[parent]))
            for parent in cyclic[name]:
                note = f"Also annotated below {parent}, which lies below it."
                graph.add((node, SKOS.editorialNote, Literal(note, lang="en")))
    return graph.serialize(format="turtle")


def broader_of(tree: Hierarchy) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """For each tag its parents, that of the tree first, and those left out since they close a cycle.

    >>> tree = Hierarchy.from_annotations("m", {"textile | silk $ fibre | silk": 1, "silk | textile": 1})
    >>> broader, cyclic = broader_of(tree)
    >>> broader["silk"], broader["textile"], cyclic["textile"]
    (['textile', 'fibre'], [], ['silk'])
    """
    broader = {name: [parent] if (parent := tree.parent(name)) is not None else [] for name in tree}
    cyclic: dict[str, list[str]] = {name: [] for name in tree}

    def above(name: str) -> set[str]:
        found, waiting = {name}, [name]
        while waiting:
            new = set(broader[waiting.pop()]) - found
            found |= new
            waiting += new
        return found

    for name in tree:
        for parent in other_parents(tree, name):
            if parent is not None and parent != name and parent in tree:
                (cyclic if name in above(parent) else broader)[name].append(parent)
    return broader, cyclic
