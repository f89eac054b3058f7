"""Suggestions as W3C Web Annotations, as Europeana's Annotation API takes them."""

import json
import re
import uuid
from typing import Any

from eufcc_cli import __version__
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.selection import Suggestion
from eufcc_cli.core.tagging.tagger import Result
from eufcc_cli.core.tagging.writers.lines import PATH_SEPARATOR, JsonLines
from eufcc_cli.core.taxonomy.linked_data.concepts import Uris
from eufcc_cli.core.taxonomy.linked_data.iris import as_iri
from eufcc_cli.core.taxonomy.names import Names

CONTEXT = "http://www.w3.org/ns/anno.jsonld"
LONGEST_TAG = 64
"""Characters of a simple tag (https://pro.europeana.eu/data/annotations-scenarios)."""
_URL = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*://|www\.|mailto:)", re.IGNORECASE)


class WebAnnotations(JsonLines):
    """An annotation page with one tagging annotation for each suggestion, one a line.

    The body is the concept's URI with its labels, if the vocabulary has one, else the tag's name. Images that
    failed or have no suggestion have no line, and neither have tags that Europeana rejects.
    """

    form = "the annotation page that `tag` writes"
    separator = ",\n"
    ending = ""
    tail = "\n]}\n"
    is_complete = False

    def __init__(
        self, model: str, digest: str, date: str, uris: Uris, language: str | None, names: Names = Names()
    ) -> None:
        super().__init__(model)
        self._digest: str = digest
        self._date = date
        self._uris = uris
        self._language = language
        self._names = names
        page = urn(digest, date)
        self.head = f'{{"@context": "{CONTEXT}", "id": "{page}", "type": "AnnotationPage", "items": [\n'

    def text(self, result: Result) -> str:
        return self.separator.join(
            json.dumps(self.annotation(result.input, facet, tag), ensure_ascii=False)
            for facet, tags in result.tags.items()
            for tag in tags
            if self.allows(facet, tag)
        )

    def annotation(self, item: Input, facet: str, tag: Suggestion) -> dict[str, Any]:
        """One tagging annotation (W3C Web Annotation Data Model, 2017)."""
        source = as_iri(item.iri)
        return {
            "@context": CONTEXT,
            "id": urn(item.iri, facet, tag.tag, self._digest),
            "type": "Annotation",
            "motivation": "tagging",
            "created": self._date,
            "creator": {"id": f"urn:sha256:{self._digest}", "type": "Software", "name": self._model},
            "generator": {"type": "Software", "name": f"eufcc {__version__}"},
            **self._body(facet, tag),
            "target": {"scope": as_iri(item.item), "source": source} if item.item else source,
            # The context has no word for certainty, but knows schema.org, which has one.
            "schema:reviewRating": {
                "type": "schema:Rating",
                "schema:name": "score",
                "schema:ratingValue": tag.score,
                "schema:worstRating": 0,
                "schema:bestRating": 1,
            },
        }

    def _body(self, facet: str, tag: Suggestion) -> dict[str, Any]:
        """The body as the Annotation API accepts it: a concept, a word with its language, or only a word."""
        where = {"purpose": "tagging", "rdfs:label": PATH_SEPARATOR.join((facet, *tag.shown))}
        uri = self.uri(facet, tag)
        if uri is not None:
            labels = [{"@value": text, "@language": code} for code, text in self._labels(facet, tag).items()]
            body = {"type": "SpecificResource", "source": uri, **where}
            return {"body": {**body, "skos:prefLabel": labels or tag.shown[-1]}}
        simple = self.simple_tag(facet, tag)
        if "language" not in simple:
            return {"bodyValue": simple["value"]}
        return {"body": {"type": "TextualBody", **simple, "format": "text/plain", **where}}

    def uri(self, facet: str, tag: Suggestion) -> str | None:
        """The URI of a tag's concept."""
        return self._uris.get(facet, {}).get(tag.tag)

    def simple_tag(self, facet: str, tag: Suggestion) -> dict[str, str]:
        """A tag as a word (`value`), with its language if that is known."""
        value = tag.shown[-1]
        known = self._labels(facet, tag)
        # A tag that has names, but none in the chosen language, is a word of another language.
        named = self._language and (self._language in known or not known)
        language = (
            self._language if named else next((code for code, name in known.items() if name == value), None)
        )
        return {"value": value, **({"language": language} if language else {})}

    def _labels(self, facet: str, tag: Suggestion) -> dict[str, str]:
        """{language: the name to show}."""
        known: dict[str, str] = {}
        for code, text in self._names.every(facet, tag.tag):
            known.setdefault(code, text)
        return known

    def unwritten(self, result: Result) -> list[str]:
        return [
            f"{facet}: {tag.shown[-1][:80]}: left out, Europeana takes tags of {LONGEST_TAG} characters at "
            "most, and no URLs"
            for facet, tags in result.tags.items()
            for tag in tags
            if not self.allows(facet, tag)
        ]

    def allows(self, facet: str, tag: Suggestion) -> bool:
        """A simple tag has at most 64 characters and is no URL (scenarios of Europeana's Annotation API)."""
        value = tag.shown[-1]
        return self.uri(facet, tag) is not None or (len(value) <= LONGEST_TAG and not _URL.search(value))

    def key(self, item: Input) -> str:
        return as_iri(item.iri)

    def _key_of(self, content: dict[str, Any]) -> str:
        target = content["target"]
        return target if isinstance(target, str) else target["source"]

    def _is_frame(self, line: str) -> bool:
        return line.endswith('"items": [') or line == "]}"


def urn(*names: str) -> str:
    """The same names have the same URN in every run."""
    return uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(names)).urn
