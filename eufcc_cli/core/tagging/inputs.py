"""The images to tag: files, folders, globs, URLs, and lists on standard input, as one stream."""

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import NoReturn

from eufcc_cli.core.download.image_files import is_system_name
from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.harvest.iiif.walk import may_be_document
from eufcc_cli.core.images.image_formats import FILE_ENDINGS
from eufcc_cli.core.tagging.image_list import read_list

Source = Path | Callable[[], Path | bytes]
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_USER = re.compile(r"(?<=://)[^/@]*@")


@dataclass(frozen=True, slots=True)
class Input:
    """One image to tag: its name in results, and its source."""

    name: str
    source: Source
    """A file, or a function that gets the image and raises ImageError if it cannot."""
    url: str = ""
    """Its URL; empty for a file."""
    id: str | None = None
    """Its idInSource, if it comes from a table."""
    item: str | None = None
    """The Europeana item it shows."""
    row: int | None = None
    """Its row in the table, counted from 0."""
    canvas: str | None = None
    """The IIIF canvas that it shows."""
    label: str = ""
    """What its manifest calls it."""

    @property
    def path(self) -> Path | None:
        return self.source if isinstance(self.source, Path) else None

    @property
    def iri(self) -> str:
        """The image's IRI, for linked data."""
        return self.url or (file_iri(self.path) if self.path else "")


def listed(
    arguments: Iterable[str],
    stdin: int = 0,
    fetch: Callable[[str], Callable[[], bytes]] | None = None,
    *,
    null: bool = False,
    canvases: Callable[[str], Iterable[Input]] | None = None,
) -> Iterator[Input]:
    """The images that arguments name, each once, in order, as they are found.

    An argument is a file, a folder (with all subfolders, in the order of names, without hidden files and
    the thumbnails and deleted files of a NAS), a glob, a URL that `fetch` gets, an IIIF manifest or
    collection whose images `canvases` finds, or `-`: a list of these on the file descriptor `stdin` (see
    `read_list`). A file that does not exist becomes an input whose source raises the reason.
    """
    seen: set[int] = set()  # hashes instead of names: a million images then take some megabytes
    for argument in arguments:
        for entry in read_list(stdin, null=null) if argument == "-" else (argument,):
            for place in _expand(entry):
                if (key := hash(place)) not in seen:
                    seen.add(key)
                    if canvases is None or not is_iiif(place):
                        yield _input(place, fetch)
                        continue
                    for item in canvases(place):
                        if (key := hash(item.canvas or item.name)) not in seen or item.canvas is None:
                            seen.add(key)
                            yield item


def count(arguments: Iterable[str]) -> int | None:
    """How many images arguments name, without opening any; None for a pipe or a manifest."""
    arguments = list(arguments)
    return (
        None
        if "-" in arguments or any(map(is_iiif, arguments))
        else sum(1 for argument in arguments for _ in _expand(argument))
    )


def is_url(place: str) -> bool:
    """True for a URL, false for a path."""
    return _URL.match(place) is not None


def is_iiif(place: str) -> bool:
    """True for a URL that looks like that of an IIIF manifest or collection."""
    return is_url(place) and may_be_document(place)


def _input(place: str, fetch: Callable[[str], Callable[[], bytes]] | None) -> Input:
    if is_url(place):
        shown = _USER.sub("", place)
        not_fetched = partial(fail, "URLs are not fetched here")
        return Input(_printable(shown), fetch(place) if fetch else not_fetched, shown)
    return Input(_printable(place), Path(place))


def fail(reason: str) -> NoReturn:
    """The source of an image that cannot be read: raises ImageError."""
    raise ImageError(reason)


def file_iri(path: Path) -> str:
    """The file: URL of a path."""
    return Path(os.path.abspath(path)).as_uri()  # noqa: PTH100  (absolute() would keep `..`)


def _printable(name: str) -> str:
    """A name that can be written as UTF-8: other bytes become \\xNN."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    return name


def _expand(argument: str) -> Iterator[str]:
    if is_url(argument):
        yield argument
    elif os.path.isdir(argument):  # noqa: PTH112  (pathlib's raises for names that cannot be)
        yield from _walk(argument)
    elif glob.has_magic(argument) and not os.path.lexists(argument):
        found = False
        for place in _matches(argument):
            found = True
            yield from _walk(place) if Path(place).is_dir() else (place,)
        if not found:  # perhaps a file name with brackets: opening it gives the error
            yield argument
    else:
        yield argument


def _matches(pattern: str) -> Iterator[str]:
    """What a glob matches, in the order of names; `**` does not go into links to folders."""
    fixed = len(list(takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts)))
    asked = Path(pattern).parts
    for place in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207  (pathlib's finds hidden files)
        above, found = Path(place).parents, Path(place).parts[fixed:]
        if any(is_system_name(part) and part not in asked for part in found):
            continue
        if not any(folder.is_symlink() for folder in above if len(folder.parts) > fixed):
            yield place


def _walk(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as scanned:
            found = sorted(
                (entry.name, is_folder) for entry in scanned if (is_folder := _is_folder(entry)) is not None
            )
    except OSError:
        yield folder  # opening it gives the reason why it cannot be read
        return
    for name, is_folder in found:
        place = os.path.join(folder, name)  # noqa: PTH118
        if is_folder:
            yield from _walk(place)
        else:
            yield place


def _is_folder(entry: "os.DirEntry[str]") -> bool | None:
    """True for a folder to walk, false for an image, None for what is neither."""
    if is_system_name(entry.name):
        return None
    if entry.is_dir(follow_symlinks=False):
        return True
    is_image = os.path.splitext(entry.name)[1].lower() in FILE_ENDINGS and _may_be_read(entry)  # noqa: PTH122
    return False if is_image else None


def _may_be_read(entry: "os.DirEntry[str]") -> bool:
    """True for files and for broken links; opening a broken link gives the error."""
    try:
        return entry.is_file() or not os.path.exists(entry.path)  # noqa: PTH110
    except OSError:  # a link to itself
        return True
