"""The suggestions to review, read from the lines of `tag` or of `evaluate --suspects`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.evaluation.scores.prediction_files import parts_of
from eufcc_cli.core.files import visible
from eufcc_cli.core.tagging.inputs import is_url
from eufcc_cli.core.tagging.writers.lines import PATH_SEPARATOR
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, canonical, check_facets

_HINT = "give a file that `eufcc tag -o FILE.jsonl` or `eufcc evaluate RUN --suspects FILE` wrote"


@dataclass(slots=True)
class ReviewedImage:
    """An image of the suggestions."""

    name: str
    """Its name in the suggestions."""
    id: str | None = None
    model: str | None = None
    digest: str | None = None
    error: str | None = None
    """Why it could not be tagged."""
    path: Path | None = None
    """Its file, if it is on this machine."""
    provider: str = ""
    record: Mapping[str, list[tuple[str, ...]]] = field(default_factory=dict)
    """Its record: {facet: paths}."""

    @property
    def key(self) -> str:
        return self.id or self.name

    @property
    def url(self) -> str | None:
        """Its URL, if there is no file."""
        return self.name if self.path is None and self.name.startswith(("http://", "https://")) else None


@dataclass(frozen=True, slots=True)
class Term:
    """A tag with its path: the subject of one contact sheet."""

    facet: str
    path: tuple[str, ...]

    @property
    def tag(self) -> str:
        return self.path[-1]


@dataclass(frozen=True, slots=True)
class Row:
    """One suggestion: an image and a term, by their numbers."""

    image: int
    term: int
    score: float
    doubt: float | None = None
    """How doubtful an annotation is, from 0 to 1, where the row is one of `--suspects`."""
    flagged: bool = False
    """True if the line lists it as a contradiction of the record."""


@dataclass
class Suggestions:
    """Images, terms and the rows that connect them, each row once, in the order of the file."""

    path: Path
    images: list[ReviewedImage] = field(default_factory=list)
    terms: list[Term] = field(default_factory=list)
    of_image: list[dict[int, Row]] = field(default_factory=list)
    """For each image, {term: row}."""
    flags: dict[int, list[str]] = field(default_factory=dict)
    """{term: notes} from a list of contentious terms."""
    suspects: bool = False
    """True where the rows are doubtful annotations of `--suspects`."""

    def __post_init__(self) -> None:
        self._image_numbers: dict[str, int] = {}
        self._term_numbers: dict[tuple[str, str], int] = {}

    def rows(self) -> list[Row]:
        """All rows, image by image."""
        return [row for rows in self.of_image for row in rows.values()]

    def image_number(self, name: str) -> int | None:
        """The number of an image, by its id or its name."""
        return self._image_numbers.get(name)

    def term_number(self, facet: str, tag: str) -> int | None:
        return self._term_numbers.get((facet, tag))

    def add_image(self, image: ReviewedImage) -> int:
        """The number of an image; a later line about the same image replaces the earlier one."""
        number = self._image_numbers.get(image.key)
        if number is None:
            number = len(self.images)
            self.images.append(image)
            self.of_image.append({})
            self._image_numbers[image.key] = number
            self._image_numbers.setdefault(image.name, number)
        elif not self.suspects:
            self.images[number] = image
            self.of_image[number] = {}
        return number

    def add_term(self, facet: str, path: tuple[str, ...]) -> int:
        """The number of a term; its path is that of its first suggestion."""
        key = (facet, path[-1])
        if key not in self._term_numbers:
            self._term_numbers[key] = len(self.terms)
            self.terms.append(Term(facet, path))
        return self._term_numbers[key]

    def ancestors(self) -> np.ndarray:
        """[terms, deepest - 1] int64: the numbers of the terms above each, nearest last, padded with -1."""
        depth = max((len(term.path) for term in self.terms), default=1) - 1
        out = np.full((len(self.terms), depth), -1, dtype=np.int64)
        for number, term in enumerate(self.terms):
            for level, name in enumerate(term.path[:-1]):
                above = self._term_numbers.get((term.facet, name), -1)
                out[number, level] = -1 if above == number else above
        return out


def read_suggestions(path: Path) -> Suggestions:
    """Read JSON lines of `tag` (or its JSON, or its folder of shards) or of `evaluate --suspects`.

    Raises DataError, naming file and line, for anything else, and for a file without suggestions.
    """
    suggestions = Suggestions(path)
    for where, content in _contents(path):
        if "suspect" in content:
            suggestions.suspects = True
            _add_suspect(suggestions, content, where)
        else:
            _add_line(suggestions, content, where)
    if not any(suggestions.of_image):
        raise DataError(f"{path}: no suggestion in it: there is nothing to review", hint=_HINT)
    return suggestions


def _contents(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if path.is_dir():
        for part in parts_of(path):
            yield from _rows(part) if part.suffix == ".parquet" else _contents(part)
        return
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                line = raw.strip().removesuffix(b",")
                if not line or line in (b"[", b"]", b"\xef\xbb\xbf"):
                    continue
                where = f"{path}: line {number}"
                try:
                    content = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
                except (ValueError, RecursionError) as error:
                    raise DataError(f"{where}: not JSON: {error}", hint=_HINT) from error
                if not isinstance(content, dict) or not isinstance(content.get("image"), str):
                    raise DataError(f"{where}: names no image", hint=_HINT)
                yield where, content
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror or error}", hint=_HINT) from error


def _rows(part: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a part in Parquet as lines, an image each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(part).to_pylist()
        for image, listed in groupby(rows, key=lambda row: row["image"]):
            about, *_ = some = list(listed)
            if about["error"] is not None:
                about |= {"model": None, "digest": None}
            keys = ("id", "model", "digest", "error")
            content = {key: about[key] for key in keys if about[key] is not None}
            tags: dict[str, list[dict[str, Any]]] = {}
            for row in some:
                if row["facet"] is not None:
                    path = row["path"].split(PATH_SEPARATOR)
                    entry = {"tag": row["tag"], "path": path, "score": row["score"]}
                    tags.setdefault(row["facet"], []).append(entry)
            yield f"{part}: {image}", {**content, "image": image, "tags": tags}
    except (OSError, pa.ArrowException, KeyError, AttributeError) as error:
        raise DataError(f"{part}: not a part that `tag --shard-size` wrote: {error}", hint=_HINT) from error


def _image(content: dict[str, Any], where: str) -> ReviewedImage:
    texts: dict[str, str | None] = {}
    for name in ("image", "id", "model", "digest", "error"):
        value = content.get(name)
        if value is not None and not isinstance(value, str):
            raise DataError(f"{where}: {name!r} is no text", hint=_HINT)
        texts[name] = visible(value) if value else None  # control characters, lone surrogates
    if not texts["image"]:
        raise DataError(f"{where}: names no image", hint=_HINT)
    return ReviewedImage(texts["image"], texts["id"], texts["model"], texts["digest"], texts["error"])


def _add_line(suggestions: Suggestions, content: dict[str, Any], where: str) -> None:
    image = _image(content, where)
    tags = content.get("tags")
    if not isinstance(tags, dict):
        if image.error is None:
            raise DataError(f"{where}: has neither tags nor an error", hint=_HINT)
        tags = {}
    number = suggestions.add_image(image)
    for facet, listed in tags.items():
        for entry in _list(listed, where):
            _add_row(suggestions, number, facet, entry, where)
    doubted = content.get("contradictions", {})
    if not isinstance(doubted, dict):
        raise DataError(f"{where}: 'contradictions' is no object", hint=_HINT)
    for facet, listed in doubted.items():
        for entry in _list(listed, where):
            _add_row(suggestions, number, facet, entry, where, flagged=True)
            if "instead" in entry:
                _add_row(suggestions, number, facet, entry["instead"], where, flagged=True)


def _add_suspect(suggestions: Suggestions, content: dict[str, Any], where: str) -> None:
    facet, doubt = content.get("facet"), content.get("doubt")
    if isinstance(doubt, bool) or not isinstance(doubt, int | float) or not 0 <= doubt <= 1:
        raise DataError(f"{where}: doubt {doubt!r} is not a number from 0 to 1", hint=_HINT)
    number = suggestions.add_image(_image(content, where))
    _add_row(suggestions, number, facet, content, where, doubt=float(doubt))


def _list(listed: object, where: str) -> list[Any]:
    if not isinstance(listed, list):
        raise DataError(f"{where}: not a list of suggestions", hint=_HINT)
    return listed


def _add_row(
    suggestions: Suggestions,
    image: int,
    facet: object,
    entry: object,
    where: str,
    *,
    doubt: float | None = None,
    flagged: bool = False,
) -> None:
    if facet not in FACETS:
        check_facets([str(facet)], f"{where}: ")
    if not isinstance(entry, dict):
        raise DataError(f"{where}: not a suggestion: {str(entry)[:60]}", hint=_HINT)
    tag, path, score = entry.get("tag"), entry.get("path"), entry.get("score")
    names = path if isinstance(path, list) and path else [tag]
    above = tuple(canonical(visible(name)) for name in names if isinstance(name, str))
    if len(above) < len(names) or not all(above) or names[-1] != tag:
        raise DataError(f"{where}: {facet}: a suggestion names no tag, or another than its path", hint=_HINT)
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise DataError(f"{where}: the score of {tag} is {score!r}, not a probability", hint=_HINT)
    term = suggestions.add_term(str(facet), above)
    for flag in _list(entry.get("flags", []), where):
        if not isinstance(flag, dict) or not all(isinstance(flag.get(key), str) for key in ("term", "note")):
            raise DataError(f"{where}: a flag of {tag} names no term and note", hint=_HINT)
        text = visible(f"{flag['term']}: {flag['note']}" if flag["note"] else flag["term"])
        texts = suggestions.flags.setdefault(term, [])
        if text not in texts:
            texts.append(text)
    suggestions.of_image[image].setdefault(term, Row(image, term, float(score), doubt, flagged))


def locate(suggestions: Suggestions, stored: Mapping[str, Path]) -> None:
    """Find the file of each image, by its name in the suggestions, or by its id in a root.

    stored: {id: file} of the root's images. A name is relative to the current folder, or else to the folder
    of the suggestions file. Images that are not found have no path.
    """
    folder = suggestions.path.parent
    for image in suggestions.images:
        if image.id is not None and image.id in stored:
            image.path = stored[image.id]
        elif not is_url(image.name):
            places = (Path(image.name), folder / image.name)
            image.path = next((place for place in places if _is_file(place)), None)


def _is_file(place: Path) -> bool:
    try:
        return place.is_file()
    except (OSError, ValueError):  # an invalid file name
        return False
