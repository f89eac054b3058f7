"""Trees as a SKOS thesaurus in Turtle: one concept scheme per facet, one concept per tag.

SKOS Reference, W3C Recommendation 18 August 2009. Every parent that annotations give a tag becomes a
`skos:broader`, except one that would close a cycle: an editorial note names it instead. The first name of a
tag in a language is its `skos:prefLabel`, the others are `skos:altLabel`; its URI is an
`skos:exactMatch`, or an `skos:closeMatch` where several tags of a facet have it: exact matches are transitive
(S45), so the tags would be one concept.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from rdflib import Graph, Literal, URIRef
from rdflib.namespace import RDF, SKOS

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.taxonomy.exports import other_parents
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy
from eufcc_cli.core.taxonomy.linked_data.concepts import Uris
from eufcc_cli.core.taxonomy.names import Names

BASE_IRI = "urn:eufcc:"
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")


def to_skos(
    trees: Iterable[Hierarchy],
    base: str = BASE_IRI,
    tag_language: str | None = None,
    names: Names | None = None,
    uris: Uris | None = None,
) -> str:
    """Trees as Turtle.

    `base` begins every IRI: base + facet names a scheme, base + facet/tag a concept; `tag_language` (BCP 47)
    is the language of the tags themselves. A tag that none of its names repeats is a label, too. Raises
    EufccError for an invalid base or language.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]*", base):
        raise EufccError(f"{base!r} cannot begin an IRI", hint="give one such as https://example.org/tags/")
    if tag_language is not None and not _LANGUAGE.fullmatch(tag_language):
        raise EufccError(f"{tag_language!r} is not a language tag", hint="give one such as ca, en or pt-BR")
    names, uris = names or Names(), uris or {}
    graph = Graph()
    graph.bind("skos", SKOS)
    for tree in trees:
        scheme = URIRef(base + tree.facet)
        concept = {tag: URIRef(f"{scheme}/{quote(tag, safe='')}") for tag in tree}
        graph.add((scheme, RDF.type, SKOS.ConceptScheme))
        graph.add((scheme, SKOS.prefLabel, Literal(tree.facet)))
        broader, cyclic = broader_of(tree)
        known = {tag: uri for tag, uri in uris.get(tree.facet, {}).items() if tag in tree}
        shared = Counter(known.values())
        for tag, node in concept.items():
            graph.add((node, RDF.type, SKOS.Concept))
            graph.add((node, SKOS.inScheme, scheme))
            for property, language, text in _labels(names, tree.facet, tag, tag_language):
                graph.add((node, SKOS[property], Literal(text, lang=language)))
            if uri := known.get(tag):
                graph.add((node, SKOS.closeMatch if shared[uri] > 1 else SKOS.exactMatch, URIRef(uri)))
            if tree.parent(tag) is None:
                graph.add((node, SKOS.topConceptOf, scheme))
                graph.add((scheme, SKOS.hasTopConcept, node))
            for parent in broader[tag]:
                graph.add((node, SKOS.broader, concept[parent]))
            for parent in cyclic[tag]:
                note = f"Also annotated below {parent}, which lies below it."
                graph.add((node, SKOS.editorialNote, Literal(note, lang="en")))
    return graph.serialize(format="turtle")


def _labels(
    names: Names, facet: str, tag: str, tag_language: str | None
) -> Iterator[tuple[str, str | None, str]]:
    """(property, language, text): the tag itself first, one preferred label per language, no duplicates."""
    every = list(names.every(facet, tag))
    if tag_language is not None or all(text != tag for _, text in every):
        every.insert(0, (tag_language or "", tag))
    seen: set[tuple[str, str]] = set()
    languages: set[str] = set()
    for language, text in every:
        # rdflib writes language tags in lower case, and SKOS compares them so.
        language = language.lower() if _LANGUAGE.fullmatch(language) else ""
        if (language, text) not in seen:
            seen.add((language, text))
            yield ("altLabel" if language in languages else "prefLabel"), language or None, text
            languages.add(language)


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
