"""From a body to a verified file: what runs in the worker processes of a download."""

import contextlib
import hashlib
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from eufcc_cli.core.download.candidates import is_icon
from eufcc_cli.core.download.origins import FOUND, Origin, note
from eufcc_cli.core.errors import ImageError, TooManyPixelsError, cannot_write
from eufcc_cli.core.files import image_stem, replace_file, sha256
from eufcc_cli.core.images.decode import ImageInfo, inspect_image, open_pixels
from eufcc_cli.core.images.image_formats import ENDINGS

T = TypeVar("T")

JPEG_QUALITY = 90
INCOMING = ".incoming"  # below data/images: temporary files


@dataclass(frozen=True)
class Stored:
    """A verified image in its place; `path` is relative to data/images, absolute elsewhere."""

    path: str
    bytes: int
    width: int
    height: int
    format: str
    sha256: str


@dataclass(frozen=True)
class Rejected:
    """A body that is not a usable image: `not-image`, `too-large` or `placeholder`."""

    status: str
    reason: str


CRASHED = Rejected("not-image", "it crashes the decoder, or takes too long")
NO_PICTURE = Rejected("placeholder", "a placeholder, not a picture")


@dataclass(frozen=True)
class Storing:
    """How bodies become files below `folder`."""

    folder: Path
    resize: int | None
    placeholders: list[str] = field(default_factory=list)
    """Digests of files to reject. The engine compares bodies."""


def store(body: bytes | Path, origin: Origin, how: Storing) -> Stored | Rejected:
    """Verify a body (bytes, or a temporary file, which stays), and store it as the image's file.

    May be called again with the same body. Raises EufccError if the file cannot be written.
    """
    digest = str(origin.source_sha256)
    try:
        if how.resize is None:
            info, content = inspect_image(body), body
        else:
            info, content = resized(body, how.resize)
            digest = hashlib.sha256(content).hexdigest()
    except ImageError as error:
        return _rejected(error)
    except MemoryError:
        return Rejected("too-large", "too many pixels for this machine's memory")
    path = image_stem(origin.id).with_suffix(ENDINGS[info.format])
    size = place(content, how.folder, path, origin)
    return Stored(path.as_posix(), size, info.width, info.height, info.format, digest)


def resized(body: bytes | Path, short_side: int) -> tuple[ImageInfo, bytes]:
    """A JPEG of the image, its short side at most `short_side` pixels, in sRGB, without metadata."""
    import simplejpeg  # slow to load, and many processes never resize

    from eufcc_cli.core.images.resize import resize

    pixels = open_pixels(body, short_side=short_side)
    height, width = pixels.shape[:2]
    scale = short_side / min(width, height)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in (width, height))
        pixels = resize(pixels, (width, height))
    try:
        content = simplejpeg.encode_jpeg(pixels, JPEG_QUALITY, "RGBX", "420")
    except ValueError as error:  # a side is longer than 65,500 pixels
        raise TooManyPixelsError(f"too many pixels: {width} x {height} for a JPEG ({error})") from error
    return ImageInfo("JPEG", width, height), content


def place(content: bytes | Path, folder: Path, path: PurePosixPath, origin: Origin | None = None) -> int:
    """Store an image at a path below a folder by renaming, completely or not at all.

    A file is linked (copied, if links are not possible). Its origin is noted first, so that a run that is
    killed before it writes the ledger can resume. Returns the size in bytes.

    There is no fsync, which would take longer than the download: after a power failure the ledger's sizes
    show which files are incomplete.
    """
    # Written in one folder, then moved: on ext4, new files in hundreds of folders are ten times slower.
    incoming, target = folder / INCOMING, folder / path
    temporary = incoming / f".{uuid.uuid4().hex}.part"
    try:
        if isinstance(content, bytes):
            size = _in_folder(incoming, lambda: temporary.write_bytes(content))
        else:
            _in_folder(incoming, lambda: _link_or_copy(content, temporary))
            size = temporary.stat().st_size
        if origin is not None:
            note(incoming, origin)
        _in_folder(target.parent, lambda: replace_file(temporary, target))
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:  # renaming a link over a link to the same file has no effect
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return size


def _in_folder(folder: Path, act: Callable[[], T]) -> T:
    """Call `act`; if the folder is missing, which is rare, make it and call again."""
    try:
        return act()
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        return act()


def _link_or_copy(file: Path, to: Path) -> None:
    try:
        to.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, to)


def describe(file: Path, how: Storing) -> Stored | Rejected:
    """Verify a file without moving it; its path is absolute if it is outside data/images."""
    try:
        info = inspect_image(file)
        digest, size = sha256(file), file.stat().st_size
    except ImageError as error:
        return _rejected(error)
    except OSError as error:
        return Rejected("not-image", f"cannot read: {error.strerror or error}")
    if _is_placeholder(digest, how):
        return NO_PICTURE
    inside = file.is_relative_to(how.folder)
    path = file.relative_to(how.folder).as_posix() if inside else str(file)
    return Stored(path, size, info.width, info.height, info.format, digest)


def verify_existing(image: tuple[str, Path], how: Storing) -> Stored | Rejected:
    """Verify an existing file of an image and use it unchanged; link or copy it if it is elsewhere."""
    image_id, file = image
    found = describe(file, how)
    if isinstance(found, Rejected) or file.is_relative_to(how.folder):
        return found
    if how.resize is not None:
        return store(file.read_bytes(), Origin(image_id, FOUND, None, found.sha256), how)
    path = image_stem(image_id).with_suffix(ENDINGS[found.format])
    place(file, how.folder, path)
    return replace(found, path=path.as_posix())


def check(recorded: tuple[str, Path, str], how: Storing) -> Stored | Rejected | None:
    """Check a recorded file (id, path, SHA-256); None if it is missing. Only a changed file is decoded."""
    _, file, digest = recorded
    try:
        now = sha256(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Rejected("not-image", f"cannot read: {error.strerror or error}")
    if now == digest and not _is_placeholder(digest, how):
        return Stored("", 0, 0, 0, "", digest)
    return describe(file, how)


def _is_placeholder(digest: str, how: Storing) -> bool:
    # The file's candidate is unknown: it may be the one that returns icons.
    return digest in how.placeholders or is_icon(digest, "v2")


def _rejected(error: ImageError) -> Rejected:
    return Rejected("too-large" if isinstance(error, TooManyPixelsError) else "not-image", str(error))
