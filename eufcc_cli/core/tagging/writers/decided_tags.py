"""Accepted and added tags as CSV, Web Annotations and keywords, with who decided them, and when."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from eufcc_cli import __version__
from eufcc_cli.core.tagging.decided_images import DecidedImage, DecidedTag
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.writers.keywords.xmp import Terms
from eufcc_cli.core.tagging.writers.lines import PATH_SEPARATOR, csv_rows
from eufcc_cli.core.tagging.writers.web_annotations import WebAnnotations, urn
from eufcc_cli.core.taxonomy.decisions import now
from eufcc_cli.core.taxonomy.linked_data.concepts import Uris
from eufcc_cli.core.taxonomy.names import Names

_COLUMNS = ["image", "facet", "tag", "path", "score", "error", "verdict", "reviewer", "time"]


def decided_csv(images: Iterable[DecidedImage]) -> Iterator[str]:
    """The columns of `tag --format csv`, then verdict, reviewer, time; the id first where images have one."""
    images = list(images)
    ids = any(image.input.id is not None for image in images)
    yield csv_rows([["id", *_COLUMNS] if ids else _COLUMNS])
    for image in images:
        yield csv_rows(_csv_row(image.input, tag, ids) for tag in image.tags)


def _csv_row(item: Input, tag: DecidedTag, ids: bool) -> list[object]:
    decision = tag.decision
    score = "" if decision.score is None else decision.score
    row: list[object] = [item.name, tag.facet, tag.tag, PATH_SEPARATOR.join(tag.path), score, ""]
    row += [decision.verdict, decision.reviewer, decision.time]
    return [item.id or "", *row] if ids else row


class DecidedAnnotations:
    """An annotation page with one tagging annotation by a person for each accepted or added tag."""

    def __init__(self, date: str, uris: Uris, language: str | None, names: Names = Names()) -> None:
        self._suggested = WebAnnotations("", "", date, uris, language, names)

    def texts(self, images: Iterable[DecidedImage]) -> Iterator[str]:
        """The parts of the page, in order."""
        yield self._suggested.head
        separator = ""
        for image in images:
            for tag in (tag for tag in image.tags if self._suggested.allows(tag.facet, tag.suggestion)):
                yield separator + json.dumps(self.annotation(image.input, tag), ensure_ascii=False)
                separator = self._suggested.separator
        yield self._suggested.tail

    def unwritten(self, images: Iterable[DecidedImage]) -> list[str]:
        """The tags that are left out because Europeana does not accept them, with the reason."""
        return [reason for image in images for reason in self._suggested.unwritten(image.result())]

    def annotation(self, item: Input, tag: DecidedTag) -> dict[str, Any]:
        """One annotation: its creator is the reviewer, its generator the model whose suggestion it was."""
        decision = tag.decision
        content = self._suggested.annotation(item, tag.facet, tag.suggestion)
        content["id"] = urn(item.iri, tag.facet, tag.tag, decision.reviewer, decision.time)
        content["creator"] = {"type": "Person", "name": decision.reviewer}
        content["created"] = decision.time
        if decision.score is None:
            del content["schema:reviewRating"]
        elif decision.model:
            suggested_by = {"type": "Software", "name": decision.model}
            if decision.digest:
                suggested_by = {"id": f"urn:sha256:{decision.digest}", **suggested_by}
            content["generator"] = [content["generator"], suggested_by]
        return content


def decided_terms(image: DecidedImage) -> Terms:
    """An image's tags as keywords, with the reviewers as contributors."""
    models = sorted({tag.decision.model for tag in image.tags if tag.decision.model})
    origin = f"eufcc {__version__}, decisions" + (f", model {', '.join(models)}" if models else "")
    return Terms.of(image.result().tags, origin, image.time or now(), image.reviewers)
