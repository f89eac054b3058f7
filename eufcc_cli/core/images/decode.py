"""Untrusted image files, read safely: format and size are checked before decoding, colours converted."""

import io
import os
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    WebPImagePlugin,
)

from eufcc_cli.core.errors import DataError, ImageError, TooManyPixelsError
from eufcc_cli.core.images.colour import is_srgb, to_srgb
from eufcc_cli.core.images.formats import sniff
from eufcc_cli.core.images.jpeg import is_lossless, unsupported_kind
from eufcc_cli.core.images.png import PngImage

if TYPE_CHECKING:
    import numpy as np

MAX_PIXELS = 178_956_970
"""Where Pillow itself stops: a 512 MB image of three channels."""

# Each image's header is measured against max_pixels() instead.
Image.MAX_IMAGE_PIXELS = None
# Odd metadata, which Pillow warns of, does not matter.
warnings.filterwarnings("ignore", module=r"PIL\.")

_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImage,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
_HEAD = 1024
_IN_MEMORY = 16 << 20  # bytes of a file that is read at once


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Format and size of a file that is an image; width and height after its orientation."""

    format: str
    width: int
    height: int


def max_pixels() -> int:
    """Pixels of the largest image that is decoded: EUFCC_MAX_PIXELS, which worker processes inherit."""
    try:
        return int(os.environ.get("EUFCC_MAX_PIXELS") or MAX_PIXELS)
    except ValueError:
        raise DataError("max_pixels: EUFCC_MAX_PIXELS is no whole number") from None


def open_image(source: Path | str | bytes, *, short_side: int | None = None) -> Image.Image:
    """Read an image file (or its bytes) as 8-bit RGB in sRGB, upright.

    The first frame or page; EXIF orientation applied; an embedded ICC profile converted to sRGB; CMYK,
    16-bit and palette images converted; transparent parts shown over white. With `short_side`, a JPEG is
    decoded at the smallest eighth that keeps the short side at least that long (it is not resized).

    Raises ImageError with only the reason: `cannot read: …`, `not an image: …`, `truncated: …`,
    `too many pixels: …`.
    """
    with _opened(source) as file:
        image = _read_header(file)
        _reduce(image, file, short_side)
        _decode(image, file)
    return _upright_srgb(image)


def open_pixels(source: Path | str | bytes, *, short_side: int | None = None) -> "np.ndarray":
    """What `open_image` reads, as an array: uint8 [height, width, 4], RGB and an unused byte.

    A JPEG whose colours and orientation need no change is decoded by simplejpeg, without Pillow's copies:
    0.95 ms instead of 1.4, with resizing.
    Raises ImageError as `open_image` does.
    """
    import numpy as np  # slow to load for those who need no pixels

    with _opened(source) as file:
        image = _read_header(file)
        _reduce(image, file, short_side)
        pixels = _plain_pixels(image, file)
        if pixels is not None:
            return pixels
        _decode(image, file)
    looked_at = _upright_srgb(image)
    width, height = looked_at.size
    try:
        return np.frombuffer(looked_at.tobytes("raw", "RGBX"), np.uint8).reshape(height, width, 4)
    except MemoryError as error:
        raise TooManyPixelsError(f"too many pixels: {_reason(error)}") from error


def inspect_image(source: Path | str | bytes) -> ImageInfo:
    """Decode an image as cheaply as its format allows, to know that it is whole, and how large.

    A JPEG is decoded at an eighth of its size, which reads all of its data. Raises ImageError as
    `open_image` does.
    """
    with _opened(source) as file:
        image = _read_header(file)
        size = image.size
        _reduce(image, file, 1)
        _decode(image, file)
    if _orientation(image) >= 5:
        size = size[::-1]
    return ImageInfo(str(image.format), *size)


def _opened(source: Path | str | bytes) -> AbstractContextManager[BinaryIO]:
    if isinstance(source, bytes):
        return nullcontext(io.BytesIO(source))
    try:
        file = Path(source).open("rb")  # noqa: SIM115  (the caller closes it)
        if file.seekable() and os.fstat(file.fileno()).st_size > _IN_MEMORY:
            return file
        with file:  # a pipe, or a file whose parts would cost more than all of it
            return io.BytesIO(file.read())
    except (OSError, ValueError) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> ImageError:
    return ImageError(f"cannot read: {getattr(error, 'strerror', None) or error}")


def _read_header(file: BinaryIO) -> ImageFile.ImageFile:
    try:
        head = file.read(_HEAD)
        file.seek(0)
    except OSError as error:
        raise _unreadable(error) from error
    name = sniff(head)
    try:
        # Decoders raise whatever hostile bytes lead them to, IndexError and struct.error included.
        image = _reader(name)(file)
    except ImageError:
        raise
    except Exception as error:
        raise _broken(error, name, file, head) from error
    width, height = image.size
    if width * height > (most := max_pixels()):
        raise TooManyPixelsError(f"too many pixels: {width} x {height}, and EUFCC_MAX_PIXELS is {most:,}")
    return image


def _reader(name: str) -> type[ImageFile.ImageFile]:
    if name == "TIFF":
        from eufcc_cli.core.images.tiff import TiffImage  # slow to load, and few images are

        return TiffImage
    return _READERS[name]


def _reduce(image: ImageFile.ImageFile, file: BinaryIO, short_side: int | None) -> None:
    """Let a JPEG be decoded at the smallest eighth, a pyramid at the smallest level, with so long a side."""
    try:
        if short_side is None or image.format not in ("JPEG", "TIFF"):
            return
        if image.format == "TIFF" or not is_lossless(file):  # which has no eighths
            image.draft(None, (short_side, short_side))
    except Exception as error:
        raise _broken(error, str(image.format), file) from error


def _decode(image: ImageFile.ImageFile, file: BinaryIO) -> None:
    try:
        image.load()
    except ImageError:
        raise
    except Exception as error:
        raise _broken(error, str(image.format), file) from error


def _plain_pixels(image: ImageFile.ImageFile, file: BinaryIO) -> "np.ndarray | None":
    """A JPEG's pixels where decoding is all there is to do; None where Pillow has to do or to judge it."""
    if image.format != "JPEG" or not is_srgb(image) or _orientation(image) != 1:
        return None
    import simplejpeg

    try:
        file.seek(0)
        content, (width, height) = file.read(), image.size
        if simplejpeg.decode_jpeg_header(content, height, width)[:2] != (height, width):
            return None
        return simplejpeg.decode_jpeg(content, "RGBX", min_height=height, min_width=width)
    except OSError as error:
        raise _unreadable(error) from error
    except MemoryError as error:
        raise _broken(error, "JPEG", file) from error
    except Exception:  # for it, whatever is odd is an error; of 4:4:1 it does not even know the name
        return None


