"""IIIF manifests as a museum's export: JSON lines, a record for each object, with the URLs of its images."""

import asyncio
import json
import re
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from eufcc_cli.core.download.prefetch import Fetcher
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root, write_bytes, write_text
from eufcc_cli.core.harvest.iiif.pictures import Get, request_for
from eufcc_cli.core.harvest.iiif.presentation import Manifest, Picture
from eufcc_cli.core.harvest.iiif.walk import Broken, walk
from eufcc_cli.core.progress import SILENT, Progress

SHORT_SIDE = 512
"""Pixels of the images' shorter sides: enough for any backbone that `train` knows by name."""
_GENERAL = re.compile(
    r"(iiif|presentation|manifests?|collections?|api|objects?|items?|v\d)(\.json)?", re.IGNORECASE
)


@dataclass(frozen=True)
class HarvestedTable:
    """The export that was written, its number of records, and the manifests that cannot be used."""

    path: Path
    records: int
    broken: list[Broken]


def harvest_table(
    root: Root, url: str, fetcher: Fetcher, *, language: str | None = None, progress: Progress = SILENT
) -> HarvestedTable:
    """Write the manifests at a URL, one or those of a collection, as data/iiif/NAME.jsonl.

    The labels of a manifest's metadata become columns. Documents that were fetched are kept until the table
    is whole, so that the next call goes on where one was interrupted. Raises DataError where no manifest can
    be used.
    """
    name = re.sub(r"\W+", "-", "".join(urlsplit(url)[1:3])).strip("-")[-60:]
    path = root.data / "iiif" / f"{name}-{sha256(url.encode()).hexdigest()[:8]}.jsonl"
    kept = path.with_suffix(".part")
    store = _Kept(kept, fetcher)
    rows: list[dict[str, Any]] = []
    broken: list[Broken] = []
    with progress.task("Reading manifests", None, "records") as task:
        for found in walk(url, store.start):
            if isinstance(found, Broken):
                broken.append(found)
            else:
                pictures = [canvas.picture for canvas in found.canvases if canvas.picture is not None]
                urls = fetcher.start(_urls(pictures, store.get)).result()
                if urls:
                    rows.append(_row(found, urls, language))
                else:
                    broken.append(Broken(found.id, "the manifest has no image"))
            task.advance()
    if not rows:
        reason = f": {broken[0].reason}" if broken else ""
        raise DataError(f"{url}: no manifest with an image{reason}", hint="is the URL right?")
    _make_ids_unique(rows)
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    shutil.rmtree(kept, ignore_errors=True)
    return HarvestedTable(path, len(rows), broken)


class _Kept:
    """Documents that were fetched, kept in a folder by their URLs."""

    def __init__(self, folder: Path, fetcher: Fetcher) -> None:
        self._folder = folder
        self._fetcher = fetcher

    def start(self, url: str) -> Callable[[], bytes]:
        return self._fetcher.start(self.get(url)).result

    async def get(self, url: str) -> bytes:
        file = self._folder / f"{sha256(url.encode()).hexdigest()}.json"
        if file.is_file():
            return file.read_bytes()
        content = await self._fetcher.get_document(url)
        write_bytes(file, content)
        return content


async def _urls(pictures: Sequence[Picture], get: Get) -> list[str]:
    """The URL of each picture at the size that is wanted; its own where there are only tiles."""

    async def url_of(picture: Picture) -> str:
        request = await request_for(picture, SHORT_SIDE, get)
        return request if isinstance(request, str) else picture.url

    found: Awaitable[list[str]] = asyncio.gather(*map(url_of, pictures))
    urls = [url for url in await found if url.startswith(("http://", "https://"))]
    # What separates the URLs of a cell must not stand in one of them.
    return [url.replace(";", "%3B").replace("|", "%7C") for url in urls]


def _row(manifest: Manifest, urls: list[str], language: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": record_id(manifest.id),
        "title": manifest.label.text(language),
        "provider": manifest.provider.text(language),
        "image": urls,
        "manifest": manifest.id,
        "rights": manifest.rights,
    }
    own = set(row)
    for label, value in manifest.metadata:
        name = label.text(language)
        name = f"{name} (metadata)" if name.lower() in own else name
        row.setdefault(name, []).extend(value.within(language))
    return row


def record_id(url: str) -> str:
    """The part of a manifest's URL that distinguishes it from others of its server.

    >>> record_id("https://iiif.example.org/presentation/90402/RP_P_1909_557/manifest")
    '90402/RP_P_1909_557'
    >>> record_id("https://example.org/iiif/v2/1913.5/manifest.json?version=3")
    '1913.5?version=3'
    """
    parts = urlsplit(url)
    segments = [unquote(segment) for segment in parts.path.split("/") if segment]
    telling = [segment for segment in segments if not _GENERAL.fullmatch(segment)]
    text = "/".join(telling).removesuffix(".json")
    return (f"{text}?{parts.query}" if parts.query else text) or url


def _make_ids_unique(rows: list[dict[str, Any]]) -> None:
    """Where manifests of several servers share an id, their URLs are their ids."""
    counts = Counter(row["id"].casefold() for row in rows)
    for row in rows:
        if counts[row["id"].casefold()] > 1:
            row["id"] = row["manifest"]
