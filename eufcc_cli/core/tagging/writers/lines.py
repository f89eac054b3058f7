"""Suggestions for programs: JSON lines, JSON, CSV."""

import csv
import io
import json
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.records import Contradiction
from eufcc_cli.core.tagging.selection import Suggestion
from eufcc_cli.core.tagging.tagger import Result
from eufcc_cli.core.tagging.writers.writer import Writer, other_format
from eufcc_cli.core.taxonomy.matching.flagged_terms import Flag

PATH_SEPARATOR = " | "

_encoded = json.JSONEncoder(ensure_ascii=False).encode


def as_json(result: Result, model: str | None, digest: str | None = None) -> dict[str, Any]:
    """One result as JSON, with the id if the image comes from a table."""
    content = _head(result, model, digest)
    if result.error is not None:
        return content
    content["tags"] = {facet: [_tag(tag) for tag in tags] for facet, tags in result.tags.items()}
    if result.contradictions:
        content["contradictions"] = {
            facet: [
                {"tag": c.tag, "path": c.path, "score": c.score, "instead": _tag(c.instead)} for c in found
            ]
            for facet, found in result.contradictions.items()
        }
    return content


def json_text(result: Result, model: str | None, digest: str | None = None) -> str:
    """`as_json` on one line, in half the time: the text before a tag's score is cached."""
    if result.error is not None or result.contradictions:
        return _encoded(as_json(result, model, digest))
    facets = [_facet_text(facet, tags) for facet, tags in result.tags.items()]
    return f'{_encoded(_head(result, model, digest))[:-1]}, "tags": {{{", ".join(facets)}}}}}'


def _head(result: Result, model: str | None, digest: str | None) -> dict[str, Any]:
    """All but the tags."""
    content: dict[str, Any] = {"image": result.input.name}
    if result.input.id is not None:
        content["id"] = result.input.id
    if result.input.canvas is not None:
        content |= {"canvas": result.input.canvas, "label": result.input.label}
    if result.error is not None:
        return {**content, "error": result.error}
    if model is not None:
        content["model"] = model
    if digest is not None:
        content["digest"] = digest
    return content


def _facet_text(facet: str, tags: list[Suggestion]) -> str:
    quoted, known = _known(facet)
    texts = []
    for suggestion in tags:
        tag, path, score, kind, names, flags = suggestion
        if kind is not None or names or flags:
            texts.append(_encoded(_tag(suggestion)))
            continue
        before = known.get(tag)
        if before is None or before[0] != path:
            before = known[tag] = path, _encoded({"tag": tag, "path": path})[:-1] + ', "score": '
        texts.append(f"{before[1]}{score!r}}}")
    return f"{quoted}: [{', '.join(texts)}]"


@lru_cache
def _known(facet: str) -> tuple[str, dict[str, tuple[tuple[str, ...], str]]]:
    """The facet in quotes, and {tag: (its path, the text before its score)} of the tags that were written."""
    return _encoded(facet), {}


def _tag(suggestion: Suggestion) -> dict[str, Any]:
    content: dict[str, Any] = {
        "tag": suggestion.tag,
        "path": suggestion.path,
        "score": suggestion.score,
    }
    if suggestion.kind is not None:
        content["kind"] = suggestion.kind
    if suggestion.names:
        content["names"] = suggestion.names
    if suggestion.flags:
        content["flags"] = [flag._asdict() for flag in suggestion.flags]
    return content


def to_json(result: Result) -> str:
    """A whole result as a line of JSON, which `from_json` reads."""
    item = result.input
    more = _encoded({"iri": item.iri, "item": item.item, "row": item.row})
    return f"{json_text(result, None)[:-1]}, {more[1:]}\n"


def from_json(content: dict[str, Any]) -> Result:
    """The result of a line of JSON; of its image only the name is known.

    Raises KeyError, TypeError, ValueError or AttributeError for any other content.
    """
    name = content["image"]
    fields = {key: content[key] for key in ("id", "item", "row") if key in content}
    item = Input(name, Path(name), content.get("iri", ""), **fields)
    tags = {facet: [_suggestion(**tag) for tag in tags] for facet, tags in content.get("tags", {}).items()}
    contradictions = {
        facet: [
            Contradiction(c["tag"], tuple(c["path"]), c["score"], _suggestion(**c["instead"])) for c in found
        ]
        for facet, found in content.get("contradictions", {}).items()
    }
    return Result(item, tags, content.get("error"), contradictions)


