"""Formats of image files: their endings, and how their content is recognised."""

from eufcc_cli.core.errors import ImageError

ENDINGS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "TIFF": ".tif", "BMP": ".bmp"}

_UNSUPPORTED = ".avif .heic .heif .j2k .jp2 .jpx .jxl"

FILE_ENDINGS = frozenset(f".jpg .jpeg .jpe .jfif .png .webp .gif .tif .tiff .bmp .dib {_UNSUPPORTED}".split())
"""Endings of image files, those of unsupported formats included: opening these is an error."""

_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    **dict.fromkeys((b"GIF87a", b"GIF89a"), "GIF"),
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF"),
    b"BM": "BMP",
}


def sniff(head: bytes) -> str:
    """The format of a file that begins with these bytes; ImageError, naming its kind, if it is not an image.

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
