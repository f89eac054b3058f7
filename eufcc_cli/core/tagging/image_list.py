"""Lists of images as other programs write them: lines or names between NULs, in UTF-8 or UTF-16."""

import codecs
import locale
import os
from collections.abc import Iterator

_CHUNK = 1 << 16
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def read_list(descriptor: int, *, null: bool = False) -> Iterator[str]:
    """The entries of a list, each as soon as it arrives, read without a buffered file and its lock.

    Understood are a byte-order mark, UTF-16 (as PowerShell writes), lines that end in CR LF, names in quotes
    (as Windows copies paths) and, with `null` or where a NUL comes first, names between NULs
    (`find -print0`).
    """
    head = b""
    # A mark and the first name may come in pieces.
    while b"\n" not in head and not (len(head) >= 8 and b"\0" in head):
        if not (chunk := os.read(descriptor, _CHUNK)):
            break
        head += chunk
    encoding = _encoding(head, null)
    if encoding:
        decoder = codecs.getincrementaldecoder(encoding)("replace")

        def as_bytes(chunk: bytes) -> bytes:
            return decoder.decode(chunk).encode("utf-8", "surrogateescape")

        head = as_bytes(head)
    else:

        def as_bytes(chunk: bytes) -> bytes:
            return chunk

    rest = head.removeprefix(codecs.BOM_UTF8)
    end = b"\0" if null or b"\0" in rest else b"\n"
    while True:
        *entries, rest = rest.split(end)
        yield from (text for entry in entries if (text := _entry(entry, end)))
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            break
        rest += as_bytes(chunk)
    if text := _entry(rest, end):
        yield text


def _encoding(head: bytes, null: bool) -> str | None:
    """UTF-16 by its mark, or by the zeros between the letters of a path (unless NULs part the names)."""
    if head[:2] in _UTF16:
        return _UTF16[head[:2]]
    some = head[: min(len(head), 64) // 2 * 2]
    if null or len(some) < 8:
        return None
    if not any(some[1::2]) and all(some[::2]):
        return "utf-16-le"
    return "utf-16-be" if not any(some[::2]) and all(some[1::2]) else None


def _entry(raw: bytes, end: bytes) -> str:
    if end == b"\0":
        return _text(raw)
    text = _text(raw.rstrip(b"\r").removeprefix(codecs.BOM_UTF8))
    quoted = len(text) > 2 and text[0] == text[-1] == '"'
    return text[1:-1] if quoted and not os.path.lexists(text) else text


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:  # of the system's own encoding, or no text at all
        return raw.decode(locale.getencoding(), "replace") if os.name == "nt" else os.fsdecode(raw)
