"""TIFF in all its layouts, by tifffile and imagecodecs, as 8-bit pixels in one of Pillow's modes.

Pillow reads a few dozen of the thousands of combinations that TIFF allows, and some of them wrongly. A file
that cannot be decoded reliably is an error that names the reason.
"""

import logging
import math
from typing import BinaryIO, cast

import numpy as np
import tifffile
from PIL import Image, ImageFile
from tifffile import COMPRESSION, PHOTOMETRIC, TiffPage

from eufcc_cli.core.errors import ImageError

logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)  # invalid metadata is ignored

_MODES = {
    PHOTOMETRIC.MINISWHITE: ("L", 1),
    PHOTOMETRIC.MINISBLACK: ("L", 1),
    PHOTOMETRIC.RGB: ("RGB", 3),
    PHOTOMETRIC.PALETTE: ("RGB", 1),
    PHOTOMETRIC.SEPARATED: ("CMYK", 4),
    PHOTOMETRIC.YCBCR: ("RGB", 3),
    PHOTOMETRIC.CIELAB: ("LAB", 3),
    PHOTOMETRIC.ICCLAB: ("LAB", 3),
}
"""The meaning of samples: Pillow's mode, and how many of them are colours."""
_COMPRESSIONS = frozenset(
    (1, 2, 3, 4, 5, 7, 8, 32773, 32946, 33005, 34712, 34887, 34925, 34927, 34934, 50000, 50001, 50002)
)
_JPEG = 7
_WHITE = {"L": (255,), "RGB": (255, 255, 255), "CMYK": (0, 0, 0, 0), "LAB": (255, 128, 128)}
_MOST_BYTES = 32  # of one pixel, with all its samples


class TiffImage(ImageFile.ImageFile):
    """The picture of a TIFF file: its first page that is neither a thumbnail nor a mask."""

    format = "TIFF"
    format_description = "TIFF"

    def _open(self) -> None:
        self._file = cast(BinaryIO, self.fp)
        tiff = tifffile.TiffFile(self._file)
        self._page: TiffPage | None = _picture(tiff)
        self._smaller = _smaller(tiff, self._page)
        _check(self._page)
        self._size = (self._page.imagewidth, self._page.imagelength)
        self._mode = _MODES[PHOTOMETRIC(self._page.photometric)][0]
        self.orientation = _number(self._page, 274, 1)
        if (profile := self._page.tags.get(34675)) is not None:
            self.info["icc_profile"] = bytes(profile.value)

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> None:
        """Use the smallest level of a pyramid whose sides are at least that long."""
        for page in self._smaller:
            if size and min(page.imagewidth, page.imagelength) >= min(size):
                self._page, self._size = page, (page.imagewidth, page.imagelength)

    def load(self) -> "Image.core.PixelAccess | None":
        if self._page is not None:
            page, self._page = self._page, None
            _check(page)
            image = _decoded(page)
            self.im, self._mode = image.im, image.mode
        return Image.Image.load(self)


def _picture(tiff: tifffile.TiffFile) -> TiffPage:
    """The first page of full size: others are flagged as reduced (bit 0) or as masks (bit 2)."""
    for page in tiff.pages:
        if isinstance(page, TiffPage) and not page.subfiletype & 0b101:
            return page
    return tiff.pages.first


def _smaller(tiff: tifffile.TiffFile, full: TiffPage) -> list[TiffPage]:
    """The lower levels of a pyramid, largest first: reduced pages, or subpages, of the same shape."""
    levels = []
    for page in (*tiff.pages, *(full.pages or ())):
        if not isinstance(page, TiffPage) or not page.subfiletype & 1 or page.subfiletype & 4:
            continue
        scale = full.imagewidth / max(1, page.imagewidth)
        same_shape = abs(full.imagelength / scale - page.imagelength) <= 1
        if scale > 1 and same_shape and page.photometric == full.photometric:
            levels.append(page)
    return sorted(levels, key=lambda page: -page.imagewidth)


