"""Atomic writes, digests, and the paths of a collection root."""

import contextlib
import csv
import errno
import hashlib
import io
import os
import re
import string
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote

from eufcc_cli.core.errors import DataError, cannot_write

SPLITS = ("train", "val", "test_id", "test_ood")


@contextlib.contextmanager
def atomic_open(path: Path, mode: str = "wb", **kwargs: Any) -> Iterator[IO[Any]]:
    """Open a file that is written completely or not at all: temporary file beside it, fsync, rename.

    If the block is interrupted, the old file is unchanged and the temporary file is removed. Text is UTF-8,
    newlines are not translated. Raises EufccError if the folder cannot be written.
    """
    if "b" not in mode:
        kwargs = {"encoding": "utf-8", "newline": "", **kwargs}
    # open() sets the permissions by the user's umask: many file systems have no chmod.
    with atomic_path(path) as temporary, temporary.open(mode.replace("w", "x"), **kwargs) as file:
        yield file
        file.flush()
        sync(file)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """As atomic_open, for writers that need a path: that of the temporary file, which does not exist yet."""
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{uuid.uuid4().hex}.part")
        yield temporary
        replace_file(temporary, path)
        temporary = None
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def sync(file: IO[Any]) -> None:
    """Flush a file to the disk, where the file system supports that."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise


_NOT_SUPPORTED = frozenset((errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM))
_IN_USE = frozenset((5, 32, 33, 1224))  # Windows: access denied, sharing or lock violation, mapped
_PATIENCE = 3.0  # seconds; a virus scanner or an indexer closes the file sooner


def replace_file(source: Path, target: Path) -> None:
    """Rename a file over another. On Windows this fails while a program has it open: then retry."""
    last = time.monotonic() + _PATIENCE
    while True:
        try:
            source.replace(target)
            return
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _IN_USE or time.monotonic() > last:
                raise
        time.sleep(0.05)


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    r"""Rows as CSV with a header; missing values are empty, other keys are left out.

    >>> csv_text(["tag", "images"], [{"tag": "bronze", "images": 3, "facet": "materials"}, {"tag": "a, b"}])
    'tag,images\nbronze,3\n"a, b",\n'
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a small CSV file, each with its line number; missing cells are "".

    Raises DataError for a file without these columns, or that is not CSV in UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="")
            if not set(columns) <= set(reader.fieldnames or ()):
                found = ", ".join(reader.fieldnames or ()) or "nothing"
                problem = f"needs the columns {', '.join(columns)}, and has {found}"
                raise DataError(f"{path}: {problem}", hint="separate the columns' names by commas")
            return [(reader.line_num, {name: cell or "" for name, cell in row.items()}) for row in reader]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", hint="check its name and permissions") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: {error}", hint="save the table as CSV in UTF-8") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file completely or not at all."""
    with atomic_open(path, "w") as file:
        file.write(text)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a binary file completely or not at all."""
    with atomic_open(path) as file:
        file.write(content)


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def visible(text: str) -> str:
    r"""Untrusted text for a terminal: control characters as \xNN.

    >>> visible("a\x1b[2J.jpg")
    'a\\x1b[2J.jpg'
    """
    if text.isprintable():
        return text
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


_PLAIN = frozenset((string.ascii_lowercase + string.digits + "_-").encode())
_DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10))}
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
_LONGEST = 100  # characters of a folder's or file's name; longer ids become nested folders
_LONGEST_ID = 2000


