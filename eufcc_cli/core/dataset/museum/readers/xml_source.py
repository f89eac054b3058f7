"""Reading untrusted XML: no entities, no network, one record in memory at a time."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from lxml import etree

from eufcc_cli.core.errors import DataError

XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


class NotWellFormed(DataError):
    """The error for a document that is not well-formed."""


def iterate(file: IO[bytes], name: str, tag: str | tuple[str, ...]) -> Iterator[Any]:
    """The elements with these tags, each complete; each is freed when the next one is requested.

    Raises DataError, naming the file, for XML that is not well-formed and for a document that declares
    entities: they are never expanded or fetched.
    """
    checked = False
    try:
        for _, element in etree.iterparse(
            file,
            events=("end",),
            tag=tag,
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        ):
            if not checked:
                _check_entities(element, name)
                checked = True
            yield element
            element.clear(keep_tail=False)
            while element.getprevious() is not None:
                del element.getparent()[0]
    except etree.XMLSyntaxError as error:
        if "ntit" in str(error) or "amplification" in str(error):
            raise _declares_entities(name) from error
        raise _not_well_formed(str(name), error) from error


def root_tag(path: Path) -> str:
    """The tag of a document's first element; DataError if it has none, or declares entities."""
    try:
        with path.open("rb") as file:
            for _, element in etree.iterparse(
                file, events=("start",), resolve_entities=False, no_network=True, load_dtd=False
            ):
                _check_entities(element, str(path))
                return str(element.tag)
    except etree.XMLSyntaxError as error:
        raise _not_well_formed(str(path), error) from error
    raise DataError(f"{path}: not an XML document", hint="export it again")


def _not_well_formed(name: str, error: etree.XMLSyntaxError) -> NotWellFormed:
    reason = " ".join(str(error.msg).split())
    return NotWellFormed(f"{name}: not well-formed XML: {reason}", hint="export it again")


def _check_entities(element: Any, name: str) -> None:
    dtd = element.getroottree().docinfo.internalDTD
    if dtd is not None and any(True for _ in dtd.iterentities()):
        raise _declares_entities(name)


def _declares_entities(name: str) -> DataError:
    return DataError(
        f"{name}: declares XML entities, which are not expanded", hint="export it without a DOCTYPE"
    )


def text_of(element: Any) -> str:
    """The text of an element and all below it, with single spaces."""
    return "" if element is None else " ".join("".join(element.itertext()).split())


_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    r"""A text with the characters that XML cannot hold (control characters) replaced.

    >>> xml_text("bronze\x00").encode()
    b'bronze\xef\xbf\xbd'
    """
    return _FORBIDDEN.sub("\ufffd", text)
