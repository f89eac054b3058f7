"""The manifests of an IIIF collection: all pages and nested collections, each once."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.harvest.iiif.presentation import (
    Collection,
    Manifest,
    Reference,
    parse_document,
    read_document,
)
from eufcc_cli.core.images.image_formats import FILE_ENDINGS

Start = Callable[[str], Callable[[], bytes]]
"""Begins to fetch a URL; what it returns waits for the bytes, and raises EufccError where there are none."""
_AHEAD = 8  # documents of a collection that are fetched while others are read
_DEEPEST = 32
_IMAGE_REQUEST = re.compile(r"/(full|square|max|\d+,\d+,\d+,\d+|pct:[\d.,]+)/[^/]+/!?[\d.]+/[^/]+\.\w+$")
_WORDS = ("manifest", "iiif", "presentation", "collection")


@dataclass(frozen=True)
class Broken:
    """A document that cannot be used, and why."""

    url: str
    reason: str


def may_be_document(url: str) -> bool:
    """Whether a URL looks like that of a manifest or collection rather than of an image.

    >>> may_be_document("https://iiif.example.org/presentation/90402/RP_P_1909_557/manifest")
    True
    >>> may_be_document("https://iiif.example.org/image/2/1/full/max/0/default.jpg")
    False
    """
    parts = urlsplit(url)
    path = parts.path.lower().rstrip("/")
    if path.endswith(tuple(FILE_ENDINGS)) or _IMAGE_REQUEST.search(path) or "/thumbnail/" in path:
        return False
    segments = [*path.split("/"), parts.hostname or "", parts.query.lower()]
    return path.endswith(".json") or any(word in segment for segment in segments for word in _WORDS)


def walk(url: str, start: Start) -> Iterator[Manifest | Broken]:
    """The manifests at a URL, in the order of their collections; those that cannot be used as Broken."""
    return _walk([Reference(url)], start, {}, 0)


def _walk(
    references: Iterable[Reference], start: Start, seen: dict[str, None], depth: int
) -> Iterator[Manifest | Broken]:
    for reference, content in _fetched(references, start, seen):
        try:
            if isinstance(content, EufccError):
                raise content
            found = (
                parse_document(reference.content, reference.url)
                if content is None
                else read_document(content, reference.url)
            )
        except EufccError as error:
            yield Broken(reference.url, str(error).removeprefix(f"{reference.url}: "))
            continue
        if isinstance(found, Manifest):
            yield found
        elif depth >= _DEEPEST:
            yield Broken(reference.url, f"more than {_DEEPEST} collections within each other")
        else:
            yield from _pages(found, start, seen, depth)


def _pages(
    collection: Collection, start: Start, seen: dict[str, None], depth: int
) -> Iterator[Manifest | Broken]:
    """The members of a collection and of all its pages, however many there are."""
    waiting = deque([collection])
    while waiting:
        page = waiting.popleft()
        yield from _walk(page.members, start, seen, depth + 1)
        for reference, content in _fetched(map(Reference, page.following), start, seen):
            try:
                if isinstance(content, EufccError):
                    raise content
                further = read_document(content or b"", reference.url)
            except EufccError as error:
                yield Broken(reference.url, str(error).removeprefix(f"{reference.url}: "))
                continue
            if isinstance(further, Collection):
                waiting.append(further)


def _fetched(
    references: Iterable[Reference], start: Start, seen: dict[str, None]
) -> Iterator[tuple[Reference, bytes | EufccError | None]]:
    """References with the bytes of their documents (None: it is there whole), each URL once, some ahead."""
    begun: deque[tuple[Reference, Callable[[], bytes] | None]] = deque()

    def first() -> tuple[Reference, bytes | EufccError | None]:
        reference, wait = begun.popleft()
        try:
            return reference, wait and wait()
        except EufccError as error:
            return reference, error

    for reference in references:
        if reference.url:
            if reference.url in seen:
                continue
            seen[reference.url] = None
        begun.append((reference, None if reference.content is not None else start(reference.url)))
        if len(begun) >= _AHEAD:
            yield first()
    while begun:
        yield first()