def _suggestion(
    tag: str,
    path: list[str],
    score: float,
    kind: str | None = None,
    names: Sequence[str] = (),
    flags: Sequence[dict[str, str]] = (),
) -> Suggestion:
    return Suggestion(tag, tuple(path), score, kind, tuple(names), tuple(Flag(**flag) for flag in flags))


class JsonLines(Writer):
    """One object a line for each image."""

    form = "JSON lines"
    ending = "\n"

    def __init__(self, model: str, digest: str | None = None) -> None:
        """digest: SHA-256 of the model, which decisions refer to."""
        self._model = model
        self._digest = digest

    def text(self, result: Result) -> str:
        return json_text(result, self._model, self._digest) + self.ending

    def existing(self, path: Path) -> set[str]:
        keys = set()
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                text = line.strip().removesuffix(",")
                if text and not self._is_frame(text):
                    try:
                        keys.add(self._key_of(json.loads(text)))
                    except (ValueError, KeyError, TypeError) as error:
                        raise other_format(path, self.form, f"line {number}: {error}") from error
        return keys

    def _is_frame(self, line: str) -> bool:
        return False

    def _key_of(self, content: dict[str, Any]) -> str:
        return content["image"]


class Json(JsonLines):
    """One array of all images, one a line."""

    form = "the JSON that `tag` writes"
    head = "[\n"
    separator = ",\n"
    ending = ""
    tail = "\n]\n"

    def _is_frame(self, line: str) -> bool:
        return line in ("[", "]")


class Csv(Writer):
    """One row for each suggestion; an image without any, or with an error, has one row."""

    def __init__(self, more: Collection[str] = ()) -> None:
        """more: the columns besides those that are always there: id, kind, name, canvas, label, flags."""
        self.columns = [*(["id"] if "id" in more else []), "image", "facet", "tag", "path", "score", "error"]
        self.columns += [name for name in ("kind", "name", "canvas", "label", "flags") if name in more]
        self.head = csv_rows([self.columns])

    def text(self, result: Result) -> str:
        rows = [self._cells(facet, tag) for facet, tags in result.tags.items() for tag in tags]
        for facet, found in result.contradictions.items():
            rows += [
                self._cells(facet, Suggestion(c.tag, c.path, c.score, f"contradicted by {c.instead.tag}"))
                for c in found
            ]
        item = result.input
        image = {"id": item.id or "", "image": item.name, "error": result.error or ""}
        image |= {"canvas": item.canvas or "", "label": item.label}
        cells = (image | row for row in rows or [{}])
        return csv_rows([one.get(column, "") for column in self.columns] for one in cells)

    def _cells(self, facet: str, tag: Suggestion) -> dict[str, object]:
        return {
            "facet": facet,
            "tag": tag.tag,
            "path": PATH_SEPARATOR.join(tag.path),
            "score": tag.score,
            "kind": tag.kind or "",
            "name": tag.shown[-1],
            "flags": PATH_SEPARATOR.join(flag_text(flag) for flag in tag.flags),
        }

    def existing(self, path: Path) -> set[str]:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            if (found := next(reader, [])) != self.columns:
                raise other_format(path, "the CSV that `tag` writes", f"its columns are {', '.join(found)}")
            return {row[self.columns.index("image")] for row in reader}


def flag_text(flag: Flag) -> str:
    """A contentious term and its note, on one line.

    >>> flag_text(Flag("Gypsy", "en", "Say Roma.", "gypsy dress"))
    'Gypsy: Say Roma.'
    """
    return f"{flag.term}: {flag.note}" if flag.note else flag.term


def csv_rows(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV, one a line."""
    text = io.StringIO()
    usual, quoted = (
        csv.writer(text, lineterminator="\n", quoting=q) for q in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    for row in rows:
        # Python's csv does not quote a carriage return for its own sake, but reads it as the row's end.
        broken = any("\r" in cell for cell in row if isinstance(cell, str))
        (quoted if broken else usual).writerow(row)
    return text.getvalue()