def image_stem(image_id: str) -> PurePosixPath:
    """The path of an image below data/images, without its ending: safe, sharded, reversible.

    Everything unsafe in an id (`../`, a slash, NUL, capitals that clash on some file systems, the name of a
    Windows device) is percent-encoded; two digits of its SHA-256 spread the images over 256 folders. Raises
    DataError for an empty or very long id.

    >>> image_stem("art_025809").as_posix()
    'f6/art_025809'
    >>> image_stem("../Etc").as_posix()
    'de/%2E%2E%2F%45tc'
    >>> image_stem("con").as_posix()
    '11/%63on'
    >>> image_stem("a" * 100 + "con").name
    '%63on'
    >>> image_id_of(image_stem("../Etc"))
    '../Etc'
    """
    if not image_id:
        raise DataError("an image has no id")
    raw = image_id.encode("utf-8", "surrogatepass")
    name = "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in raw)
    if len(name) > _LONGEST_ID:
        raise DataError(f"id of {len(name)} encoded characters ({image_id[:40]}…) is too long to name a file")
    parts = [name[i : i + _LONGEST] for i in range(0, len(name), _LONGEST)]
    parts = [f"%{ord(part[0]):02X}{part[1:]}" if part in _DEVICES else part for part in parts]
    return PurePosixPath(hashlib.sha256(raw).hexdigest()[:2], *parts)


def is_file_name(name: str) -> bool:
    """True for a valid name of a file or folder on every system.

    >>> [is_file_name(name) for name in ("my run", "a/b", "a:b", "con", "Aux.1", "a.", "..")]
    [True, False, False, False, False, False, False]
    """
    device = name.split(".")[0].rstrip().lower() in _DEVICES
    return bool(name) and not (_NOT_IN_NAMES.search(name) or name[-1] in ". " or device)


def image_id_of(path: PurePosixPath) -> str:
    """The id of the image at this path below data/images (with or without its ending)."""
    try:
        return unquote("".join(path.with_suffix("").parts[1:]), errors="surrogatepass")
    except UnicodeDecodeError:  # no name that `image_stem` makes
        return ""


def possible_ids(image: str) -> Iterator[str]:
    """The possible ids of an image's file: its name without its ending, plain or percent-encoded.

    >>> list(possible_ids("data/images/de/%2E%2E%2F%45tc.jpg"))[1]
    '../Etc'
    """
    path = PurePosixPath(image.replace("\\", "/"))
    yield path.stem
    yield unquote(path.stem)
    yield path.name
    for depth in range(2, len(path.parts) + 1):  # a long id is kept in nested folders (image_stem)
        yield image_id_of(PurePosixPath(*path.parts[-depth:]))


def ignores_case(folder: Path) -> bool:
    """True if `A.jpg` and `a.jpg` are the same file in a folder (or its nearest existing parent)."""
    for place in (folder.absolute(), *folder.absolute().parents):
        other = place.with_name(place.name.swapcase())
        if place.name and other.name != place.name and place.exists():
            return other.exists() and other.samefile(place)
    return False


def is_text(path: str) -> bool:
    """True for a path that is valid UTF-8, as are all paths that eufcc makes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True)
class Root:
    """A collection root: the folder that holds data/, labels/ and runs/.

    >>> root = Root(Path("collection"))
    >>> root.table("train").as_posix(), root.label_file("materials").as_posix()
    ('collection/data/train.csv', 'collection/labels/materials.txt')
    """

    path: Path
    """Can be given as text."""
    photos: tuple[Path, ...] = ()
    """Folders of photographs outside the root."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        object.__setattr__(self, "photos", tuple(map(Path, self.photos)))

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def images(self) -> Path:
        return self.data / "images"

    @property
    def ledger(self) -> Path:
        return self.images / "images.sqlite"

    @property
    def labels(self) -> Path:
        return self.path / "labels"

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    def table(self, split: str) -> Path:
        return self.data / f"{split}.csv"

    @property
    def concepts(self) -> Path:
        """The URIs of tags."""
        return self.labels / "concepts.csv"

    @property
    def terms(self) -> Path:
        """The terms of the words in a museum's export."""
        return self.data / "terms.csv"

    @property
    def names(self) -> Path:
        """The names of tags in other languages."""
        return self.labels / "names.csv"

    def label_file(self, facet: str) -> Path:
        return self.labels / f"{facet}.txt"

    def run(self, name: str) -> Path:
        return self.runs / name

    def splits(self) -> list[str]:
        """The splits that have a table, in the order train, val, test_id, test_ood."""
        return [split for split in SPLITS if self.table(split).is_file()]
