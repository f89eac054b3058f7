"""Contentious terms: a user's list, and the tags whose names contain a term of the list."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from eufcc_cli.core.errors import DataError, first_line
from eufcc_cli.core.taxonomy.matching.words import inflected, name_keys
from eufcc_cli.core.taxonomy.names import Names

if TYPE_CHECKING:
    from rdflib import Graph
    from rdflib.term import Node

_COLUMNS = ("term", "language", "note")
_HINT = "give CSV with the columns term, language, note, or SKOS as Turtle or RDF/XML"
_RDF = {".ttl": "turtle", ".nt": "nt", ".n3": "turtle", ".rdf": "xml", ".xml": "xml", ".owl": "xml"}
_DEBIAS = "http://data.europa.eu/c4p/ontology#"
_XL = "http://www.w3.org/2008/05/skos-xl#"


class FlaggedTerm(NamedTuple):
    """A term of a list, its language ("": any), and its note."""

    term: str
    language: str
    note: str


class Flag(NamedTuple):
    """A term that a tag's name contains."""

    term: str
    language: str
    note: str
    name: str
    """The name of the tag that contains it."""


@dataclass
class FlaggedTerms:
    """A list of terms with an index, to find them in names.

    >>> flagged = FlaggedTerms([FlaggedTerm("Gypsy", "en", "Say Roma.")])
    >>> [flag.name for flag in flagged.of_names([("en", "gypsies' dress"), ("fr", "gypsy")])]
    ["gypsies' dress"]
    """

    terms: list[FlaggedTerm]

    def __post_init__(self) -> None:
        self._by_word: dict[str, list[tuple[FlaggedTerm, tuple[frozenset[str], ...]]]] = defaultdict(list)
        for term in self.terms:
            words = tuple(_forms(word, _main(term.language)) for word in name_keys(term.term))
            for form in words[0] if words else ():
                self._by_word[form].append((term, words))

    def of_names(self, names: Iterable[tuple[str, str]]) -> list[Flag]:
        """The terms that some names, (language or "", text), contain as whole words, each term once.

        Case, accents and plurals do not count. A term matches names in its language, and those in none.
        """
        found: dict[FlaggedTerm, Flag] = {}
        for language, text in names:
            words = [_forms(word, _main(language)) for word in name_keys(text)]
            for start, forms in enumerate(words):
                for term, wanted in (each for form in forms for each in self._by_word.get(form, ())):
                    here = words[start : start + len(wanted)]
                    if (
                        term not in found
                        and (not term.language or not language or _main(term.language) == _main(language))
                        and len(here) == len(wanted)
                        and all(map(frozenset.intersection, here, wanted))
                    ):
                        found[term] = Flag(*term, text)
        return list(found.values())

    def of_tag(self, names: Names, facet: str, tag: str) -> list[Flag]:
        """The terms that a tag or one of its names contains."""
        every = list(names.every(facet, tag))
        if all(text != tag for _, text in every):
            every.insert(0, ("", tag))
        return self.of_names(every)


def _main(language: str) -> str:
    return language.lower().partition("-")[0]


@lru_cache(maxsize=1 << 16)
def _forms(word: str, language: str) -> frozenset[str]:
    return frozenset((word, *inflected(word, language or None)))


# --- files ---------------------------------------------------------------------------------------------