def _check(page: TiffPage) -> None:
    """Raise ImageError for a page that cannot be decoded reliably, or whose data is incomplete."""
    if problem := _unsupported(page):
        raise ImageError(f"unsupported TIFF: {problem}")
    if page.samplesperpixel * max(1, page.bitspersample // 8) > _MOST_BYTES:
        raise ImageError(f"unsupported TIFF: {page.samplesperpixel} samples of {page.bitspersample} bits")
    size = page.parent.filehandle.size
    parts = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    missing = math.prod(page.chunked) - len(parts)
    missing += sum(count <= 0 or offset <= 0 or offset + count > size for offset, count in parts)
    if missing > 0:
        raise ImageError(f"truncated: {missing} of {math.prod(page.chunked)} strips or tiles are missing")
    if page.is_tiled and page.tilewidth * page.tilelength > max(1 << 24, page.imagewidth * page.imagelength):
        raise ImageError("unsupported TIFF: tiles larger than the picture")


def _unsupported(page: TiffPage) -> str | None:
    compression, bits = int(page.compression), page.bitspersample
    if compression not in _COMPRESSIONS:
        return f"compression {_name(COMPRESSION, compression)}"
    photometric = int(page.photometric)
    if photometric not in _MODES:
        return f"photometric interpretation {_name(PHOTOMETRIC, photometric)}"
    mode, colours = _MODES[PHOTOMETRIC(photometric)]
    if page.dtype is None or page.dtype.kind == "c":
        return f"samples of {bits} bits in format {page.sampleformat}"
    if mode == "CMYK" and _number(page, 332, 1) != 1:
        return "inks that are not CMYK"
    if page.imagedepth > 1:
        return f"a volume, {page.imagedepth} deep"
    samples, extra = page.samplesperpixel, len(page.extrasamples)
    if samples < colours or (mode == "L" and samples > 2 and not extra):
        return f"{samples} samples a pixel as {PHOTOMETRIC(photometric).name}"
    if mode == "L" and samples - colours > 1:
        return f"{samples} channels that are no colours (multispectral)"
    if mode == "LAB" and (bits not in (8, 16) or page.dtype.kind == "f"):
        return f"L*a*b* of {bits} bits"
    if photometric == PHOTOMETRIC.PALETTE and (bits > 16 or page.colormap is None):
        return f"a palette of {bits} bits"
    if photometric == PHOTOMETRIC.YCBCR and compression != _JPEG:
        if page.is_subsampled or bits != 8:
            return f"YCbCr of {bits} bits, subsampled, without JPEG"
        if compression in (33005, 34712, 34927, 34934, 50001, 50002):
            return f"YCbCr in {_name(COMPRESSION, compression)}"
    return None


def _name(names: type, value: int) -> str:
    try:
        return f"{names(value).name} ({value})"
    except ValueError:
        return str(value)


def _number(page: TiffPage, code: int, default: int) -> int:
    try:
        return int(page.tags[code].value)
    except (KeyError, TypeError, ValueError):
        return default


def _decoded(page: TiffPage) -> Image.Image:
    values = page.asarray(maxworkers=1)
    separate, _, height, width, _ = page.shaped
    # [samples, 1, height, width, 1] or [1, 1, height, width, samples], by the file's layout
    values = values.reshape(page.shaped)
    values = np.moveaxis(values[:, 0, :, :, 0], 0, -1) if separate > 1 else values[0, 0]
    mode, colours = _MODES[PHOTOMETRIC(page.photometric)]
    alpha = [int(kind) for kind in page.extrasamples[:1]] if values.shape[-1] > colours else []
    colour, rest = values[..., :colours], values[..., colours : colours + 1]
    match page.photometric:
        case PHOTOMETRIC.PALETTE:
            levels = _through_palette(colour[..., 0], page)
        case PHOTOMETRIC.CIELAB | PHOTOMETRIC.ICCLAB:
            levels = _lab(colour, page)
        case PHOTOMETRIC.YCBCR if page.compression != _JPEG:
            levels = _from_ycbcr(colour, page)
        case _:
            levels = _eight_bits(colour, page.bitspersample)
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        levels = 255 - levels
    if alpha and alpha[0] in (1, 2):
        levels = _over_white(levels, _eight_bits(rest, page.bitspersample), mode, alpha[0] == 1)
    pixels = np.ascontiguousarray(levels[..., 0] if mode == "L" else levels)
    if mode == "LAB":
        pixels[..., 1:] ^= 128  # Pillow uses signed numbers
    return Image.frombytes(mode, (width, height), pixels.tobytes())


def _eight_bits(values: np.ndarray, bits: int) -> np.ndarray:
    """Samples as 0…255: integers by their bits, negative ones as 0.

    Floats, and integers of more than 16 bits, by the smallest usual range that holds them all. ImageError if
    no value is finite.
    """
    kind = values.dtype.kind
    if kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if kind in "ui" and bits <= 16:
        if bits == 8 and kind == "u":
            return values.astype(np.uint8, copy=False)
        top = (1 << (bits - (kind == "i"))) - 1
        levels = np.rint(np.arange(top + 1) * (255.0 / top)).astype(np.uint8)
        return levels[np.clip(values, 0, top)]
    numbers = values.astype(np.float32 if kind == "f" and bits <= 32 else np.float64)
    finite = np.isfinite(numbers)
    if not finite.any():
        raise ImageError("unsupported TIFF: none of its numbers is finite")
    numbers[~finite] = 0
    most = float(numbers.max())
    usual = (1.0, 255.0, 65535.0) if kind == "f" else (255.0, 65535.0, 2.0 ** (bits - (kind == "i")) - 1)
    highest = next((top for top in usual if most <= top), most)
    return np.rint(numbers.clip(0) * (255.0 / highest)).astype(np.uint8)


def _through_palette(values: np.ndarray, page: TiffPage) -> np.ndarray:
    colours = np.asarray(page.colormap).astype(np.uint32)  # [3, 2 ** bits], of 16 bits
    if colours.max(initial=0) < 256:  # some programs write 8 bits
        colours = colours * 257
    table = (colours >> 8).astype(np.uint8).T  # some multiply by 256, others by 257
    if values.max(initial=0) >= len(table):
        raise ImageError(f"unsupported TIFF: colours beyond its palette of {len(table)}")
    return table[values]


def _lab(values: np.ndarray, page: TiffPage) -> np.ndarray:
    """L*a*b* as in Pillow: L* of 0…100 as 0…255, a* and b* with 128 added."""
    if page.bitspersample == 16:
        if page.photometric == PHOTOMETRIC.CIELAB:
            lightness = _eight_bits(values[..., :1].view(np.uint16), 16)
            shifted = np.rint(values[..., 1:].view(np.int16) / 256.0) + 128
        else:  # as profiles encode it: 100 is 0xff00, 0 is 0x8000
            lightness = np.rint(values[..., :1].view(np.uint16) * (255.0 / 0xFF00)).clip(0, 255)
            shifted = np.rint(values[..., 1:].view(np.uint16) / 256.0)
        return np.concatenate([lightness, shifted.clip(0, 255)], axis=-1).astype(np.uint8)
    values = values.view(np.uint8).copy()
    if page.photometric == PHOTOMETRIC.CIELAB:
        values[..., 1:] ^= 128  # signed
    return values


def _from_ycbcr(values: np.ndarray, page: TiffPage) -> np.ndarray:
    """YCbCr of 8 bits as RGB, by the file's coefficients and reference values (TIFF 6.0, section 21)."""
    red, green, blue = _fractions(page, 529, (0.299, 0.587, 0.114))
    reference = _fractions(page, 532, (0, 255, 128, 255, 128, 255))
    black, white = reference[::2], reference[1::2]
    ranges = (255, 127, 127)
    y, cb, cr = (
        (values[..., i].astype(np.float32) - black[i]) * (ranges[i] / (white[i] - black[i])) for i in range(3)
    )
    r, b = cr * (2 - 2 * red) + y, cb * (2 - 2 * blue) + y
    g = (y - blue * b - red * r) / green
    return np.rint(np.stack([r, g, b], axis=-1)).clip(0, 255).astype(np.uint8)


def _fractions(page: TiffPage, code: int, default: tuple[float, ...]) -> tuple[float, ...]:
    tag = page.tags.get(code)
    if tag is None:
        return default
    parts = tuple(float(part) for part in tag.value)
    if len(parts) == len(default):
        return parts
    return tuple(over / under for over, under in zip(parts[::2], parts[1::2], strict=True))


def _over_white(levels: np.ndarray, alpha: np.ndarray, mode: str, premultiplied: bool) -> np.ndarray:
    """The picture over white."""
    white = np.array(_WHITE[mode], np.uint16)
    shown = levels.astype(np.uint16) * (255 if premultiplied else alpha.astype(np.uint16))
    behind = white * (255 - alpha.astype(np.uint16))
    total = shown.astype(np.uint32) + behind
    return ((total + 127) // 255).clip(0, 255).astype(np.uint8)
