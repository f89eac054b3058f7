"""IIIF Presentation documents, versions 2 and 3: manifests and collections, in one shape.

IIIF Presentation API 2.1.1 and 3.0. Nothing is fetched here, and documents are not trusted: parts that
the API does not allow are ignored; DataError is raised if nothing is left.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import visible
from eufcc_cli.core.harvest.iiif.texts import Texts, as_list, texts

_IMAGE_API = re.compile(r"(?:iiif\.io/api/image|image-api)/(\d)")
_LEVEL = re.compile(r"level(\d)")


@dataclass(frozen=True)
class Service:
    """An image service as a manifest names it; `level` 0, 1 or 2, None where the manifest does not say."""

    id: str
    version: int
    level: int | None


@dataclass(frozen=True)
class Picture:
    """The image painted on a canvas: its URL, its size in pixels (0: not given), and its service."""

    url: str
    width: int = 0
    height: int = 0
    service: Service | None = None


@dataclass(frozen=True)
class Canvas:
    """A view of an object; without a picture where nothing is painted on it."""

    id: str
    label: Texts
    picture: Picture | None


@dataclass(frozen=True)
class Manifest:
    """An object with its canvases; `metadata` are its pairs of label and value."""

    id: str
    label: Texts
    canvases: tuple[Canvas, ...]
    metadata: tuple[tuple[Texts, Texts], ...] = ()
    provider: Texts = field(default_factory=Texts)
    rights: str = ""


@dataclass(frozen=True)
class Reference:
    """A manifest or collection inside a collection: its URL, or its content if that is included."""

    url: str
    content: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Collection:
    """References to manifests and collections in their order; `following` are its further pages."""

    id: str
    label: Texts
    members: tuple[Reference, ...]
    following: tuple[str, ...] = ()


def read_document(content: bytes, url: str) -> Manifest | Collection:
    """The manifest or collection that was fetched from a URL; DataError for anything else."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{url}: not JSON", hint="is it the URL of a IIIF manifest?") from error
    return parse_document(document, url)


def parse_document(document: object, url: str) -> Manifest | Collection:
    """The manifest or collection of a parsed document; `url` names it where it does not name itself.

    >>> parse_document({"type": "Manifest", "items": [{"id": "https://a.example/c"}]}, "u").canvases
    (Canvas(id='https://a.example/c', label=Texts(values={}), picture=None),)
    """
    if isinstance(document, Mapping):
        kind = _kind(document)
        if kind == "manifest":
            return _manifest(document, url)
        if kind in ("collection", "collectionpage"):
            return _collection(document, url)
    raise DataError(f"{url}: neither an IIIF manifest nor a collection", hint="is the URL right?")


def looks_like_document(content: bytes) -> bool:
    """True for JSON, which is no image.

    >>> looks_like_document(b'\\xef\\xbb\\xbf  {"type": "Manifest"}'), looks_like_document(b"\\xff\\xd8\\xff")
    (True, False)
    """
    return content[:64].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


# --- what both versions have ---------------------------------------------------------------------------


def _kind(thing: Mapping[str, Any]) -> str:
    """The type of a thing in lower case, without the prefix of version 2."""
    return next((kind.rpartition(":")[2].lower() for kind in _strings(thing, "type", "@type")), "")


def _id(thing: Mapping[str, Any]) -> str:
    return next((visible(text.strip()) for text in _strings(thing, "id", "@id")), "")


def _strings(thing: Mapping[str, Any], *names: str) -> Iterator[str]:
    for name in names:
        for value in as_list(thing.get(name)):
            if isinstance(value, str) and value.strip():
                yield value


def things(value: object) -> list[Mapping[str, Any]]:
    """The objects in a list, or the one that stands without a list."""
    return [each for each in as_list(value) if isinstance(each, Mapping)]