def read_flagged_terms(path: Path) -> FlaggedTerms:
    """A list of contentious terms from a file: CSV, or SKOS as Turtle, N-Triples or RDF/XML.

    CSV needs the column `term`; `language` and `note` may be there. Of SKOS, every label of a concept is a
    term, and its note is the concept's note, scope note, definition or description; of the DE-BIAS
    vocabulary, only what it calls contentious. Nothing is fetched. Raises DataError for any other file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"`flag_terms` {path}: {error.strerror or error}", hint=_HINT) from error
    kind = _RDF.get(path.suffix.lower())
    if kind is None and content.lstrip().startswith((b"<?xml", b"<rdf:")):
        kind = "xml"
    terms = list(_of_csv(path, content) if kind is None else _of_rdf(path, content, kind))
    if not terms:
        raise DataError(f"`flag_terms` {path}: no term in it", hint=_HINT)
    return FlaggedTerms(list(dict.fromkeys(terms)))


def _of_csv(path: Path, content: bytes) -> Iterator[FlaggedTerm]:
    try:
        lines = content.decode("utf-8-sig").splitlines(keepends=True)
        separator = max(",;\t", key=(lines[0] if lines else "").count)
        reader = csv.DictReader(lines, delimiter=separator)
        columns = [(name or "").strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        if "term" not in columns:
            raise DataError(
                f"`flag_terms` {path}: no column `term`, but {', '.join(columns) or 'nothing'}", hint=_HINT
            )
        for row in reader:
            term, language, note = (" ".join((row.get(column) or "").split()) for column in _COLUMNS)
            if term:
                yield FlaggedTerm(term, language.lower(), note)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"`flag_terms` {path}: {error}", hint="save the table as CSV in UTF-8") from error


def _of_rdf(path: Path, content: bytes, kind: str) -> Iterator[FlaggedTerm]:
    from rdflib import Graph, URIRef
    from rdflib.exceptions import ParserError
    from rdflib.namespace import SKOS

    if kind == "xml" and b"<!ENTITY" in content:
        raise DataError(
            f"`flag_terms` {path}: declares XML entities, which are not expanded", hint="give it as Turtle"
        )
    graph = Graph()
    try:
        graph.parse(data=content, format=kind)
    except (ParserError, SyntaxError, ValueError, OSError, RecursionError) as error:
        reason = first_line(error)
        raise DataError(f"`flag_terms` {path}: {reason}", hint=_HINT) from error
    except Exception as error:
        # The parser of RDF/XML lets those of its library through.
        if type(error).__module__.startswith("xml."):
            raise DataError(f"`flag_terms` {path}: not well-formed XML: {error}", hint=_HINT) from error
        raise
    contentious = list(graph.subject_objects(URIRef(f"{_DEBIAS}hasContentiousTerm")))
    if contentious:
        for concept, term in contentious:
            yield from _labelled(graph, concept, graph.objects(term, URIRef(f"{_XL}literalForm")), term)
        return
    kinds = ("prefLabel", "altLabel", "hiddenLabel")
    for concept in set(graph.subjects()):
        if (concept, None, SKOS.ConceptScheme) in graph:
            continue
        labels = [label for name in kinds for label in graph.objects(concept, SKOS[name])]
        for name in kinds:
            for label in graph.objects(concept, URIRef(_XL + name)):
                labels += graph.objects(label, URIRef(f"{_XL}literalForm"))
        yield from _labelled(graph, concept, labels)


def _labelled(
    graph: "Graph", concept: "Node", labels: Iterable["Node"], term: "Node | None" = None
) -> Iterator[FlaggedTerm]:
    """Labels with the note of their concept, and the suggestions that DE-BIAS gives for a term."""
    from rdflib import Literal, URIRef
    from rdflib.namespace import DCTERMS, RDF, RDFS, SKOS

    notes = [
        note
        for property in (SKOS.scopeNote, SKOS.definition, SKOS.note, DCTERMS.description, RDFS.comment)
        for note in graph.objects(concept, property)
        if isinstance(note, Literal)
    ]
    about = URIRef(f"{_DEBIAS}hasSuggestionNote"), URIRef(f"{_DEBIAS}suggestionNoteFor")
    suggestions = {*graph.objects(term, about[0]), *graph.subjects(about[1], term)} if term else set()
    advice = [
        value
        for note in sorted(suggestions, key=str)
        for value in graph.objects(note, RDF.value)
        if isinstance(value, Literal)
    ]
    for label in labels:
        if isinstance(label, Literal) and (text := " ".join(str(label).split())):
            language = (label.language or "").lower()
            texts = [*_within(notes, language)[:1], *_within(advice, language)]
            yield FlaggedTerm(text, language, " ".join(texts))


def _within(notes: Iterable["Node"], language: str) -> list[str]:
    """The notes in a language, else those in English, else all."""
    texts = [(_main(getattr(note, "language", None) or ""), " ".join(str(note).split())) for note in notes]
    for code in (_main(language), "en"):
        if found := [text for known, text in texts if known == code and text]:
            return found
    return [text for _, text in texts if text]