def _upright_srgb(image: Image.Image) -> Image.Image:
    try:
        orientation = _orientation(image)
        return _oriented(to_srgb(image), orientation)
    except Exception as error:  # as in _read_header
        raise ImageError(f"not an image: {_reason(error)}") from error


def _broken(error: Exception, name: str, file: BinaryIO, head: bytes = b"") -> ImageError:
    """The error of a damaged image: `truncated: …` if the file ends too early, else `not an image: …`."""
    reason = _reason(error)
    early = isinstance(error, EOFError) or "truncated" in reason.lower() or "not large enough" in reason
    if name == "WEBP":
        # libwebp does not say why it fails; the container has the length that the file should have.
        file.seek(0)
        head = file.read(8)
        early = file.seek(0, io.SEEK_END) < int.from_bytes(head[4:8], "little") + 8
    if isinstance(error, Image.DecompressionBombError | MemoryError):
        return TooManyPixelsError(f"too many pixels: {reason}")
    if early:
        return ImageError(f"truncated: {reason}")
    if name == "JPEG" and (kind := unsupported_kind(file)):
        return ImageError(f"unsupported JPEG: {kind}")
    return ImageError(f"not an image: broken {name}: {reason}")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":
        return int(image.orientation)  # type: ignore[attr-defined]
    if not any(key in image.info for key in ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")):
        return 1
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # an image with broken EXIF is still usable
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
