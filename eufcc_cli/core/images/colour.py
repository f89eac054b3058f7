"""Conversion of any mode to 8-bit RGB in sRGB: palettes, alpha, depth, print colours, profiles."""

import functools
import io
import itertools
import logging

from PIL import Image, ImageChops, ImageCms

_SAME = 4  # levels of 255 by which the usual sRGB profiles differ from each other
_STEPS = (0, 8, 16, 32, 64, 96, 128, 160, 192, 224, 240, 255)
_PROBE = Image.frombytes(
    "RGB", (len(_STEPS) ** 2, len(_STEPS)), bytes(itertools.chain(*itertools.product(_STEPS, repeat=3)))
)
"""Colours in all parts of the RGB cube, greys included."""

log = logging.getLogger("eufcc")


def to_srgb(image: Image.Image) -> Image.Image:
    """An image of any mode as RGB: transparent parts over white, an embedded profile converted to sRGB."""
    flat = _flat(image)
    transform = _transform(image, flat.mode)
    if transform is not None:
        return transform.apply(flat)
    if flat.mode == "LAB":
        return _lab_transform().apply(flat)
    shown = flat if flat.mode == "RGB" else flat.convert("RGB")
    gamma = image.info.get("gamma") if not {"srgb", "icc_profile"} & image.info.keys() else None
    return shown if gamma is None or not 0.1 < gamma < 10 else shown.point(_gamma_table(gamma) * 3)


@functools.lru_cache(maxsize=16)
def _gamma_table(gamma: float) -> list[int]:
    """sRGB levels for a PNG's gAMA; unchanged for 1 / 2.2, which programs write whatever the image is."""
    if abs(gamma * 2.2 - 1) < 0.05:
        return list(range(256))
    light = [float((level / 255) ** (1 / gamma)) for level in range(256)]
    return [round(255 * (12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055)) for v in light]


def is_srgb(image: Image.Image) -> bool:
    """True for RGB or grey images that need no colour conversion."""
    return image.mode in ("L", "RGB") and _transform(image, image.mode) is None


def _transform(image: Image.Image, mode: str) -> ImageCms.ImageCmsTransform | None:
    icc = image.info.get("icc_profile")
    return _srgb_transform(icc, mode) if icc else None


def _flat(image: Image.Image) -> Image.Image:
    """The image without palette, alpha and depth: in mode L, RGB, CMYK or LAB."""
    if image.mode.startswith("I"):
        return _eight_bits(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return (
        image
        if image.mode in ("L", "RGB", "CMYK", "LAB")
        else image.convert("L" if image.mode == "1" else "RGB")
    )


def _eight_bits(image: Image.Image) -> Image.Image:
    """A PNG's 16-bit grey in 0…255; its transparent grey becomes white."""
    import numpy as np  # slow to load in every worker of a download, and rarely needed

    values = np.asarray(image).astype(np.uint32)
    levels = ((values * 255 + 32767) // 65535).astype(np.uint8)
    clear = image.info.get("transparency")
    return Image.fromarray(levels if clear is None else np.where(values == clear, np.uint8(255), levels))


@functools.lru_cache(maxsize=256)
def _srgb_transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from an embedded profile to sRGB; None if it changes no colour, or is not usable."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
        if mode in ("RGB", "L"):
            probe = _PROBE.convert(mode)
            change = ImageChops.difference(transform.apply(probe), probe.convert("RGB"))
            if max(change.tobytes()) <= _SAME:
                return None
        return transform
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        log.debug("an embedded colour profile is not used: %s", error)
        return None


@functools.lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
