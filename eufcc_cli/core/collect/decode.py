"""Image files from strangers, read safely: sniffed, measured before they are decoded, right in colour."""

import functools
import io
import logging
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from eufcc_cli.core.errors import ImageError

log = logging.getLogger("eufcc")

MAX_PIXELS = 178_956_970  # where Pillow itself stops: a 512 MB image of three channels

# Each image's header is measured against max_pixels instead, and refused rather than warned about.
# Odd metadata, which Pillow warns of, is nobody's concern either.
warnings.filterwarnings("ignore", module=r"PIL\.")

_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
ENDINGS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "TIFF": ".tif", "BMP": ".bmp"}
_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"BM": "BMP",
}
_HEAD = 1024


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What a file that really is an image says of itself; width and height as it is looked at."""

    format: str
    width: int
    height: int


def sniff(head: bytes) -> str:
    """The format of a file that begins with these bytes; raises ImageError saying what it is instead.

    >>> sniff(b"GIF89a...")
    'GIF'
    >>> sniff(b"<!doctype html><title>Not found</title>")
    Traceback (most recent call last):
    eufcc_cli.core.errors.ImageError: not an image: HTML page
    """
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    raise ImageError(f"not an image: {_what_else(head)}")


def _what_else(head: bytes) -> str:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "empty file"
    if head[4:8] == b"ftyp" or head[:12] == b"\0\0\0\x0cjP  \r\n\x87\n" or head[:2] == b"\xff\x0a":
        return "unsupported format (AVIF, HEIC, JPEG 2000, JPEG XL or a film)"
    if head[:4] == b"%PDF":
        return "PDF document"
    if text[:1] == b"<":
        if b"<svg" in text:
            return "SVG drawing"
        if b"<html" in text or text.startswith(b"<!doctype html") or b"<head" in text or b"<body" in text:
            return "HTML page"
        return "XML or HTML text"
    return "cannot identify image file"


def open_image(
    source: Path | str | bytes, *, short_side: int | None = None, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Read an image file (or its bytes) as 8-bit RGB in sRGB, the way it is looked at.

    The first frame or page; EXIF orientation applied; an embedded ICC profile converted to sRGB; CMYK,
    16-bit and palette images converted; transparent parts shown over white. With `short_side`, a JPEG is
    decoded at the smallest eighth that keeps the short side at least that long (it is not resized).

    Raises ImageError with the reason alone: `cannot read: …`, `not an image: …`, `truncated: …`,
    `too many pixels: …`.
    """
    with _opened(source) as file:
        image = _read_header(file, max_pixels)
        _decode(image, file, short_side)
        orientation = 1 if image.format == "TIFF" else _orientation(image)  # Pillow turns a TIFF itself
    try:
        return _oriented(_to_srgb(image), orientation)
    except Exception as error:  # as in _read_header
        raise ImageError(f"not an image: {_reason(error)}") from error


def inspect_image(source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS) -> ImageInfo:
    """Decode an image as cheaply as its format allows, to know that it is whole, and how large.

    A JPEG is decoded at an eighth of its size, which reads all of its data. Raises ImageError as
    `open_image` does.
    """
    with _opened(source) as file:
        image = _read_header(file, max_pixels)
        size = image.size
        _decode(image, file, 1)
    # Pillow turns a TIFF itself, and has told its turned size already.
    if image.format != "TIFF" and _orientation(image) >= 5:
        size = size[::-1]
    return ImageInfo(str(image.format), *size)


def _opened(source: Path | str | bytes) -> AbstractContextManager[BinaryIO]:
    if isinstance(source, bytes):
        return nullcontext(io.BytesIO(source))
    try:
        file = Path(source).open("rb")  # noqa: SIM115  (the caller closes it)
        if file.seekable():
            return file
        with file:  # a pipe
            return io.BytesIO(file.read())
    except (OSError, ValueError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> ImageError:
    return ImageError(f"cannot read: {getattr(error, 'strerror', None) or error}")


def _read_header(file: BinaryIO, max_pixels: int) -> ImageFile.ImageFile:
    try:
        head = file.read(_HEAD)
        file.seek(0)
    except OSError as error:
        raise _unreadable(error) from error
    name = sniff(head)
    try:
        # Pillow's decoders raise whatever hostile bytes lead them to, IndexError and struct.error included.
        image = _READERS[name](file)
    except Exception as error:
        raise ImageError(_broken(error, name, file, head)) from error
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"too many pixels: {width} x {height}, at most {max_pixels:,} are allowed")
    return image


def _decode(image: ImageFile.ImageFile, file: BinaryIO, short_side: int | None) -> None:
    try:
        if short_side is not None and image.format == "JPEG":
            image.draft(None, (short_side, short_side))
        image.load()
    except Exception as error:
        raise ImageError(_broken(error, str(image.format), file)) from error


def _broken(error: Exception, name: str, file: BinaryIO, head: bytes = b"") -> str:
    """`truncated: …` where the file ends too early, else `not an image: …`."""
    reason = _reason(error)
    early = isinstance(error, EOFError) or "truncated" in reason.lower() or "not large enough" in reason
    if name == "WEBP":
        # libwebp does not say why it fails; the container tells how long the file should be.
        file.seek(0)
        head = file.read(8)
        early = file.seek(0, io.SEEK_END) < int.from_bytes(head[4:8], "little") + 8
    if isinstance(error, Image.DecompressionBombError | MemoryError):
        return f"too many pixels: {reason}"
    return f"truncated: {reason}" if early else f"not an image: broken {name}: {reason}"


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _orientation(image: Image.Image) -> int:
    if not any(key in image.info for key in ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")):
        return 1
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # broken EXIF says nothing about the picture
        return 1


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _oriented(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _to_srgb(image: Image.Image) -> Image.Image:
    icc = image.info.get("icc_profile")
    flat = _flat(image)
    if icc:
        transform = _srgb_transform(icc, flat.mode)
        if transform is not None:
            return transform.apply(flat)
    if flat.mode == "LAB":
        return _lab_transform().apply(flat)
    return flat if flat.mode == "RGB" else flat.convert("RGB")


def _flat(image: Image.Image) -> Image.Image:
    """Without palette, alpha and depth: in mode L, RGB, CMYK or LAB."""
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return (
        image
        if image.mode in ("L", "RGB", "CMYK", "LAB")
        else image.convert("L" if image.mode == "1" else "RGB")
    )


def _eight_bits(image: Image.Image) -> Image.Image:
    """Integers and floats brought to 0…255; without a stated range, the least usual one that holds them."""
    import numpy as np  # few images need it, and every worker of a download would wait for it

    values = np.asarray(image).astype(np.float32)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).clip(0)
    most = float(values.max())
    if image.mode.startswith("I;16"):
        top = 65535.0
    else:
        usual = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0, 2.0**31)
        top = next((top for top in usual if most <= top), most)
    levels = np.rint(values * (255.0 / top)).astype(np.uint8)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(262) == 0:
        levels = 255 - levels  # WhiteIsZero, which Pillow heeds at 8 bits only
    return Image.fromarray(levels)


@functools.lru_cache(maxsize=256)
def _srgb_transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From an embedded profile to sRGB; None where that changes nothing, or the profile is not usable."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        if mode == "RGB" and ImageCms.getProfileDescription(profile).strip().lower().startswith("srgb"):
            return None
        return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        log.debug("an embedded colour profile is not used: %s", error)
        return None


@functools.lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
