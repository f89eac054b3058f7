"""Resized pixels against Pillow's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from eufcc_cli.core.images import resize as resizing
from eufcc_cli.core.images.resize import resize

SIDES = st.integers(1, 200)


def noise(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width + 1000 * height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGBA"))


def difference(one: np.ndarray, other: Image.Image) -> np.ndarray:
    return np.abs(one[..., :3].astype(int) - np.asarray(other))


@settings(deadline=None)
@given(width=SIDES, height=SIDES, to=st.tuples(SIDES, SIDES), boxed=st.booleans())
@pytest.mark.parametrize(
    ("filter", "mean", "most"), [("nearest", 0, 0), ("bilinear", 1, 1), ("bicubic", 2, 60)]
)
def test_pixels_are_pillows(
    filter: resizing.Filter,
    mean: float,
    most: int,
    width: int,
    height: int,
    to: tuple[int, int],
    boxed: bool,
) -> None:
    image, short = noise(width, height), min(width, height)
    left, top = (width - short) / 2, (height - short) / 2
    box = (left, top, left + short, top + short) if boxed else None
    pillow = image.resize(to, Image.Resampling[filter.upper()], box, reducing_gap=3.0)
    found = difference(resize(pixels(image), to, filter, box), pillow)
    assert found.mean() <= mean  # of noise, where every filter overshoots
    assert found.max() <= most


@pytest.mark.parametrize("filter", ["bilinear", "bicubic", "lanczos"])
def test_a_smooth_picture_is_within_two_levels(filter: resizing.Filter) -> None:
    picture = noise(12, 9).resize((400, 300), Image.Resampling.BICUBIC)
    pillow = picture.resize((224, 168), Image.Resampling[filter.upper()])
    assert difference(resize(pixels(picture), (224, 168), filter), pillow).max() <= 2


def test_without_the_library_pillow_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    image = noise(400, 300)
    monkeypatch.setattr(resizing, "Resizer", None)
    found = resize(pixels(image), (128, 96))
    assert difference(found, image.resize((128, 96), Image.Resampling.BICUBIC)).max() == 0
