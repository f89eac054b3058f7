"""Terms in the images themselves (JPEG, TIFF, PNG, WebP), by libexiv2; pixels stay as they are."""

import contextlib
import hashlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageSequence

from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.files import atomic_open, write_bytes
from eufcc_cli.core.images.decode import max_pixels
from eufcc_cli.core.images.image_formats import sniff
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.writers.keywords.xmp import Packet, Terms

BACKUP = "_original"
"""The ending of the backup of an image's first state, as ExifTool calls it."""
_FORMATS = ("JPEG", "TIFF", "PNG", "WEBP")
_IFDS = (34665, 34853)  # of Exif: the photograph, and where it was taken
_MOVED_TAGS = {273, 324, 330, 34665, 34853, 40965, 700}  # of TIFF: offsets within the file, and XMP


class Embedded:
    """Terms in the images themselves. The first state of each is kept beside it, as NAME_original."""

    def path(self, item: Input) -> Path:
        if item.path is None:
            reason = (
                "not downloaded: `eufcc download` gets it" if item.row is not None else "not on this disk"
            )
            raise ImageError(reason)
        return item.path

    def origin(self, path: Path) -> str | None:
        content = _bytes(path)
        try:
            packet = _packet(_open(content))
        except ImageError:  # tagging the image reports the error
            return None
        return None if packet is None else packet.origin

    def is_current(self, path: Path, item: Input, origin: str) -> bool:
        return path.is_file() and self.origin(path) == origin

    def write(self, path: Path, terms: Terms) -> None:
        """Write terms into an image; ImageError, with the image unchanged, if anything else would change."""
        content = _bytes(path)
        image = _open(content)
        packet = _packet(image) or Packet()
        packet.put(terms)
        new = _with_packet(image, packet.content("utf-8"))
        _verify(content, new, packet, terms)
        backup = path.with_name(path.name + BACKUP)
        if not backup.exists():
            with path.open("rb") as source, atomic_open(backup) as file:
                shutil.copyfileobj(source, file)
            with contextlib.suppress(OSError):  # not every file system has times and modes
                shutil.copystat(path, backup)
        mode = path.stat().st_mode
        write_bytes(path, new)
        with contextlib.suppress(OSError):
            path.chmod(mode)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(str(error.strerror or error)) from error


def _open(content: bytes) -> Any:
    """An image in libexiv2, with its metadata."""
    import exiv2

    kind = sniff(content[:1024])
    if kind not in _FORMATS:
        raise ImageError(f"{kind} has no place for terms: write a sidecar instead")
    exiv2.LogMsg.setLevel(exiv2.LogMsg.Level.mute)
    try:
        image = exiv2.ImageFactory.open(content)
        image.readMetadata()
    except exiv2.Exiv2Error as error:
        raise ImageError(f"its metadata cannot be read: {error}") from error
    image.writeXmpFromPacket(True)  # the packet itself, not what libexiv2 understands of it
    return image


def _packet(image: Any) -> Packet | None:
    try:
        text = image.xmpPacket().encode("utf-8", "surrogateescape")
    except UnicodeError as error:
        raise ImageError(f"its XMP cannot be read: {error}") from error
    if not text.strip(b"\0 \n"):
        tags = {one.key(): one for one in image.exifData()}
        if "Exif.Image.XMLPacket" not in tags:
            return None
        text = bytes(tags["Exif.Image.XMLPacket"].value().data())
    return Packet(text)


def _with_packet(image: Any, packet: bytes) -> bytes:
    import exiv2

    try:
        image.setXmpPacket(packet.decode())
        image.writeXmpFromPacket(True)
        image.writeMetadata()
        return bytes(image.io().mmap())
    except exiv2.Exiv2Error as error:
        raise ImageError(f"terms cannot be written into it: {error}") from error


def _verify(old: bytes, new: bytes, packet: Packet, terms: Terms) -> None:
    """ImageError unless the new image has the terms and is otherwise equal to the old one."""
    read = _packet(_open(new))
    if read is None or read.content("utf-8").strip() != packet.content("utf-8").strip():
        raise ImageError("the terms could not be read back: left as it is")
    try:
        same = list(_frames(old)) == list(_frames(new))
    except Exception as error:  # of Pillow and tifffile, for files that are broken in any way
        raise ImageError(f"what it holds cannot be compared ({error}): left as it is") from error
    if read.origin != terms.origin or not same:
        raise ImageError("writing terms would change more than the terms: left as it is; write a sidecar")


def _frames(content: bytes) -> Iterator[Any]:
    """What must not change: pixels, colour profile and Exif of each frame; for a TIFF all tags and data."""
    if sniff(content[:1024]) == "TIFF":
        yield from _tiff_pages(content)
        return
    with Image.open(io.BytesIO(content)) as image:
        if image.width * image.height > max_pixels():
            raise ImageError(f"{image.width} x {image.height} pixels: more than are read")
        for frame in ImageSequence.Iterator(image):
            pixels = hashlib.sha256(frame.tobytes()).hexdigest()
            exif = frame.getexif()
            tags = {**exif, **{ifd: exif.get_ifd(ifd) for ifd in _IFDS}}
            yield frame.mode, frame.size, pixels, frame.info.get("icc_profile"), _without_offsets(tags)


def _tiff_pages(content: bytes) -> Iterator[Any]:
    from tifffile import TiffFile

    with TiffFile(io.BytesIO(content)) as file:
        pages: list[Any] = list(file.pages)
        while pages:
            page = pages.pop(0)
            pages += list(page.pages or ())
            tags = {tag.code: _plain(tag.value) for tag in page.tags if tag.code not in _MOVED_TAGS}
            digest = hashlib.sha256()
            for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
                if offset + size > len(content):
                    raise ValueError("it is truncated")
                digest.update(content[offset : offset + size])
            yield tags, digest.hexdigest()


def _without_offsets(exif: dict[int, Any]) -> dict[int, Any]:
    return {tag: value for tag, value in exif.items() if tag in _IFDS or tag not in _MOVED_TAGS}


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | str | bytes | tuple) else str(value)
