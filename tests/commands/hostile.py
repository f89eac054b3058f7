"""Images of every kind that collections hold, and files that only pretend to be images."""

import io
import os
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, TiffImagePlugin

Make = Callable[[], bytes]


def _picture(mode: str = "RGB", size: tuple[int, int] = (80, 60)) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    rgb = np.stack([x, y, (x + y) / 2], axis=-1)
    return Image.fromarray((rgb * 255).astype(np.uint8)).convert(mode)


def _bytes(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _saved(form: str, mode: str = "RGB", size: tuple[int, int] = (80, 60), **options: object) -> Make:
    return lambda: _bytes(_picture(mode, size), form, **options)


def _oriented(orientation: int) -> Make:
    def make() -> bytes:
        exif = Image.Exif()
        exif[0x0112] = orientation
        return _bytes(_picture(), "JPEG", exif=exif)

    return make


def _animated(form: str) -> Make:
    def make() -> bytes:
        frames = [_picture().rotate(90 * turn) for turn in range(3)]
        return _bytes(frames[0], form, save_all=True, append_images=frames[1:], duration=50)

    return make


def _deep(dtype: type, form: str) -> Make:
    def make() -> bytes:
        values = np.linspace(0, 60000 if dtype is np.uint16 else 1, 80 * 60).reshape(60, 80).astype(dtype)
        return _bytes(Image.fromarray(values), form)

    return make


def _palette_with_transparency() -> bytes:
    image = _picture().quantize(16)
    return _bytes(image, "PNG", transparency=3)


def _profiled(profile: str) -> Make:
    def make() -> bytes:
        icc = ImageCms.ImageCmsProfile(ImageCms.createProfile(profile)).tobytes()
        return _bytes(_picture(), "JPEG", icc_profile=icc)

    return make


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_of(width: int, height: int) -> bytes:
    """A PNG whose header promises so many pixels, and which is a few bytes long."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _gif_bomb() -> bytes:
    screen = struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\2\2\x4c\1\0;"
    return b"GIF89a" + screen + frame


def _half(make: Make) -> Make:
    return lambda: make()[: len(make()) // 2]


def _bad_checksum() -> bytes:
    content = bytearray(_saved("PNG")())
    content[content.index(b"IDAT") + 20] ^= 0xFF
    return bytes(content)


GOOD: dict[str, Make] = {
    "rgb.jpg": _saved("JPEG"),
    "progressive.jpg": _saved("JPEG", progressive=True),
    "grey.jpg": _saved("JPEG", "L"),
    "cmyk.jpg": _saved("JPEG", "CMYK"),
    "UPPER.JPEG": _saved("JPEG"),
    "large.jpg": _saved("JPEG", size=(3000, 2000)),
    **{f"orientation{n}.jpg": _oriented(n) for n in range(1, 9)},
    "orientation99.jpg": _oriented(99),
    "srgb profile.jpg": _profiled("sRGB"),
    "lab profile on rgb.jpg": _profiled("LAB"),
    "broken profile.jpg": _saved("JPEG", icc_profile=b"no profile"),
    "trailing bytes.jpg": lambda: _saved("JPEG")() + b"PK\3\4 something else",
    "rgb.png": _saved("PNG"),
    "rgba.png": _saved("PNG", "RGBA"),
    "grey alpha.png": _saved("PNG", "LA"),
    "palette.png": _saved("PNG", "P"),
    "palette transparent.png": _palette_with_transparency,
    "one bit.png": _saved("PNG", "1"),
    "16 bit.png": _deep(np.uint16, "PNG"),
    "interlaced.png": _saved("PNG", interlace=1),
    "animated.gif": _animated("GIF"),
    "still.gif": _saved("GIF"),
    "animated.webp": _animated("WEBP"),
    "lossless.webp": _saved("WEBP", lossless=True),
    "animated.png": _animated("PNG"),
    "pages.tif": _animated("TIFF"),
    "lzw.tiff": _saved("TIFF", compression="tiff_lzw"),
    "jpeg.tif": _saved("TIFF", compression="jpeg"),
    "cmyk.tif": _saved("TIFF", "CMYK"),
    "lab.tif": _saved("TIFF", "LAB"),
    "16 bit.tif": _deep(np.uint16, "TIFF"),
    "float.tif": _deep(np.float32, "TIFF"),
    "rgb.bmp": _saved("BMP"),
    "one pixel.png": _saved("PNG", size=(1, 1)),
    "very wide.png": _saved("PNG", size=(2000, 2)),
    "very tall.png": _saved("PNG", size=(2, 2000)),
    "name with 'quotes', commas; and \"more\".jpg": _saved("JPEG"),
    "café ñandú 日本.jpg": _saved("JPEG"),
    "new\nline.jpg": _saved("JPEG"),
    "really a png.jpg": _saved("PNG"),
}

BAD: dict[str, tuple[Make, str]] = {
    "empty.jpg": (lambda: b"", "empty"),
    "text.jpg": (lambda: b"This is a text about an image.\n" * 9, "not an image"),
    "page.jpg": (lambda: b"<!doctype html><title>404</title>", "HTML"),
    "drawing.png": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
    "document.tif": (lambda: b"%PDF-1.7\n" + bytes(100), "PDF"),
    "archive.jpg": (lambda: b"PK\3\4" + bytes(100), "not an image"),
    "random.jpg": (lambda: random.Random(0).randbytes(5000), "not an image"),
    "heic.jpg": (lambda: b"\0\0\0\x18ftypheic" + bytes(100), "unsupported"),
    "only a header.jpg": (lambda: _saved("JPEG")()[:20], ""),
    "truncated.jpg": (_half(_saved("JPEG", size=(400, 300))), "truncated"),
    "truncated.png": (_half(_saved("PNG", size=(400, 300))), "truncated"),
    "truncated.webp": (_half(_saved("WEBP", size=(400, 300))), "truncated"),
    "truncated.tif": (_half(_saved("TIFF", size=(400, 300))), ""),
    "bad checksum.png": (_bad_checksum, ""),
    "bomb.png": (lambda: _png_of(60_000, 60_000), "too many pixels"),
    "bomb.gif": (_gif_bomb, "too many pixels"),
    "short png.png": (lambda: _png_of(100, 100), ""),
}


def make_images(folder: Path) -> dict[str, str | None]:
    """Write them all; for each name the reason it is refused for (part of it), None for a good one."""
    folder.mkdir()
    TiffImagePlugin.WRITE_LIBTIFF = False
    expected: dict[str, str | None] = {}
    for name, make in GOOD.items():
        (folder / name).write_bytes(make())
        expected[name] = None
    for name, (make, reason) in BAD.items():
        (folder / name).write_bytes(make())
        expected[name] = reason
    (folder / "dangling.jpg").symlink_to(folder / "nowhere.jpg")
    expected["dangling.jpg"] = "no such file"
    os.mkfifo(folder / "pipe.jpg")
    return expected
