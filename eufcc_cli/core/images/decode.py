"""Safe decoding of untrusted image files: format and size are checked first, colours are converted."""

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
from eufcc_cli.core.images.image_formats import sniff
from eufcc_cli.core.images.jpeg import is_lossless, unsupported_kind
from eufcc_cli.core.images.png import PngImage

if TYPE_CHECKING:
    import numpy as np

MAX_PIXELS = 178_956_970
"""Pillow's own limit: a 512 MB image of three channels."""

# The header of each image is compared with max_pixels() instead.
Image.MAX_IMAGE_PIXELS = None
# Warnings about invalid metadata, which is ignored.
warnings.filterwarnings("ignore", module=r"PIL\.")

_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImage,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
_HEAD = 1024
_IN_MEMORY = 16 << 20  # bytes up to which a file is read completely


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Format and size of a file that is an image; width and height after its orientation."""

    format: str
    width: int
    height: int


def max_pixels() -> int:
    """The largest number of pixels of an image: EUFCC_MAX_PIXELS, which worker processes inherit."""
    try:
        return int(os.environ.get("EUFCC_MAX_PIXELS") or MAX_PIXELS)
    except ValueError:
        raise DataError("EUFCC_MAX_PIXELS is not a whole number") from None


def open_image(source: Path | str | bytes, *, short_side: int | None = None) -> Image.Image:
    """Read an image file (or its bytes) as 8-bit RGB in sRGB, upright.

    The first frame or page; EXIF orientation applied; an embedded ICC profile converted to sRGB; CMYK,
    16-bit and palette images converted; transparent parts shown over white. With `short_side`, a JPEG is
    decoded at the smallest multiple of an eighth whose shorter side is that long (it is not resized).

    Raises ImageError with the reason only: `cannot read: …`, `not an image: …`, `truncated: …`,
    `too many pixels: …`.
    """
    with _opened(source) as file:
        image = _read_header(file)
        _reduce(image, file, short_side)
        _decode(image, file)
    return _upright_srgb(image)


def open_pixels(source: Path | str | bytes, *, short_side: int | None = None) -> "np.ndarray":
    """As `open_image`, but an array: uint8 [height, width, 4], RGB and an unused byte.

    A JPEG whose colours and orientation need no change is decoded by simplejpeg, without Pillow's copies:
    0.95 ms instead of 1.4, with resizing. Raises ImageError as `open_image` does.
    """
    import numpy as np  # slow to load, and not needed for other functions

    with _opened(source) as file:
        image = _read_header(file)
        _reduce(image, file, short_side)
        pixels = _plain_pixels(image, file)
        if pixels is not None:
            return pixels
        _decode(image, file)
    upright = _upright_srgb(image)
    width, height = upright.size
    try:
        return np.frombuffer(upright.tobytes("raw", "RGBX"), np.uint8).reshape(height, width, 4)
    except MemoryError as error:
        raise TooManyPixelsError(f"too many pixels: {_reason(error)}") from error


def inspect_image(source: Path | str | bytes) -> ImageInfo:
    """Decode an image to check that it is complete, and return its size.

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
        file = open(source, "rb")  # noqa: PTH123, SIM115  (a Path takes time; the caller closes it)
        if file.seekable() and os.fstat(file.fileno()).st_size > _IN_MEMORY:
            return file
        with file:  # a pipe, or a file so small that it is faster to read all of it
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
        # On invalid data, decoders raise any kind of error, IndexError and struct.error included.
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
        from eufcc_cli.core.images.tiff import TiffImage  # slow to load, and rarely needed

        return TiffImage
    return _READERS[name]


def _reduce(image: ImageFile.ImageFile, file: BinaryIO, short_side: int | None) -> None:
    """Choose the smallest scale of a JPEG, or level of a pyramid, with a shorter side of this length."""
    try:
        if short_side is None or image.format not in ("JPEG", "TIFF"):
            return
        if image.format == "TIFF" or not is_lossless(file):  # which cannot be scaled
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
    """The pixels of a JPEG that needs no conversion; None if Pillow must decode or reject it."""
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
    except Exception:  # it rejects unusual files, such as 4:4:1 subsampling, which Pillow may read
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
        # libwebp gives no reason; the container holds the length of the file.
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
    except Exception:  # an image with invalid EXIF is still usable
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
