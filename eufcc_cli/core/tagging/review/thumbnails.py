"""Pictures of the images under review for the browser, made on request; the browser keeps them."""

import hashlib
import io
import os
import threading
from contextlib import suppress
from html import escape
from pathlib import Path

from PIL import Image

from eufcc_cli.core.errors import EufccError, ImageError
from eufcc_cli.core.files import write_bytes
from eufcc_cli.core.images.decode import open_image

SMALL, THUMBNAIL, LARGE = 256, 512, 1600
"""Pixels of the longer side, at most."""


class Pictures:
    """Makes JPEG pictures of image files, a few in parallel, and saves small ones in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._parallel = threading.Semaphore(os.cpu_count() or 1)  # decoding a scan takes much memory

    def get(self, path: Path, side: int) -> bytes:
        """The image as JPEG, its longer side at most that long; raises ImageError with the reason."""
        saved = self._folder / f"{_key(path, side)}.jpg"
        with suppress(OSError):
            return saved.read_bytes()
        with self._parallel:
            content = encode(path, side)
        if side <= THUMBNAIL:
            with suppress(EufccError):  # a full or read-only disk: it is made again next time
                write_bytes(saved, content)
        return content


def encode(path: Path, side: int) -> bytes:
    """An image file as a JPEG in sRGB, upright, its longer side at most `side`; raises ImageError."""
    image = open_image(path, short_side=side)
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85, optimize=True, progressive=side > THUMBNAIL)
    return out.getvalue()


def _key(path: Path, side: int) -> str:
    """A name for the picture that changes when its file changes."""
    try:
        state = path.stat()
    except (OSError, ValueError) as error:
        raise ImageError(f"cannot read: {getattr(error, 'strerror', None) or error}") from error
    text = f"{os.path.abspath(path)}\n{state.st_mtime_ns}\n{state.st_size}\n{side}"  # noqa: PTH100
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def placeholder(reason: str) -> bytes:
    """A placeholder (SVG) for an image that cannot be shown, with the reason."""
    words, lines = reason.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 30:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    texts = "".join(
        f'<text x="256" y="{300 + 34 * i}" font-size="26">{escape(line[:40])}</text>'
        for i, line in enumerate(lines[:5])
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 512 512" width="512" height="512">'
        '<rect width="512" height="512" fill="#8883"/><g fill="none" stroke="#888" stroke-width="10">'
        '<rect x="176" y="120" width="160" height="120" rx="8"/><path d="M186 250 326 110"/></g>'
        f'<g fill="#888" text-anchor="middle" font-family="sans-serif">{texts}</g></svg>'
    ).encode()
