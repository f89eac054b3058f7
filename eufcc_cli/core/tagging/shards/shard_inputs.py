"""The images of a plan: listed once, written down shard by shard, and opened from that on any machine."""

import json
import posixpath
import tarfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from eufcc_cli.core.errors import DataError, ImageError
from eufcc_cli.core.images.image_formats import FILE_ENDINGS
from eufcc_cli.core.tagging.inputs import Input, fail, is_url, listed
from eufcc_cli.core.tagging.shards.place import file_system, is_store, store_errors

_MOST_BYTES = 128 << 20

Line = dict[str, Any]
"""An input as it stands in a plan: image, place (a path or address), iri; id, item, row; offset, bytes."""


def plan_lines(arguments: Iterable[str]) -> Iterator[Line]:
    """The images that arguments name, as `listed` finds them, and those in stores and WebDataset's tars."""
    for argument in arguments:
        if argument.lower().endswith(".tar"):
            yield from _members(argument)
        elif is_store(argument):
            yield from _stored(argument)
        else:
            for item in listed([argument]):
                yield line_of(item, item.iri if is_url(item.name) else str(Path(item.name).absolute()))


def line_of(item: Input, place: str | None) -> Line:
    """An input as it is written down; place None: it cannot be had, and its source says why."""
    line = {"image": item.name, "place": place, "iri": item.iri}
    line |= {key: value for key in ("id", "item", "row") if (value := getattr(item, key)) is not None}
    if place is None and callable(item.source):
        try:
            item.source()
        except ImageError as error:
            line["error"] = str(error)
    return line


def open_line(line: Line, fetch: Callable[[str], Callable[[], bytes]] | None) -> Input:
    """The input of a line; its source reads it, and raises ImageError where it cannot."""
    fields = {key: line[key] for key in ("id", "item", "row") if key in line}
    place = line["place"]
    source: Any
    if place is None:
        source = partial(fail, line.get("error", "not there"))
    elif "offset" in line:
        source = partial(_read_part, place, line["offset"], line["bytes"])
    elif is_store(place):
        source = partial(_read_all, place)
    elif is_url(place):
        source = fetch(place) if fetch else partial(fail, "URLs are not fetched here")
    else:
        source = Path(place)
    return Input(line["image"], source, line["iri"], **fields)


def to_bytes(lines: Iterable[Line]) -> bytes:
    """Lines of JSON."""
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()


def from_bytes(content: bytes, name: str) -> list[Line]:
    """The lines again; raises DataError where they are cut."""
    try:
        return [json.loads(line) for line in content.splitlines()]
    except ValueError as error:
        raise DataError(
            f"{name}: not the list of images that the plan wrote: {error}", hint="choose another `output`"
        ) from error


def _stored(address: str) -> Iterator[Line]:
    """The images below a URL of a store, in the order of their names; or the image at the URL."""
    system, path = file_system(address)
    with store_errors(address):
        found = [path] if system.isfile(path) else sorted(system.find(path))
    for each in found:
        if posixpath.splitext(each)[1].lower() in FILE_ENDINGS or found == [path]:
            place = system.unstrip_protocol(each)
            yield {"image": place, "place": place, "iri": place}
        elif each.lower().endswith(".tar"):
            yield from _members(system.unstrip_protocol(each))


def _members(address: str) -> Iterator[Line]:
    """The images in a tar, by where their bytes are; the tar is read once, over its headers."""
    system, path = file_system(address)
    with store_errors(address):
        if not system.exists(path):
            raise DataError(f"{address}: no such file", hint="give an existing tar file")
    with store_errors(address), system.open(path, "rb") as file, tarfile.open(fileobj=file) as tar:
        for member in tar:
            if member.isfile() and posixpath.splitext(member.name)[1].lower() in FILE_ENDINGS:
                name = f"{address}/{member.name}"
                iri = address if is_url(address) else Path(address).absolute().as_uri()
                yield {
                    "image": name,
                    "place": address,
                    "iri": f"{iri}#{member.name}",
                    "offset": member.offset_data,
                    "bytes": member.size,
                }


def _read_all(place: str) -> bytes:
    system, path = file_system(place)
    return _read(lambda: system.cat_file(path, end=_MOST_BYTES + 1), place)


def _read_part(place: str, offset: int, size: int) -> bytes:
    system, path = file_system(place)
    if size > _MOST_BYTES:
        raise ImageError(f"{size:,} bytes: too many for an image")
    return _read(lambda: system.cat_file(path, start=offset, end=offset + size), place)


def _read(read: Callable[[], bytes], place: str) -> bytes:
    try:
        content = read()
    except FileNotFoundError:
        raise ImageError("not there") from None
    except Exception as error:  # every store has its own
        raise ImageError(f"cannot fetch: {error or type(error).__name__}") from error
    if len(content) > _MOST_BYTES:
        raise ImageError(f"more than {_MOST_BYTES >> 20} MB: too many for an image")
    return content
