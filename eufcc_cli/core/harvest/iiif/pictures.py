"""The pixels of an IIIF canvas, no more of them than are needed."""

import asyncio
import io
from collections.abc import Awaitable, Callable

from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.harvest.iiif.image_service import (
    Request,
    Tiles,
    read_info,
    request_by_info,
    request_by_manifest,
)
from eufcc_cli.core.harvest.iiif.presentation import Picture
from eufcc_cli.core.http.politeness import FetchError

Get = Callable[[str], Awaitable[bytes]]
"""Fetches a URL; raises FetchError."""


async def request_for(picture: Picture, short_side: int, get: Get) -> Request:
    """The request for a picture with a shorter side of `short_side` pixels (or fewer, if it has fewer).

    Asks the service for its info.json where the manifest does not say what it can do; without an answer, the
    picture's own URL.
    """
    known = request_by_manifest(picture, short_side)
    if known is not None or picture.service is None:
        return known or picture.url
    try:
        info = read_info(await get(f"{picture.service.id}/info.json"))
    except FetchError:
        return picture.url
    return (info and request_by_info(picture.service, info, short_side)) or picture.url


async def fetch_picture(picture: Picture, short_side: int, get: Get) -> bytes:
    """A picture as an image file, scaled by its service where it can; raises FetchError."""
    request = await request_for(picture, short_side, get)
    try:
        return await (_put_together(request, get) if isinstance(request, Tiles) else get(request))
    except FetchError as error:
        if request == picture.url or error.http is None or not 400 <= error.http < 600:
            raise
    return await get(picture.url)  # what the manifest names is there, whatever its service cannot do


async def _put_together(tiles: Tiles, get: Get) -> bytes:
    """One image of its tiles, as a PNG file."""
    from PIL import Image

    from eufcc_cli.core.images.decode import open_image

    parts = await asyncio.gather(*(get(tile.url) for tile in tiles.tiles))
    whole = Image.new("RGB", (tiles.width, tiles.height))
    for tile, content in zip(tiles.tiles, parts, strict=True):
        try:
            whole.paste(open_image(content).convert("RGB"), (tile.left, tile.top))
        except ImageError as error:
            raise FetchError("not-image", f"{tile.url}: {error}") from error
    file = io.BytesIO()
    whole.save(file, "PNG", compress_level=1)
    return file.getvalue()
