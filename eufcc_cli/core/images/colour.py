"""Pixels of any mode as 8-bit RGB in sRGB: palettes, alpha, depth, print colours and profiles."""

import functools
import io
import logging

from PIL import Image, ImageCms, TiffImagePlugin

log = logging.getLogger("eufcc")


def to_srgb(image: Image.Image) -> Image.Image:
    """An image of any mode as RGB: transparent parts over white, an embedded profile converted to sRGB."""
    flat = _flat(image)
    transform = _transform(image, flat.mode)
    if transform is not None:
        return transform.apply(flat)
    if flat.mode == "LAB":
        return _lab_transform().apply(flat)
    return flat if flat.mode == "RGB" else flat.convert("RGB")


def is_srgb(image: Image.Image) -> bool:
    """True where RGB, or the same grey in all three channels, is all that there is to an image's colours."""
    return image.mode in ("L", "RGB") and _transform(image, image.mode) is None


def _transform(image: Image.Image, mode: str) -> ImageCms.ImageCmsTransform | None:
    icc = image.info.get("icc_profile")
    return _srgb_transform(icc, mode) if icc else None


def _flat(image: Image.Image) -> Image.Image:
    """Without palette, alpha and depth: in mode L, RGB, CMYK or LAB."""
    if image.mode.startswith(("I", "F")):
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
    """Integers and floats brought to 0…255; without a stated range, the least usual one that holds them."""
    import numpy as np  # few images need it, and every worker of a download would wait for it

    values = np.asarray(image).astype(np.float32)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).clip(0)
    most = float(values.max())
    if image.mode.startswith("I;16"):
        top = 65535.0
    else:
        usual = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0, 2.0**31)
        top = next((top for top in usual if most <= top), most)
    levels = np.rint(values * (255.0 / top)).astype(np.uint8)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(262) == 0:
        levels = 255 - levels  # WhiteIsZero, which Pillow heeds at 8 bits only
    return Image.fromarray(levels)


@functools.lru_cache(maxsize=256)
def _srgb_transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From an embedded profile to sRGB; None where that changes nothing, or the profile is not usable."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        if mode == "RGB" and ImageCms.getProfileDescription(profile).strip().lower().startswith("srgb"):
            return None
        return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        log.debug("an embedded colour profile is not used: %s", error)
        return None


@functools.lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
