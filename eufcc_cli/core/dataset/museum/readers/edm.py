"""Records of the Europeana Data Model (RDF/XML): in files, and streamed from ZIP files of weekly dumps."""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from eufcc_cli.core.dataset.museum.readers.export import Dialect, Export, text_frame
from eufcc_cli.core.dataset.museum.readers.lido import in_language, joined
from eufcc_cli.core.dataset.museum.readers.xml_source import XML_LANG, NotWellFormed, iterate, text_of
from eufcc_cli.core.errors import DataError

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_RDF = f"{{{RDF}}}"
_EDM = "{http://www.europeana.eu/schemas/edm/}"
_ORE = "{http://www.openarchives.org/ore/terms/}"
_SKOS = "{http://www.w3.org/2004/02/skos/core#}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_TERMS = "{http://purl.org/dc/terms/}"
_FOAF = "{http://xmlns.com/foaf/0.1/}"
_OWL = "{http://www.w3.org/2002/07/owl#}"
# The fields, named as Europeana's APIs name them.
FIELDS = {
    f"{_DC}type": "dcType",
    f"{_TERMS}medium": "dctermsMedium",
    f"{_DC}format": "dcFormat",
    f"{_DC}subject": "dcSubject",
}
_CONCEPT_COLUMNS = {
    "dc:type": ("dcType",),
    "dcterms:medium": ("dctermsMedium", "dcFormat"),
    "dc:subject": ("dcSubject",),
}
_ITEM = re.compile(r"https?://data\.europeana\.eu/(?:item|proxy/provider|aggregation/provider)(/.+)")
_MOST_BYTES = 64 << 20  # of one record's file in a ZIP: real ones have some kilobytes


@dataclass
class EdmRecord:
    """One record: its values per field as (language or "def", text or URI), and the concepts it describes.

    `concepts` maps a URI to {"labels": {language: [text]}, "exactMatch": [URI]}.
    """

    id: str
    identifier: str = ""
    title: str = ""
    type: str = ""
    provider: str = ""
    rights: str = ""
    shown_by: str = ""
    preview: str = ""
    values: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    concepts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def europeana_id(self) -> str:
        """The id within Europeana (`/90402/RP_P_1909_557`), "" for a record from elsewhere."""
        found = _ITEM.fullmatch(self.id)
        return found[1] if found else ""


def read_edm(path: Path, language: str | None = None) -> Export:
    """Read an EDM file as a table, a row per record, with the labels of concepts in a language.

    DataError where it holds no record.
    """
    with path.open("rb") as file:
        rows = [_row(record, language) for record in records(file, str(path))]
    if not rows:
        raise DataError(f"{path}: holds no EDM record", hint="export it again, as EDM in RDF/XML")
    columns = [
        "id",
        "dc:identifier",
        "dc:title",
        "edm:dataProvider",
        *_CONCEPT_COLUMNS,
        "edm:isShownBy",
        "edm:rights",
    ]
    columns += [f"{name} URI" for name in _CONCEPT_COLUMNS]
    uris = {name: f"{name} URI" for name in _CONCEPT_COLUMNS}
    frame = text_frame(columns, list(zip(*rows, strict=True)))
    return Export((path,), frame, tuple(columns), Dialect("edm"), separator="|", uris=uris, first_line=1)


def _row(record: EdmRecord, language: str | None) -> list[str]:
    terms: list[list[tuple[str, str]]] = []
    for fields in _CONCEPT_COLUMNS.values():
        found: dict[tuple[str, str], None] = {}
        for name in fields:
            for _, value in record.values.get(name, ()):
                labels = record.concepts.get(value, {}).get("labels", {})
                texts = [(code, text) for code, several in labels.items() for text in several]
                if texts:
                    found[in_language(texts, language), value] = None
                elif value.startswith(("http://", "https://")):
                    found["", value] = None
                else:
                    found[value, ""] = None
        terms.append(list(found))
    return [
        record.id,
        record.identifier,
        record.title,
        record.provider,
        *(joined(term for term, _ in each) for each in terms),
        record.shown_by,
        record.rights,
        *(joined(uri for _, uri in each) for each in terms),
    ]


def zipped_records(path: Path, broken: dict[str, str] | None = None) -> Iterator[EdmRecord]:
    """The records of a ZIP file of EDM files, streamed; DataError for a damaged or hostile archive.

    A file that is not well-formed is left out, and added to `broken` with the reason.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.is_dir() or not info.filename.lower().endswith((".xml", ".rdf")):
                    continue
                name = f"{path}/{info.filename}"
                if info.file_size > _MOST_BYTES:
                    raise DataError(
                        f"{name}: unpacks to {info.file_size >> 20:,} MB", hint="EDM records are much shorter"
                    )
                with archive.open(info) as file:
                    try:
                        yield from records(file, name)
                    except NotWellFormed as error:
                        if broken is None:
                            raise
                        broken[name] = str(error).removeprefix(f"{name}: ")
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path}: a damaged ZIP file: {error}", hint="download or copy it again") from error


def records(file: IO[bytes], name: str) -> Iterator[EdmRecord]:
    """The records of one RDF/XML document, also inside wrappers such as those of OAI-PMH."""
    for document in iterate(file, name, f"{_RDF}RDF"):
        yield from _of_document(document)


def _of_document(document: Any) -> Iterator[EdmRecord]:
    found: dict[str, EdmRecord] = {}
    concepts: dict[str, dict[str, Any]] = {}
    organizations: dict[str, str] = {}
    aggregations = []
    for element in document:
        about = element.get(f"{_RDF}about") or ""
        if element.tag in (f"{_EDM}ProvidedCHO", f"{_ORE}Proxy"):
            target = _reference(element, f"{_ORE}proxyFor") or about
            record = found.setdefault(target, EdmRecord(target))
            _describe(record, element, by_europeana=text_of(element.find(f"{_EDM}europeanaProxy")) == "true")
        elif element.tag in (f"{_ORE}Aggregation", f"{_EDM}EuropeanaAggregation"):
            aggregations.append(element)
        elif element.tag == f"{_SKOS}Concept":
            concepts[about] = _concept(element)
        elif element.tag in (f"{_FOAF}Organization", f"{_EDM}Agent"):
            organizations[about] = text_of(element.find(f"{_SKOS}prefLabel"))
    for element in aggregations:
        if (target := _reference(element, f"{_EDM}aggregatedCHO")) in found:
            _aggregate(found[target], element, organizations)
    for record in found.values():
        mentioned = {value for values in record.values.values() for _, value in values}
        record.concepts = {
            uri: concept
            for uri, concept in concepts.items()
            if uri in mentioned or mentioned & set(concept["exactMatch"])
        }
        yield record


def _describe(record: EdmRecord, element: Any, *, by_europeana: bool) -> None:
    for child in element:
        if name := FIELDS.get(child.tag):
            value = child.get(f"{_RDF}resource") or text_of(child)
            pair = ((child.get(XML_LANG) or "def").lower(), value)
            if value and pair not in record.values.setdefault(name, []):
                record.values[name].append(pair)
        elif child.tag == f"{_EDM}type":
            record.type = record.type or text_of(child)
    if not by_europeana:
        record.title = record.title or text_of(element.find(f"{_DC}title"))
        record.identifier = record.identifier or text_of(element.find(f"{_DC}identifier"))


def _aggregate(record: EdmRecord, element: Any, organizations: dict[str, str]) -> None:
    if element.tag == f"{_EDM}EuropeanaAggregation":
        record.preview = record.preview or _reference(element, f"{_EDM}preview")
        return
    provider = _reference(element, f"{_EDM}dataProvider")
    record.provider = record.provider or organizations.get(provider) or provider
    record.rights = record.rights or _reference(element, f"{_EDM}rights")
    record.shown_by = record.shown_by or _reference(element, f"{_EDM}isShownBy")


def _reference(element: Any, tag: str) -> str:
    child = element.find(tag)
    return "" if child is None else (child.get(f"{_RDF}resource") or text_of(child))


def _concept(element: Any) -> dict[str, Any]:
    labels: dict[str, list[str]] = {}
    matches: list[str] = []
    for child in element:
        if child.tag == f"{_SKOS}prefLabel" and (text := text_of(child)):
            labels.setdefault((child.get(XML_LANG) or "def").lower(), []).append(text)
        elif child.tag in (f"{_SKOS}exactMatch", f"{_OWL}sameAs") and (uri := child.get(f"{_RDF}resource")):
            matches.append(uri)
    return {"labels": labels, "exactMatch": matches}
