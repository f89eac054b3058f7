"""The kind of a JPEG, from the header of its frame (ITU-T T.81, table B.1)."""

import io
from typing import BinaryIO

_LOSSLESS = frozenset((0xC3, 0xC7, 0xCB, 0xCF))
_HIERARCHICAL = frozenset((0xC5, 0xC6, 0xCD, 0xCE))
_LS = 0xF7
_NO_FRAMES = frozenset((0xC4, 0xC8, 0xCC))  # tables, and a reserved marker


def is_lossless(file: BinaryIO) -> bool:
    """Whether the JPEG is lossless: it cannot be decoded at a smaller size."""
    return _frame(file)[0] in _LOSSLESS


def unsupported_kind(file: BinaryIO) -> str | None:
    """The kind of a valid JPEG that cannot be decoded here."""
    marker, bits = _frame(file)
    if marker in _HIERARCHICAL:
        return "hierarchical"
    return "JPEG-LS" if marker == _LS else "12 bits a sample" if bits == 12 else None


def _frame(file: BinaryIO) -> tuple[int, int]:
    """The marker of the frame, and the bits per sample; (0, 0) if there is none."""
    file.seek(2)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF:
        if head[1] == _LS or (0xC0 <= head[1] <= 0xCF and head[1] not in _NO_FRAMES):
            return head[1], (file.read(1) or b"\0")[0]
        file.seek(int.from_bytes(head[2:], "big") - 2, io.SEEK_CUR)
    return 0, 0
