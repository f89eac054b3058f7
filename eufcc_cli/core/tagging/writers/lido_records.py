"""Accepted and added tags as LIDO 1.1, the format for delivery to aggregators: one record per object."""

from collections.abc import Iterable, Iterator
from typing import Any

from lxml import etree

from eufcc_cli import __version__
from eufcc_cli.core.dataset.museum.readers.lido import NAMESPACE
from eufcc_cli.core.dataset.museum.readers.xml_source import XML_LANG, xml_text
from eufcc_cli.core.tagging.decided_images import DecidedTag
from eufcc_cli.core.tagging.decided_records import DecidedRecord
from eufcc_cli.core.taxonomy.linked_data.concepts import Uris
from eufcc_cli.core.taxonomy.names import Names

_N = f"{{{NAMESPACE}}}"
_TERMINOLOGY = "http://terminology.lido-schema.org/"
_URI, _LOCAL_ID, _MATERIAL, _ITEM = (
    f"{_TERMINOLOGY}lido{number}" for number in ("00099", "00100", "00132", "00141")
)
_SCHEMA = f"{NAMESPACE} {NAMESPACE}/schema/v1.1/lido-v1.1.xsd"
_DECLARED = f' xmlns:lido="{NAMESPACE}"'  # by the first element of the document
_HEAD = (
    "<?xml version='1.0' encoding='UTF-8'?>\n"
    f'<lido:lidoWrap xmlns:lido="{NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    f'xsi:schemaLocation="{_SCHEMA}">\n'
)
_TAIL = "</lido:lidoWrap>\n"


class Lido:
    """LIDO records: object types, classifications, materials and subjects, as concepts with their names."""

    def __init__(self, uris: Uris, names: Names, language: str | None) -> None:
        """language: that of the record's own texts (default: English); terms have all their languages."""
        self._uris = uris
        self._names = names
        self._language = language or "en"

    def texts(self, records: Iterable[DecidedRecord]) -> Iterator[str]:
        """The parts of the document, in order."""
        yield _HEAD
        for record in records:
            element = self._record(record)
            etree.indent(element, " ", level=1)
            text = etree.tostring(element, encoding="unicode")
            yield f" {text.replace(_DECLARED, '', 1)}\n"
        yield _TAIL

    def _record(self, record: DecidedRecord) -> Any:
        root = etree.Element(f"{_N}lido", nsmap={"lido": NAMESPACE})
        source = {f"{_N}source": xml_text(record.provider)} if record.provider else {}
        _add(root, "lidoRecID", record.id, {f"{_N}type": _LOCAL_ID, **source})
        self._description(_add(root, "descriptiveMetadata", None, {XML_LANG: self._language}), record)
        administration = _add(root, "administrativeMetadata", None, {XML_LANG: self._language})
        about = _add(administration, "recordWrap")
        _add(about, "recordID", record.id, {f"{_N}type": _LOCAL_ID, **source})
        kind = _add(about, "recordType")
        _add(kind, "conceptID", _ITEM, {f"{_N}type": _URI})
        _add(kind, "term", "Item-level record", {XML_LANG: "en"})
        name = _add(_add(about, "recordSource"), "legalBodyName")
        _add(name, "appellationValue", record.provider or f"eufcc {__version__}")
        if record.images:
            resources = _add(administration, "resourceWrap")
            for url in record.images:
                _add(_add(_add(resources, "resourceSet"), "resourceRepresentation"), "linkResource", url)
        return root

    def _description(self, parent: Any, record: DecidedRecord) -> None:
        """The parts of descriptiveMetadata in the schema's order."""
        classified = _add(parent, "objectClassificationWrap")
        types = _add(classified, "objectWorkTypeWrap")  # needs one
        for tag in record.of("objectTypes"):
            self._concept(_add(types, "objectWorkType"), tag)
        if not len(types):
            for name in record.types or ["unknown"]:
                _add(_add(types, "objectWorkType"), "term", name)
        if classifications := record.of("classifications"):
            wrap = _add(classified, "classificationWrap")
            for tag in classifications:
                self._concept(_add(wrap, "classification"), tag)
        identified = _add(parent, "objectIdentificationWrap")
        title = _add(_add(identified, "titleWrap"), "titleSet")  # needs one
        _add(title, "appellationValue", record.title or record.id)
        if record.provider:
            place = _add(_add(identified, "repositoryWrap"), "repositorySet")
            body = _add(_add(place, "repositoryName"), "legalBodyName")
            _add(body, "appellationValue", record.provider)
            _add(place, "workID", record.id)
        if materials := record.of("materials"):
            found = _add(_add(identified, "objectMaterialsTechWrap"), "objectMaterialsTechSet")
            listed = _add(found, "materialsTech")
            for tag in materials:
                self._concept(_add(listed, "termMaterialsTech", None, {f"{_N}type": _MATERIAL}), tag)
        if subjects := record.of("subjects"):
            found = _add(_add(_add(parent, "objectRelationWrap"), "subjectWrap"), "subjectSet")
            listed = _add(found, "subject")
            for tag in subjects:
                self._concept(_add(listed, "subjectConcept"), tag)

    def _concept(self, element: Any, tag: DecidedTag) -> None:
        if (uri := self._uris.get(tag.facet, {}).get(tag.tag)) is not None:
            source = {f"{_N}source": "AAT"} if "vocab.getty.edu/aat/" in uri else {}
            _add(element, "conceptID", uri, {f"{_N}type": _URI, **source})
        first: dict[str, str] = {}
        for language, name in self._names.every(tag.facet, tag.tag):
            first.setdefault(language, name)
        for language, name in first.items():
            _add(element, "term", name, {XML_LANG: language})
        if tag.tag not in first.values():
            _add(element, "term", tag.tag)


def _add(parent: Any, name: str, text: str | None = None, attributes: dict[str, str] | None = None) -> Any:
    element = etree.SubElement(parent, f"{_N}{name}", attributes or {})
    element.text = None if text is None else xml_text(text)
    return element
