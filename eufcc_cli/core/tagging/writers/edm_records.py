"""Accepted and added tags as Europeana's records (EDM, RDF/XML): objects with references to concepts."""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from lxml import etree

from eufcc_cli.core.dataset.museum.readers.edm import RDF
from eufcc_cli.core.dataset.museum.readers.xml_source import XML_LANG, xml_text
from eufcc_cli.core.tagging.decided_images import DecidedTag
from eufcc_cli.core.tagging.decided_records import DecidedRecord
from eufcc_cli.core.taxonomy.linked_data.concepts import Uris
from eufcc_cli.core.taxonomy.names import Names

_SPACES = {
    "rdf": RDF,
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "edm": "http://www.europeana.eu/schemas/edm/",
    "ore": "http://www.openarchives.org/ore/terms/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
}
PROPERTIES = {
    "objectTypes": "dc:type",
    "materials": "dcterms:medium",
    "classifications": "dc:subject",
    "subjects": "dc:subject",
}
"""The property of an object that a facet's tags are values of."""


class Edm:
    """Provided objects with references to concepts, the concepts with their names, and the aggregations.

    The schema requires provider and rights in an aggregation; objects without them have no aggregation.
    """

    def __init__(self, uris: Uris, names: Names, language: str | None) -> None:
        """language: the language for tags without a concept that have a name in it."""
        self._uris = uris
        self._names = names
        self._language = language

    def texts(self, records: Iterable[DecidedRecord]) -> Iterator[str]:
        """The parts of the document, in order."""
        spaces = "".join(f'\n  xmlns:{prefix}="{uri}"' for prefix, uri in _SPACES.items())
        yield f"<?xml version='1.0' encoding='UTF-8'?>\n<rdf:RDF{spaces}>\n"
        concepts: dict[str, DecidedTag] = {}
        for record in records:
            for tag in record.tags:
                if (uri := self._uri(tag)) is not None:
                    concepts.setdefault(uri, tag)
            yield _text(self._object(record))
            if record.provider and record.rights:
                yield _text(_aggregation(record))
        for uri, tag in concepts.items():
            yield _text(self._concept(uri, tag))
        yield "</rdf:RDF>\n"

    def _uri(self, tag: DecidedTag) -> str | None:
        return self._uris.get(tag.facet, {}).get(tag.tag)

    def _object(self, record: DecidedRecord) -> Any:
        root = _element("edm:ProvidedCHO", about=_uri_of(record))
        _add(root, "dc:identifier", record.id)
        for tag in record.tags:
            name = PROPERTIES.get(tag.facet, "dc:subject")
            if (uri := self._uri(tag)) is not None:
                _add(root, name, resource=uri)
            else:
                shown = self._names.of(tag.facet, tag.tag, self._language) if self._language else None
                _add(root, name, shown or tag.tag, self._language if shown else None)
        _add(root, "dc:title", record.title or record.id)
        _add(root, "edm:type", "IMAGE")
        return root

    def _concept(self, uri: str, tag: DecidedTag) -> Any:
        root = _element("skos:Concept", about=uri)
        languages: set[str] = set()
        others: list[tuple[str, str]] = []
        for language, name in self._names.every(tag.facet, tag.tag):
            if language in languages:
                others.append((language, name))
            else:  # one preferred label a language
                languages.add(language)
                _add(root, "skos:prefLabel", name, language)
        if not languages:
            _add(root, "skos:prefLabel", tag.tag)
        for language, name in others:
            _add(root, "skos:altLabel", name, language)
        return root


def _aggregation(record: DecidedRecord) -> Any:
    """The aggregation of a record; its elements stand in the schema's order."""
    uri = _uri_of(record)
    root = _element("ore:Aggregation", about=f"{uri}{'-' if '#' in uri else '#'}aggregation")
    _add(root, "edm:aggregatedCHO", resource=uri)
    _add(root, "edm:dataProvider", record.provider)
    first, *others = record.images or [""]
    for image in others:
        _add(root, "edm:hasView", resource=image)
    if first:
        _add(root, "edm:isShownBy", resource=first)
    _add(root, "edm:provider", record.provider)
    _add(root, "edm:rights", resource=record.rights)
    return root


def _uri_of(record: DecidedRecord) -> str:
    return record.item or f"#{quote(record.id, safe='')}"


def _name(name: str) -> str:
    prefix, local = name.split(":")
    return f"{{{_SPACES[prefix]}}}{local}"


def _element(name: str, about: str) -> Any:
    return etree.Element(_name(name), {_name("rdf:about"): about}, nsmap=_SPACES)


def _add(
    parent: Any,
    name: str,
    text: str | None = None,
    language: str | None = None,
    *,
    resource: str | None = None,
) -> None:
    attributes = {XML_LANG: language} if language else {}
    if resource is not None:
        attributes[_name("rdf:resource")] = resource
    element = etree.SubElement(parent, _name(name), attributes)
    element.text = None if text is None else xml_text(text)


def _text(element: Any) -> str:
    etree.indent(element, " ", level=1)
    text = etree.tostring(element, encoding="unicode")
    for prefix, uri in _SPACES.items():  # the document's first element declares them
        text = text.replace(f' xmlns:{prefix}="{uri}"', "", 1)
    return f" {text}\n"
