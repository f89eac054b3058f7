"""Suggestions as annotations of CrowdHeritage, the platform where people vote on them in a campaign."""

import json
from typing import Any

from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.selection import Suggestion
from eufcc_cli.core.tagging.writers.edm_records import PROPERTIES
from eufcc_cli.core.tagging.writers.web_annotations import CONTEXT, WebAnnotations, urn
from eufcc_cli.core.taxonomy.linked_data.iris import as_iri

_SOA = "http://sw.islab.ntua.gr/annotation/"
_CONTEXT = [
    CONTEXT,
    {
        "dc": "http://purl.org/dc/elements/1.1/",
        "dcterms": "http://purl.org/dc/terms/",
        "soa": _SOA,
        "scope": {"@id": "soa:scope", "@type": "@id"},
        "confidence": "soa:confidence",
        "review": "soa:hasReview",
    },
]


class CrowdHeritage(WebAnnotations):
    """One document with one annotation for each suggestion, one a line.

    `scope` is the property of the record that the tag would be a value of, `confidence` its probability.
    The shape is that in which the platform exports a campaign (`toNtuaModel` in its source code).
    """

    form = "the document for CrowdHeritage that `tag` writes"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.head = f'{{"@context": {json.dumps(_CONTEXT)}, "@graph": [\n'

    def annotation(self, item: Input, facet: str, tag: Suggestion) -> dict[str, Any]:
        uri = self.uri(facet, tag)
        return {
            "id": urn(item.iri, facet, tag.tag, self._digest),
            "type": "Annotation",
            "created": self._date,
            "creator": {"id": f"urn:sha256:{self._digest}", "type": "Software", "name": self._model},
            "body": {"type": "TextualBody", **self.simple_tag(facet, tag)} if uri is None else uri,
            "target": {"source": as_iri(item.item or item.iri)},
            "scope": PROPERTIES.get(facet, "dc:subject"),
            "confidence": tag.score,
        }

    def key(self, item: Input) -> str:
        return as_iri(item.item or item.iri)

    def _is_frame(self, line: str) -> bool:
        return line.endswith('"@graph": [') or line == "]}"
