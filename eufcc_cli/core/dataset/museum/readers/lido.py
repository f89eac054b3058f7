"""Reading LIDO, the format in which museums deliver objects to aggregators: a row per object."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eufcc_cli.core.dataset.museum.readers.export import Dialect, Export, text_frame
from eufcc_cli.core.dataset.museum.readers.xml_source import XML_LANG, iterate, text_of
from eufcc_cli.core.errors import DataError

NAMESPACE = "http://www.lido-schema.org"
_N = f"{{{NAMESPACE}}}"
CONCEPTS = ("objectWorkType", "termMaterialsTech", "classification", "subjectConcept")
_COLUMNS = ("workID", "lidoRecID", "title", "repository", *CONCEPTS, "linkResource")
_SEPARATOR = "|"
# lido00131: techniques among termMaterialsTech, in LIDO's own terminology
_TECHNIQUES = ("technique", "technik", "lido00131")


def read_lido(path: Path, language: str | None = None) -> Export:
    """Read a LIDO file, with its terms in a language if they have it, else in their first one.

    Several terms of an object share a cell, joined by ` | `; next to each column of terms is one with the
    URIs of their concepts. For an object without terms for its materials, their description in words
    (displayMaterialsTech) is used. DataError if the file holds no LIDO record.
    """
    rows: list[list[str]] = []
    with path.open("rb") as file:
        for record in iterate(file, str(path), f"{_N}lido"):
            rows.append(_row(record, language))
    if not rows:
        raise DataError(f"{path}: holds no LIDO record", hint="export it again, as LIDO 1.0 or 1.1")
    columns = [*_COLUMNS, *(f"{name} URI" for name in CONCEPTS)]
    uris = {name: f"{name} URI" for name in CONCEPTS}
    frame = text_frame(columns, list(zip(*rows, strict=True)))
    return Export(
        (path,), frame, tuple(columns), Dialect("lido"), separator=_SEPARATOR, uris=uris, first_line=1
    )


def joined(texts: Iterable[str]) -> str:
    """One cell of several texts; a separator inside a text is replaced by a similar character."""
    return f" {_SEPARATOR} ".join(text.replace(_SEPARATOR, "｜") for text in texts)


def in_language(texts: list[tuple[str, str]], language: str | None) -> str:
    """The text in a language or one of its regional variants, else the first text.

    >>> in_language([("de", "Gemälde"), ("en-GB", "painting")], "en")
    'painting'
    """
    wanted = f"{(language or '').lower()}-"
    return next((text for code, text in texts if f"{code.lower()}-".startswith(wanted)), texts[0][1])


def _row(record: Any, language: str | None) -> list[str]:
    concepts = {name: _concepts(record, name, language) for name in CONCEPTS}
    concepts["termMaterialsTech"] = concepts["termMaterialsTech"] or _displayed(record, language)
    plain = [
        next(_texts(record, f"{_N}repositorySet/{_N}workID"), ""),
        next(_texts(record, f"{_N}lidoRecID"), ""),
        next(_texts(record, f"{_N}titleSet/{_N}appellationValue"), ""),
        next(_texts(record, f"{_N}repositoryName/{_N}legalBodyName/{_N}appellationValue"), "")
        or next(_texts(record, f"{_N}recordSource/{_N}legalBodyName/{_N}appellationValue"), ""),
    ]
    links = list(dict.fromkeys(_texts(record, f"{_N}linkResource")))
    return [
        *plain,
        *(joined(term for term, _ in concepts[name]) for name in CONCEPTS),
        joined(links),
        *(joined(uri for _, uri in concepts[name]) for name in CONCEPTS),
    ]


def _texts(record: Any, path: str) -> Any:
    return (text for element in record.iterfind(f".//{path}") if (text := text_of(element)))


def _displayed(record: Any, language: str | None) -> list[tuple[str, str]]:
    """The materials of a record in words for display, without URIs: one text for each set."""
    of_set: dict[Any, list[tuple[str, str]]] = {}
    for element in record.iter(f"{_N}displayMaterialsTech"):
        if text := text_of(element):
            of_set.setdefault(element.getparent(), []).append((element.get(XML_LANG) or "", text))
    return [(in_language(texts, language), "") for texts in of_set.values()]


def _concepts(record: Any, name: str, language: str | None) -> list[tuple[str, str]]:
    """The (term, URI) pairs of a record, each concept once; "" if it has no URI."""
    found: dict[tuple[str, str], None] = {}
    for concept in record.iter(f"{_N}{name}"):
        kind = (concept.get(f"{_N}type") or concept.get("type") or "").lower()
        if name == "termMaterialsTech" and kind.endswith(_TECHNIQUES):
            continue
        terms = sorted(
            concept.iterfind(f"{_N}term"),
            key=lambda term: (
                not (term.get(f"{_N}pref") or "preferred").lower().endswith(("preferred", "lido00169"))
            ),
        )
        texts = [(term.get(XML_LANG) or "", text) for term in terms if (text := text_of(term))]
        uri = next(
            (u for each in concept.iterfind(f"{_N}conceptID") if (u := text_of(each)).startswith("http")), ""
        )
        if texts:
            found[in_language(texts, language), uri] = None
    return list(found)
