"""An image's fingerprint: a perceptual hash and rough colours, in few bytes."""

import contextlib
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image

from eufcc_cli.core.errors import ImageError
from eufcc_cli.core.images.decode import open_image

_GRID = 4
FINGERPRINT_BYTES = 8 + 3 * _GRID**2


def fingerprint(image: tuple[str, Path]) -> str | None:
    """The fingerprint of an image's file, in hexadecimal digits; None if it cannot be read."""
    with contextlib.suppress(ImageError):
        return fingerprint_of(open_image(image[1], short_side=64))
    return None


def fingerprint_of(image: Image.Image) -> str:
    """pHash (8 bytes) and the colours of a 4 x 4 grid (48 bytes) of an RGB image, as hexadecimal digits."""
    bits = imagehash.phash(image).hash.reshape(-1)
    colours = image.resize((_GRID, _GRID), Image.Resampling.BOX)
    return (np.packbits(bits).tobytes() + colours.tobytes()).hex()
