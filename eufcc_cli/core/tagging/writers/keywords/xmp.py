"""XMP packets: terms are added to what other programs wrote; only terms that we added are removed."""

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lxml import etree

from eufcc_cli import __version__
from eufcc_cli.core.dataset.museum.readers.xml_source import xml_text
from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.tagging.selection import Suggestion

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC = "http://purl.org/dc/elements/1.1/"
LIGHTROOM = "http://ns.adobe.com/lightroom/1.0/"
OWN = "urn:eufcc:xmp:1.0/"
"""The namespace of the properties that mark our own terms, with their origin and date."""
MOST_BYTES = 32 << 20

_R, _OWN = f"{{{RDF}}}", f"{{{OWN}}}"
_BAGS = {
    f"{{{DC}}}subject": f"{_OWN}subject",
    f"{{{LIGHTROOM}}}hierarchicalSubject": f"{_OWN}hierarchicalSubject",
    f"{{{DC}}}contributor": f"{_OWN}contributor",
}
"""The properties that hold our values, and those that list which of their values are ours."""
_CONTAINERS = (f"{_R}Bag", f"{_R}Seq", f"{_R}Alt")
_PREFIXES = {"rdf": RDF, "dc": DC, "lr": LIGHTROOM, "eufcc": OWN}
_EMPTY = f"""\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="eufcc {__version__}">
 <rdf:RDF xmlns:rdf="{RDF}">
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NO_BOM = ((b"<\0\0\0", "utf-32-le"), (b"\0\0\0<", "utf-32-be"), (b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))
_PROLOG = re.compile(r"\ufeff?(?:\s+|<\?.*?\?>|<!--.*?-->)*", re.DOTALL)
_NAME = re.compile(r"<([^\s/>!?]+)")
_DECLARED = re.compile(r"""<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")


@dataclass(frozen=True)
class Terms:
    """The terms of one image: keywords, their paths, the reviewers, the origin."""

    subjects: tuple[str, ...]
    paths: tuple[str, ...]
    """Levels joined by `|`, the facet first."""
    origin: str
    date: str
    contributors: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        tags: dict[str, list[Suggestion]],
        origin: str,
        date: str,
        contributors: Iterable[str] = (),
    ) -> "Terms":
        """The terms of suggestions, {facet: tags}, under their display names."""
        shown = [(facet, tag.shown) for facet, found in tags.items() for tag in found]
        paths = ("|".join(name.replace("|", "｜") for name in (facet, *names)) for facet, names in shown)
        return cls(_texts(names[-1] for _, names in shown), _texts(paths), origin, date, _texts(contributors))


class Packet:
    """An XMP packet that can be written again with other terms of ours, and everything else as it was."""

    def __init__(self, content: bytes = _EMPTY.encode()) -> None:
        """content: a sidecar, or the packet in an image; ImageError where it is not XMP that can be read."""
        if len(content) > MOST_BYTES:
            raise ImageError(f"XMP of {len(content) >> 20:,} MB: more than is read")
        self._bom, self._encoding = _encoding(content)
        try:
            text = content[len(self._bom) :].decode(self._encoding)
        except (UnicodeDecodeError, LookupError) as error:
            raise ImageError(f"XMP that cannot be read: {error}") from error
        self._before, body, self._after = _parts(text)
        self._newline = "\r\n" if "\r\n" in body else "\n"
        parser = etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, strip_cdata=False
        )
        try:
            self._root = etree.fromstring(body.encode(), parser)
        except etree.XMLSyntaxError as error:
            raise ImageError(f"XMP that cannot be read: {' '.join(str(error.msg).split())}") from error
        self._rdf = self._find_rdf()

    @property
    def origin(self) -> str | None:
        """The origin of our terms, `Terms.origin`; None if the packet has none."""
        for description in self._descriptions():
            if (value := description.get(f"{_OWN}origin")) is not None:
                return str(value)
            for element in description.iterchildren(f"{_OWN}origin"):
                return str(element.text or "")
        return None

    def values(self, name: str) -> list[str]:
        """All values of a property ({namespace}name), those of other programs included."""
        return [
            _value(item) for one in self._properties(name) for item in one.iter(f"{_R}li") if _is_item(item)
        ]

    def put(self, terms: Terms) -> None:
        """Replace our terms. A term that another program wrote is not marked as ours."""
        self._remove()
        added = zip(_BAGS.items(), (terms.subjects, terms.paths, terms.contributors), strict=True)
        marks = {mark: self._add(name, values) for (name, mark), values in added if values}
        own = self._own_description()
        for mark, values in marks.items():
            if values:
                _fill(etree.SubElement(own, mark), values)
        for name, value in (("origin", terms.origin), ("date", terms.date)):
            etree.SubElement(own, f"{_OWN}{name}").text = xml_text(value)
        etree.indent(own, " ", level=2)
        if len(self._rdf) == 1:
            self._rdf.text, own.tail = "\n  ", "\n "

    def content(self, encoding: str | None = None) -> bytes:
        """The packet, in the encoding in which it came, or in another one."""
        body = etree.tostring(self._root, encoding="unicode", with_tail=False)
        if self._newline != "\n":
            body = body.replace("\n", self._newline)
        text = self._before + body + self._after
        if encoding is not None:
            return text.encode(encoding)
        return self._bom + text.encode(self._encoding)

    def _find_rdf(self) -> Any:
        if self._root.tag == f"{_R}RDF":
            return self._root
        found = next(self._root.iterchildren(f"{_R}RDF"), None)
        if found is not None:
            return found
        if etree.QName(self._root).localname not in ("xmpmeta", "xapmeta"):
            raise ImageError(f"not XMP: its first element is {etree.QName(self._root).localname}")
        return etree.SubElement(self._root, f"{_R}RDF", nsmap={"rdf": RDF})

    def _descriptions(self) -> list[Any]:
        return list(self._rdf.iterchildren(f"{_R}Description"))

    def _properties(self, name: str) -> list[Any]:
        return [one for description in self._descriptions() for one in description.iterchildren(name)]

    def _remove(self) -> None:
        """Remove our terms and the properties that mark them."""
        for name, mark in _BAGS.items():
            ours = set(self.values(mark))
            for element in self._properties(name):
                removed = False
                for item in [item for item in element.iter(f"{_R}li") if _is_item(item)]:
                    if _value(item) in ours:
                        _detach(item)
                        removed = True
                if removed and next(element.iter(f"{_R}li"), None) is None:
                    _detach(element)
        for description in self._descriptions():
            had = False
            for element in [one for one in description if _is_own(one.tag)]:
                _detach(element)
                had = True
            for attribute in [name for name in description.attrib if _is_own(name)]:
                del description.attrib[attribute]
                had = True
            rest = [name for name in description.attrib if etree.QName(name).localname != "about"]
            if had and not len(description) and not rest and not (description.text or "").strip():
                _detach(description)

    def _add(self, name: str, values: Iterable[str]) -> list[str]:
        """Add values to a property; returns those that were new."""
        self._expand(name)
        present = set(self.values(name))
        new = [value for value in values if value not in present]
        if new:
            element = next(iter(self._properties(name)), None)
            if element is None:
                element = etree.SubElement(self._own_description(), name)
            _fill(element, new)
        return new

    def _expand(self, name: str) -> None:
        """A single value, as an attribute or as text, becomes the one item of a bag."""
        for description in self._descriptions():
            if (value := description.attrib.pop(name, None)) is not None:
                element = etree.Element(name)
                _append(description, element)
                _fill(element, [value])
        for element in self._properties(name):
            if not len(element) and (element.text or "").strip():
                value, element.text = element.text.strip(), None
                _fill(element, [value])

    def _own_description(self) -> Any:
        """The description for our own properties, created if there is none."""
        for description in self._descriptions():
            if description.nsmap.get("eufcc") == OWN and len({*description.attrib}) <= 1:
                return description
        first = next(iter(self._descriptions()), None)
        about = {} if first is None else {k: v for k, v in first.attrib.items() if _is_about(k)}
        made = etree.Element(f"{_R}Description", about or {f"{_R}about": ""}, nsmap=_PREFIXES)
        _append(self._rdf, made)
        return made