def positive(value: object) -> int:
    """A number of pixels; 0 for anything else."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1 << 31
    return int(value) if known else 0  # type: ignore[call-overload]


# --- manifests -----------------------------------------------------------------------------------------


def _manifest(document: Mapping[str, Any], url: str) -> Manifest:
    in_sequence = [
        c for sequence in things(document.get("sequences"))[:1] for c in things(sequence.get("canvases"))
    ]
    name = _id(document) or url
    canvases = []
    for number, canvas in enumerate(in_sequence or things(document.get("items")), start=1):
        picture = next(_pictures(canvas), None)
        canvases.append(Canvas(_id(canvas) or f"{name}#{number}", texts(canvas.get("label")), picture))
    pairs = (
        (texts(pair.get("label")), texts(pair.get("value"))) for pair in things(document.get("metadata"))
    )
    providers = [texts(provider.get("label")) for provider in things(document.get("provider"))]
    attribution = document.get("attribution")
    return Manifest(
        id=name,
        label=texts(document.get("label")),
        canvases=tuple(canvases),
        metadata=tuple((label, value) for label, value in pairs if label and value),
        provider=next(filter(None, providers), texts(attribution)),
        rights=next(_strings(document, "rights", "license"), ""),
    )


def _pictures(canvas: Mapping[str, Any]) -> Iterator[Picture]:
    """The images painted on a canvas of either version."""
    for annotation in things(canvas.get("images")):
        yield from _of_body(annotation.get("resource"))
    for page in things(canvas.get("items")):
        for annotation in things(page.get("items")):
            if "painting" in as_list(annotation.get("motivation") or "painting"):
                yield from _of_body(annotation.get("body"))


def _of_body(body: object, depth: int = 0) -> Iterator[Picture]:
    """The images of an annotation's body: an image, a part of one, or a choice, its default first."""
    for one in things(body):
        kind = _kind(one)
        if kind == "choice" and depth < 4:
            yield from _of_body(
                [*as_list(one.get("default")), *as_list(one.get("items")), *as_list(one.get("item"))],
                depth + 1,
            )
        elif kind == "specificresource" and depth < 4:
            inner = one.get("full") or one.get("source")
            yield from _of_body(
                {"type": "Image", "id": inner} if isinstance(inner, str) else inner, depth + 1
            )
        elif kind in ("image", "") and (url := _id(one)):
            yield Picture(
                url, positive(one.get("width")), positive(one.get("height")), _service(one.get("service"))
            )


def _service(value: object) -> Service | None:
    """The image service among services, newest version first."""
    found = []
    for one in things(value):
        name = " ".join((*_strings(one, "@context"), *_strings(one, "profile")))
        kind = _kind(one)
        if kind.startswith("imageservice"):
            version = int(kind[-1]) if kind[-1].isdigit() else 2
        elif api := _IMAGE_API.search(name):
            version = int(api[1])
        elif "image-api" in name or "level" in name:
            version = 2
        else:
            continue
        levels = [int(level[1]) for profile in _strings(one, "profile") if (level := _LEVEL.search(profile))]
        if url := _id(one).rstrip("/"):
            found.append(Service(url, version, levels[0] if levels else None))
    return max(found, key=lambda service: service.version, default=None)


# --- collections ---------------------------------------------------------------------------------------


def _collection(document: Mapping[str, Any], url: str) -> Collection:
    members: list[Reference] = []
    # `members` of version 2 holds both in their order, and repeats the others.
    names = ("members",) if document.get("members") else ("collections", "manifests", "items")
    for name in names:
        for one in as_list(document.get(name)):
            if isinstance(one, str):
                members.append(Reference(visible(one)))
            elif isinstance(one, Mapping) and _kind(one) in ("manifest", "collection", ""):
                whole = any(
                    one.get(part) for part in ("items", "sequences", "manifests", "collections", "members")
                )
                if whole or _id(one):
                    members.append(Reference(_id(one), one if whole else None))
    following = []
    for name in ("first", "next"):
        for page in as_list(document.get(name)):
            target = _id(page) if isinstance(page, Mapping) else page
            if isinstance(target, str) and target:
                following.append(target)
    return Collection(_id(document) or url, texts(document.get("label")), tuple(members), tuple(following))
