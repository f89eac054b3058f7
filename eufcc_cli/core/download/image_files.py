"""Image files in folders, found by ids or by the file names in records."""

import os
import re
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Self

from eufcc_cli.core.files import image_id_of, sha256
from eufcc_cli.core.images.image_formats import FILE_ENDINGS


class Moved(NamedTuple):
    """Name, size and digest of a photograph that was moved."""

    name: str
    bytes: int | None
    sha256: str | None


def spelling(text: str) -> str:
    """A name in the form in which file systems without letter case compare it."""
    return unicodedata.normalize("NFC", text).casefold()


def loose_spelling(text: str) -> str:
    """A name without differences in punctuation.

    >>> loose_spelling("1913.5 / a") == loose_spelling("1913-5_A") == "1913-5-a"
    True
    """
    return re.sub(r"[\W_]+", "-", spelling(text)).strip("-")


class ImageFiles:
    """The image files of some folders, by name; without hidden files, and links that lead out of them."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self._stems: dict[str, list[Path]] = defaultdict(list)
        self._loose: dict[str, list[Path]] = defaultdict(list)
        for file in files:
            self._stems[spelling(file.stem)].append(file)
            self._loose[loose_spelling(file.stem)].append(file)

    @classmethod
    def below(cls, folders: Iterable[Path], within: Iterable[Path] = ()) -> Self:
        """The image files anywhere below some folders, in the order of folders and paths.

        Links are followed to files below these folders, or those in `within`.
        """
        files: dict[Path, None] = {}
        folders = list(folders)
        known = real_paths([*folders, *within])
        for folder in folders:
            here = str(folder)
            names = (path for path, _ in walk_files(here, links=known) if is_image_name(path))
            files |= dict.fromkeys(Path(f"{here}/{name}") for name in sorted(names))
        return cls(list(files))

    def __len__(self) -> int:
        return len(self.files)

    def with_stem(self, name: str) -> list[Path]:
        """The files whose name, without its ending, is this one in any letter case."""
        return self._stems.get(spelling(name), [])

    def named(self, ids: Iterable[str]) -> dict[str, Path]:
        """A file for each id whose stem it is; without punctuation, if only one id matches."""
        wanted = list(ids)
        if not self.files:
            return {}
        found = {image_id: files[0] for image_id in wanted if (files := self.with_stem(image_id))}
        loose: dict[str, list[str]] = defaultdict(list)
        for image_id in wanted:
            loose[loose_spelling(image_id)].append(image_id)
        for key, of in loose.items():
            if key and len(of) == 1 and of[0] not in found and key in self._loose:
                found[of[0]] = self._loose[key][0]
        return found

    def moved(self, photograph: Moved) -> Path | None:
        """The new path of a photograph: a file of the same name and size, else of the same content."""
        same_size = self._sizes.get(photograph.bytes or -1, [])
        alike = [file for file in same_size if spelling(file.name) == spelling(photograph.name)]
        if len(alike) == 1:
            return alike[0]
        return next((file for file in alike or same_size if sha256(file) == photograph.sha256), None)

    @cached_property
    def _sizes(self) -> dict[int, list[Path]]:
        sizes: dict[int, list[Path]] = defaultdict(list)
        for file in self.files:
            with suppress(OSError):
                sizes[file.stat().st_size].append(file)
        return sizes


_SYSTEM_NAMES = frozenset((
    "@eadir", "#recycle", "@recycle", "#snapshot", "@recently-snapshot", "@sharesnap", "@tmp", "@transcode",
    "@__thumb", "~snapshot", "$recycle.bin", "recycler", "recycled", "system volume information",
    "lost+found", "__macosx", "network trash folder", "temporary items", "thevolumesettingsfolder",
    "_vti_cnf", "thumbs.db", "ehthumbs.db", "desktop.ini",
    "trashbox", "files_trashbin", "files_versions",
))  # fmt: skip


def is_system_name(name: str) -> bool:
    """True for files that a system adds to a folder: hidden files, thumbnails, deleted files.

    >>> [is_system_name(name) for name in ("@eaDir", "$RECYCLE.BIN", "._a.jpg", ".thumbnails", "a.jpg")]
    [True, True, True, True, False]
    >>> [is_system_name(name) for name in ("Scans Previews.lrdata", "FOUND.000", "trashbox", "found.jpg")]
    [True, True, True, False]
    """
    name = name.lower()
    return name in _SYSTEM_NAMES or name.startswith((".", "found.0")) or name.endswith(".lrdata")


def is_image_name(path: str) -> bool:
    """True for the path of an image file: not hidden, with an image's ending."""
    return not any(map(is_system_name, path.split("/"))) and path[path.rfind(".") :].lower() in FILE_ENDINGS


def is_regular(file: Path) -> bool:
    """True for an existing file that is not a link."""
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except (OSError, ValueError):
        return False


def scan_images(folder: Path, within: Iterable[Path] = ()) -> dict[str, Path]:
    """The images below data/images, by the ids of their paths (`image_stem`).

    Links are followed to files below it, or below a folder in `within`.
    """
    here, known = str(folder), real_paths([folder, *within])
    return {
        image_id_of(PurePosixPath(path)): Path(f"{here}/{path}")
        for path, _ in walk_files(here, links=known)
        if "/" in path and not path.rpartition("/")[2].startswith(".")
    }


def scan_flat_images(folder: Path) -> dict[str, Path]:
    """The images directly in a folder, named by their ids."""
    here = str(folder)
    names = sorted(path for path, _ in walk_files(here) if "/" not in path and not path.startswith("."))
    return {Path(name).stem: Path(f"{here}/{name}") for name in names}


def real_paths(folders: Iterable[Path]) -> tuple[str, ...]:
    """The real paths of folders, for `walk_files`."""
    return tuple(dict.fromkeys(os.path.realpath(folder) for folder in folders))


def links_out(folders: Iterable[Path], within: Iterable[Path] = ()) -> dict[Path, Path]:
    """The links below some folders that lead to no file below them or below the folders in `within`, with
    their targets."""
    folders = list(folders)
    known = real_paths([*folders, *within])
    links = (
        f"{folder}/{path}"
        for folder in folders
        for path, entry in walk_files(str(folder), links=None)
        if entry.is_symlink()
    )
    return {Path(link): Path(os.path.realpath(link)) for link in links if not _leads_below(link, known)}


def _leads_below(link: str, folders: tuple[str, ...]) -> bool:
    target = os.path.realpath(link)
    inside = any(os.path.commonpath([folder, target]) == folder for folder in folders)
    return inside and os.path.isfile(target)  # noqa: PTH113  (pathlib's raises for names that cannot be)


def walk_files(
    folder: str, below: str = "", links: tuple[str, ...] | None = ()
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The regular files below a folder, by their relative paths.

    Links are listed if they lead to files below one of the folders `links` (real paths), all if it is None.
    The size of an entry can be read until the next one is taken.
    """
    with suppress(FileNotFoundError, NotADirectoryError), _scanned(f"{folder}/{below}") as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                yield below + entry.name, entry
            elif entry.is_dir(follow_symlinks=False):
                yield from walk_files(folder, f"{below}{entry.name}/", links)
            elif (
                links != ()
                and entry.is_symlink()
                and (links is None or _leads_below(f"{folder}/{below}{entry.name}", links))
            ):
                yield below + entry.name, entry


@contextmanager
def _scanned(folder: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    """`os.scandir`, on an open folder if possible: sizes are read faster than by paths."""
    with ExitStack() as stack:
        where: str | int = folder
        if os.scandir in os.supports_fd:
            where = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, where)
        yield stack.enter_context(os.scandir(where))