def _encoding(content: bytes) -> tuple[bytes, str]:
    for bom, name in _BOMS:
        if content.startswith(bom):
            return bom, name
    for start, name in _NO_BOM:
        if content.startswith(start):
            return b"", name
    declared = _DECLARED.match(content[:200].decode("latin-1"))
    return b"", declared[1] if declared else "utf-8"


def _parts(text: str) -> tuple[str, str, str]:
    """The text before the first element (packet, comments), the element, and the text after it."""
    text = text.rstrip("\0")
    start = _PROLOG.match(text)
    assert start is not None
    name = _NAME.match(text, start.end())
    if name is None:
        declares = text.startswith("<!", start.end())
        raise ImageError("XMP with a DOCTYPE, which is not read" if declares else "not XMP: no XML in it")
    last = max(text.rfind(f"</{name[1]}"), start.end())
    end = re.compile(rf"</{re.escape(name[1])}\s*>|/>").search(text, last)
    if end is None:
        raise ImageError("XMP that cannot be read: its end is missing")
    return text[: start.end()], text[start.end() : end.end()], text[end.end() :]


def _is_item(item: Any) -> bool:
    """True for an item of a property's own container, not of one inside a structure."""
    return item.getparent().tag in _CONTAINERS


def _value(item: Any) -> str:
    """An item's text; that of rdf:value where it has qualifiers."""
    inner = next(item.iter(f"{_R}value"), None)
    return str((item if inner is None else inner).text or "").strip()


def _is_own(name: object) -> bool:
    return isinstance(name, str) and name.startswith(_OWN)


def _is_about(name: str) -> bool:
    return name in (f"{_R}about", "about")


def _fill(element: Any, values: Iterable[str]) -> None:
    """Add values to a property's container, created if there is none."""
    container = next((one for one in element if one.tag in _CONTAINERS), None)
    if container is None:
        container = etree.SubElement(element, f"{_R}Bag")
    for value in values:
        item = etree.Element(f"{_R}li")
        item.text = value
        _append(container, item)


def _append(parent: Any, child: Any) -> None:
    """Append a child, on a separate line if the others are."""
    if len(parent):
        last = parent[-1]
        child.tail = last.tail
        last.tail = parent.text if len(parent) == 1 else parent[-2].tail
    else:
        child.tail = parent.text
    parent.append(child)


def _detach(child: Any) -> None:
    """Remove an element, and the line break that `_append` added."""
    parent, before = child.getparent(), child.getprevious()
    if child.getnext() is None:
        if before is None:
            parent.text = child.tail
        else:
            before.tail = child.tail
    parent.remove(child)


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, (xml_text(value).strip() for value in values))))
