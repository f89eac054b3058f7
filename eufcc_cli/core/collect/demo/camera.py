"""From a plan to a photograph: objects on a backdrop, shadow, light, lens and grain."""

import io
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from eufcc_cli.core.collect.demo.brush import SIZE, Pen
from eufcc_cli.core.collect.demo.catalogue import KINDS
from eufcc_cli.core.collect.demo.materials import noise_tile
from eufcc_cli.core.collect.demo.plan import Plan, Thing
from eufcc_cli.core.collect.demo.providers import Provider

Pixels = npt.NDArray[np.float32]
_QUALITY = 88


def photograph(plan: Plan) -> Image.Image:
    """The picture of a plan, RGB, SIZE x SIZE."""
    rng, provider = plan.rng("look"), plan.provider
    ground = rng.uniform(0.8, 0.86)
    picture = provider.backdrop(rng, rng.choice(provider.colours), ground)
    scale = rng.uniform(*provider.scale)
    if len(plan.things) == 1:
        places = [(0.5 + rng.uniform(-0.04, 0.04), scale)]
    else:
        first, second = (0.29, 0.73) if rng.random() < 0.5 else (0.73, 0.29)
        places = [(first, scale * 0.66), (second, scale * rng.uniform(0.52, 0.62))]
    for thing, (x, size) in zip(plan.things, places, strict=True):
        picture = _place(picture, rng, provider, thing, x, size, ground)
    if rng.random() < provider.ruler:
        _ruler(picture, rng)
    if rng.random() < provider.chart:
        _chart(picture)
    return _develop(picture, rng, provider)


def jpeg(plan: Plan, comment: str) -> bytes:
    """The photograph as a JPEG file."""
    file = io.BytesIO()
    photograph(plan).save(file, "JPEG", quality=_QUALITY, comment=comment)
    return file.getvalue()


def _place(
    picture: Pixels, rng: Random, provider: Provider, thing: Thing, x: float, size: float, ground: float
) -> Pixels:
    kind = KINDS[thing.kind]
    upright = kind.upright
    # An upright object's foot is half a unit below its centre.
    y = ground - 0.47 * size if upright else 0.5 + rng.uniform(-0.04, 0.04)
    angle = rng.uniform(-1, 1) * provider.angle * (0.4 if upright else 1)
    pen = Pen(rng, thing.made_of, (x, y), size, angle, provider.light)
    if kind.draw:
        kind.draw(pen, rng)
    elif kind.picture:
        kind.picture(pen, thing.scene)
    shadow = _shadow(pen.alpha, provider, upright)
    return (
        picture * (1 - provider.shadow * shadow * (1 - pen.alpha))[..., None] * (1 - pen.alpha)[..., None]
        + pen.rgb
    )


def _shadow(alpha: Pixels, provider: Provider, upright: bool) -> Pixels:
    """How much of the light each pixel of the ground lacks, in [0, 1]."""
    solid = Image.fromarray((np.minimum(alpha, 1) * 255).astype(np.uint8))
    if upright:
        rows = np.flatnonzero(alpha.max(axis=1) > 0.5)
        foot = int(rows[-1]) if len(rows) else SIZE - 1
        # Laid on the ground behind the object: flat, and sheared away from the light.
        lean, flat = provider.light[0] * 0.9, 4.5
        solid = solid.transform(
            (SIZE, SIZE),
            Image.Transform.AFFINE,
            (1, -lean * flat * 0.4, lean * flat * 0.4 * foot, 0, flat, foot * (1 - flat) + 3 * flat - 6),
        )
        soft = solid.filter(ImageFilter.GaussianBlur(SIZE * 0.02))
    else:
        shifted = Image.new("L", solid.size)
        shifted.paste(
            solid, (round(-provider.light[0] * SIZE * 0.03), round(-provider.light[1] * SIZE * 0.03))
        )
        soft = shifted.filter(ImageFilter.GaussianBlur(SIZE * 0.022))
    return np.asarray(soft, np.float32) / 255


def _ruler(picture: Pixels, rng: Random) -> None:
    top, left = SIZE - 11, rng.randint(6, SIZE // 2)
    wide = SIZE // 3
    picture[top : top + 7, left : left + wide] = (244, 242, 232)
    for n, x in enumerate(range(left + 2, left + wide, 4)):
        picture[top : top + (4 if n % 5 == 0 else 2), x] = (40, 40, 40)


_PATCHES = (
    (52, 52, 52),
    (128, 128, 128),
    (236, 236, 236),
    (196, 48, 44),
    (232, 196, 48),
    (60, 148, 74),
    (44, 92, 178),
)


def _chart(picture: Pixels) -> None:
    side = SIZE // 18
    for n, colour in enumerate(_PATCHES):
        left = SIZE - 4 - (len(_PATCHES) - n) * side
        picture[SIZE - 4 - side : SIZE - 4, left : left + side] = colour


_Y, _X = np.mgrid[-1 : 1 : 1j * SIZE, -1 : 1 : 1j * SIZE].astype(np.float32)  # type: ignore[misc]
_CORNERS = (np.clip((_X**2 + _Y**2) / 2, 0, 1) ** 1.3)[..., None]


def _develop(picture: Pixels, rng: Random, provider: Provider) -> Image.Image:
    exposure = rng.uniform(0.94, 1.06)
    tint = np.array(provider.tint, np.float32) * (provider.contrast * exposure)
    picture = picture * tint + 128 * (1 - provider.contrast)
    if rng.random() < provider.grey:
        picture = (picture @ np.array((0.3, 0.59, 0.11), np.float32))[..., None] * np.array(
            (1.03, 1.0, 0.94), np.float32
        )
    if provider.vignette:
        picture = picture * (1 - provider.vignette * _CORNERS)
    grain = noise_tile(rng, SIZE, SIZE)[:: rng.choice((1, -1)), :: rng.choice((1, -1))]
    picture = picture + (provider.noise * 2 * grain)[..., None]
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    if provider.blur:
        image = image.filter(ImageFilter.GaussianBlur(provider.blur))
    if rng.random() < provider.margin:
        edge = rng.randint(3, 7)
        ImageDraw.Draw(image).rectangle((0, 0, SIZE - 1, SIZE - 1), outline=(236, 232, 222), width=edge)
    return image
