"""Accepted and added tags as CSV, Web Annotations and sidecars, with who decided them, and when."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from eufcc_cli import __version__
from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.tagging.decided_images import DecidedImage, DecidedTag
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.selection import Suggestion
from eufcc_cli.core.tagging.writers.lines import PATH_SEPARATOR, csv_rows
from eufcc_cli.core.tagging.writers.sidecar import is_ours, sidecar_path, write_sidecar
from eufcc_cli.core.tagging.writers.web_annotations import WebAnnotations, urn
from eufcc_cli.core.taxonomy.concepts import Uris
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
        self._language = language
        self._names = names

    def texts(self, images: Iterable[DecidedImage]) -> Iterator[str]:
        """The parts of the page, in order."""
        yield self._suggested.head
        separator = ""
        for image in images:
            for tag in image.tags:
                yield separator + json.dumps(self.annotation(image.input, tag), ensure_ascii=False)
                separator = self._suggested.separator
        yield self._suggested.tail

    def annotation(self, item: Input, tag: DecidedTag) -> dict[str, Any]:
        """One annotation: its creator is the reviewer, its generator the model whose suggestion it was."""
        decision = tag.decision
        score = 1.0 if decision.score is None else decision.score
        shown = self._names.shown(tag.facet, self._language)
        suggestion = Suggestion(tag.tag, tag.path, score, names=tuple(map(shown, tag.path)))
        content = self._suggested.annotation(item, tag.facet, suggestion)
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


def write_decided_sidecar(image: DecidedImage, folder: Path | None) -> Path:
    """Write an image's tags as XMP, with the reviewers as contributors; returns the file.

    Raises ImageError where a file of another program is there, or the image has no place for one.
    """
    path = sidecar_path(image.input, folder)
    if path.exists() and not is_ours(path):
        raise ImageError(f"{path} is another program's: move it, or name another folder")
    models = sorted({tag.decision.model for tag in image.tags if tag.decision.model})
    creator = f"eufcc {__version__}" + (f", model {', '.join(models)}" if models else "")
    write_sidecar(path, image.result(), creator, image.time, image.reviewers)
    return path
