"""Pictures of the images under review for the browser: made on request, and cached."""

import hashlib
import io
import os
import threading
from collections import OrderedDict
from html import escape
from pathlib import Path

from PIL import Image

from eufcc_cli.core.errors import EufccError, ImageError
from eufcc_cli.core.files import write_bytes
from eufcc_cli.core.images.decode import open_image

SMALL, THUMBNAIL, LARGE = 256, 512, 1600
"""Pixels of the longer side, at most."""
_MEMORY = 256 << 20
"""Bytes of pictures that are held in memory."""


class Pictures:
    """Makes JPEG pictures of image files, a few at a time; safe to use from several threads.

    folder: where pictures are kept between reviews; None keeps them in memory only.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._at_once = threading.Semaphore(os.cpu_count() or 1)  # decoding a scan takes much memory

    def get(self, path: Path, side: int) -> bytes:
        """The image as JPEG, its longer side at most that long; raises ImageError with the reason."""
        key = _key(path, side)
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        with self._at_once:
            content = self._stored(key) or self._make(path, side, key)
        with self._lock:
            if key not in self._held:
                self._held[key] = content
                self._bytes += len(content)
            while self._bytes > _MEMORY:
                self._bytes -= len(self._held.popitem(last=False)[1])
        return content

    def _stored(self, key: str) -> bytes | None:
        try:
            return (self._folder / f"{key}.jpg").read_bytes() if self._folder else None
        except OSError:
            return None

    def _make(self, path: Path, side: int, key: str) -> bytes:
        content = encode(path, side)
        if self._folder and side <= THUMBNAIL:
            try:
                write_bytes(self._folder / f"{key}.jpg", content)
            except EufccError:  # a full or closed disk: they are made again next time
                self._folder = None
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
