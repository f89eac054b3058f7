"""PNG by Pillow, also with damaged or very large texts and other chunks that decoding does not need."""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from PIL import PngImagePlugin

from eufcc_cli.core.errors import ImageError

_NEEDED = frozenset((b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"eXIf"))
"""Ancillary chunks that change the picture."""
_TEXT = 1 << 16  # bytes: a shorter text may hold the orientation
_HIGH_RANGE = {16: "PQ", 18: "HLG"}  # transfer functions of ITU-T H.273


class PngImage(PngImagePlugin.PngImageFile):
    """A PNG file."""

    def _open(self) -> None:
        file = cast(BinaryIO, self.fp)
        _check_range(file)
        try:
            super()._open()
        except Exception:  # in a text or another chunk that decoding does not need: read without them
            file.seek(0)
            self.fp = io.BytesIO(_without_extras(file.read()))
            super()._open()
        self._widen_transparent_grey()

    def _widen_transparent_grey(self) -> None:
        """Scale the transparent grey of 2 or 4 bits to 8, as Pillow does with the other greys."""
        grey = self.info.get("transparency")
        bits = {"L;2": 2, "L;4": 4}.get(str(self.tile[0].args)) if self.tile else None
        if bits and isinstance(grey, int):
            self.info["transparency"] = grey * 255 // (2**bits - 1)


def _check_range(file: BinaryIO) -> None:
    """Raise ImageError for a high dynamic range, which would be shown too dark and pale."""
    for kind, length in _chunks(file):
        if kind == b"cICP" and length == 4 and (name := _HIGH_RANGE.get(file.read(4)[1])):
            raise ImageError(f"unsupported PNG: high dynamic range ({name})")
    file.seek(0)


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Name and length of every chunk before the pixels; the file is then at its content."""
    file.seek(at := 8)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IDAT":
            return
        yield kind, length
        file.seek(at := at + 12 + length)


def _without_extras(content: bytes) -> bytes:
    """A PNG with only the chunks that change the picture: the critical ones, some others, short texts."""
    kept, at = [content[:8]], 8
    while at + 12 <= len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        end = at + 12 + length
        critical = not kind[0] & 0x20
        wanted = kind in _NEEDED or (kind == b"iTXt" and length < _TEXT)
        whole = content[end - 4 : end] == struct.pack(">I", zlib.crc32(content[at + 4 : end - 4]))
        if critical or (wanted and whole):
            kept.append(content[at:end])
        at = end
    return b"".join(kept)
