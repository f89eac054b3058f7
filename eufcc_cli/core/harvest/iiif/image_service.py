"""IIIF image services: which request gets an image no larger than it is needed.

IIIF Image API 1.1, 2.1 and 3.0. A service of level 1 or 2 scales to any width; one of level 0 has files of
a few sizes, or only tiles, which its info.json lists.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from eufcc_cli.core.harvest.iiif.presentation import Picture, Service, positive, things

_MOST_TILES = 64


@dataclass(frozen=True)
class Tile:
    """A part of an image: its URL, and its left upper corner in the image that all of them make."""

    url: str
    left: int
    top: int


@dataclass(frozen=True)
class Tiles:
    """An image of `width` x `height` pixels in parts."""

    width: int
    height: int
    tiles: tuple[Tile, ...]


Request = str | Tiles
"""A URL, or tiles to be put together."""


def scaled_width(width: int, height: int, short_side: int) -> int:
    """The width at which the shorter side has `short_side` pixels, or the width itself where it has fewer.

    >>> scaled_width(4000, 2000, 256), scaled_width(200, 100, 256)
    (512, 200)
    """
    return width if min(width, height) <= short_side else ceil(width * short_side / min(width, height))


def request_by_manifest(picture: Picture, short_side: int) -> str | None:
    """The URL of a picture, no larger than needed, as far as its manifest shows.

    None where the service's info.json has to be read first.
    """
    service = picture.service
    if service is None:
        return picture.url
    if not service.level or not picture.width or not picture.height:
        return None
    return _scaled(service, picture.width, picture.height, short_side)


def request_by_info(service: Service, info: Mapping[str, Any], short_side: int) -> Request | None:
    """The request for an image no larger than needed, by its info.json; None where that says too little."""
    width, height = positive(info.get("width")), positive(info.get("height"))
    if not width or not height:
        return None
    wanted = min(short_side, width, height)
    sizes = sorted(
        (w, h)
        for size in things(info.get("sizes"))
        if (w := positive(size.get("width"))) and (h := positive(size.get("height")))
    )
    level = _level(info.get("profile"))
    if level:
        return _scaled(service, width, height, short_side, _limits(info))
    enough = [size for size in sizes if min(size) >= wanted]
    if enough:
        return _size(service, enough[0], (width, height))
    tiles = _tiles(service, info, (width, height), wanted)
    if tiles is not None:
        return tiles
    return _size(service, sizes[-1], (width, height)) if sizes else None


def read_info(content: bytes) -> Mapping[str, Any] | None:
    """An info.json; None for what is none."""
    try:
        info = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return info if isinstance(info, dict) else None


def full_image(service: Service) -> str:
    """The URL of the whole image as large as the service gives it."""
    return f"{service.id}/full/{_max(service)}/0/{_file(service)}"


def _scaled(
    service: Service, width: int, height: int, short_side: int, limits: tuple[int, int, int] = (0, 0, 0)
) -> str:
    """By width, the one form that every service of level 1 or 2 knows, whatever its version."""
    target = scaled_width(width, height, short_side)
    most_wide, most_high, most_area = limits
    scale = min(
        1.0,
        (most_wide or width) / width,
        (most_high or most_wide or height) / height,
        (most_area / (width * height)) ** 0.5 if most_area else 1.0,
    )
    target = max(1, min(target, int(width * scale)))
    size = _max(service) if target >= width else f"{target},"
    return f"{service.id}/full/{size}/0/{_file(service)}"


def _size(service: Service, size: tuple[int, int], full: tuple[int, int]) -> str:
    """A size of a list, in the canonical form, by which files of a service without a program are named."""
    if size == full:
        return full_image(service)
    canonical = f"{size[0]},{size[1]}" if service.version >= 3 else f"{size[0]},"
    return f"{service.id}/full/{canonical}/0/{_file(service)}"


def _tiles(service: Service, info: Mapping[str, Any], full: tuple[int, int], wanted: int) -> Tiles | None:
    """The smallest level of tiles at which the shorter side is long enough, else the largest there is."""
    width, height = full
    choices = []
    for grid in things(info.get("tiles")):
        across = positive(grid.get("width"))
        down = positive(grid.get("height")) or across
        factors = grid.get("scaleFactors")
        for factor in factors if isinstance(factors, list) else ():
            if across and positive(factor):
                scaled = ceil(width / factor), ceil(height / factor)
                number = ceil(width / (across * factor)) * ceil(height / (down * factor))
                if number <= _MOST_TILES:
                    choices.append((scaled, int(factor), across, down))
    enough = [choice for choice in choices if min(choice[0]) >= wanted]
    chosen = min(enough, default=None) or max(choices, default=None)
    if chosen is None:
        return None
    scaled, factor, across, down = chosen
    tiles = []
    for top in range(0, height, down * factor):
        for left in range(0, width, across * factor):
            w, h = min(across * factor, width - left), min(down * factor, height - top)
            whole = (w, h) == full
            region = "full" if whole else f"{left},{top},{w},{h}"
            out = ceil(w / factor), ceil(h / factor)
            if whole and out == full:
                size = _max(service)
            else:
                size = f"{out[0]},{out[1]}" if service.version >= 3 else f"{out[0]},"
            url = f"{service.id}/{region}/{size}/0/{_file(service)}"
            tiles.append(Tile(url, left // factor, top // factor))
    return Tiles(*scaled, tuple(tiles))


def _max(service: Service) -> str:
    return "max" if service.version >= 3 else "full"


def _file(service: Service) -> str:
    return "native.jpg" if service.version < 2 else "default.jpg"


def _level(profile: object) -> int | None:
    """The level of a profile: "level2", a URI, or a list that begins with one.

    >>> _level(["http://iiif.io/api/image/2/level1.json", {"formats": ["png"]}]), _level("level0")
    (1, 0)
    """
    for each in profile if isinstance(profile, list) else [profile]:
        if isinstance(each, str):
            _, found, rest = each.rpartition("level")
            if found and rest[:1].isdecimal():
                return int(rest[0])
    return None


def _limits(info: Mapping[str, Any]) -> tuple[int, int, int]:
    """maxWidth, maxHeight and maxArea, 0 where there is none; version 2 has them in its profile."""
    profile = info.get("profile")
    limits: dict[str, Any] = {}
    for each in [*(things(profile) if isinstance(profile, list) else []), info]:
        limits |= {name: each[name] for name in ("maxWidth", "maxHeight", "maxArea") if name in each}
    wide, high, area = (positive(limits.get(name)) for name in ("maxWidth", "maxHeight", "maxArea"))
    return wide, high, area
