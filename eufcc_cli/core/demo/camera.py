"""From a plan to a photograph: objects on a backdrop, shadow, light, lens and grain."""

import io
from random import Random

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from eufcc_cli.core.demo.brush import SIZE, Pen
from eufcc_cli.core.demo.materials import Pixels, noise_tile
from eufcc_cli.core.demo.objects import KINDS
from eufcc_cli.core.demo.picture_plan import Plan, Thing
from eufcc_cli.core.demo.providers import Place, Provider

_QUALITY = 88


def photograph(plan: Plan) -> Image.Image:
    """The picture of a plan, RGB, SIZE x SIZE."""
    rng, provider = plan.rng("look"), plan.provider
    ground = rng.uniform(0.83, 0.89)
    picture = provider.backdrop(rng, rng.choice(provider.colours), ground)
    scale = rng.uniform(*provider.scale)
    places = [(0.5 + rng.uniform(-0.04, 0.04), scale)]
    if len(plan.things) == 2:
        left, right = 0.28 + rng.uniform(-0.02, 0.02), 0.72 + rng.uniform(-0.02, 0.02)
        sizes = scale * rng.uniform(0.6, 0.7), scale * rng.uniform(0.55, 0.65)
        places = list(zip((left, right) if rng.random() < 0.5 else (right, left), sizes, strict=True))
    for thing, (x, size) in zip(plan.things, places, strict=True):
        picture = _place(picture, rng, provider, thing, x, size, ground)
    return _develop(picture, rng, provider)


def jpeg(plan: Plan, comment: str) -> bytes:
    """The photograph as a JPEG file."""
    file = io.BytesIO()
    photograph(plan).save(file, "JPEG", quality=_QUALITY, comment=comment)
    return file.getvalue()


def _place(
    picture: Pixels, rng: Random, provider: Provider, thing: Thing, x: float, size: float, ground: float
) -> Pixels:
    """The picture with one more object in it, and its shadow."""
    kind = KINDS[thing.kind]
    stands = provider.place is Place.STAND or (provider.place is Place.ROOM and not kind.hangs)
    angle = rng.uniform(-1, 1) * provider.angle * (0.3 if stands else 1)
    y = 0.5 if provider.place is Place.SURFACE else 0.45
    pen = Pen(rng, thing.made_of, (x, y + rng.uniform(-0.03, 0.03)), size, angle, provider.light)
    kind.draw(pen, rng, *([thing.scene] if thing.scene else []))
    rgb, alpha = pen.rgb, pen.alpha
    if stands:
        rows = np.flatnonzero(alpha.max(axis=1) > 0.3)
        fall = round(ground * SIZE) - int(rows[-1] if len(rows) else 0)
        rgb, alpha = _lowered(rgb, fall), _lowered(alpha, fall)
    through = 1 - alpha
    darkened = through * (1 - provider.shadow * _shadow(alpha, provider, stands, round(ground * SIZE)))
    return picture * darkened + rgb


def _lowered(layer: Pixels, by: int) -> Pixels:
    """A layer moved down by some rows (up if negative)."""
    moved = np.zeros_like(layer)
    if by >= 0:
        moved[..., by:, :] = layer[..., : SIZE - by, :]
    else:
        moved[..., :by, :] = layer[..., -by:, :]
    return moved


def _shadow(alpha: Pixels, provider: Provider, stands: bool, foot: int) -> Pixels:
    """How much of the light each pixel of the ground or wall lacks, in [0, 1]."""
    solid = Image.fromarray((alpha * 255).astype(np.uint8))
    light_x, light_y = provider.light
    if stands:
        # Laid on the ground behind the object: flattened, and leaning away from the light.
        flat, lean = 4.5, light_x * 1.6
        data = (1, -lean, lean * foot, 0, flat, (1 - flat) * foot + 2 * flat - 3)
        solid = solid.transform(solid.size, Image.Transform.AFFINE, data)
    else:
        away = round(light_x * SIZE * 0.03), round(light_y * SIZE * 0.03)
        solid = ImageChops.offset(solid, -away[0], -away[1])
    return np.asarray(solid.filter(ImageFilter.GaussianBlur(SIZE * 0.02)), np.float32) / 255


_Y, _X = np.mgrid[-1 : 1 : 1j * SIZE, -1 : 1 : 1j * SIZE].astype(np.float32)
_LUMINANCE = np.array((0.299, 0.587, 0.114), np.float32).reshape(3, 1, 1)
_CORNERS = np.clip((_X**2 + _Y**2) / 2, 0, 1) ** 1.3


def _develop(picture: Pixels, rng: Random, provider: Provider) -> Image.Image:
    """What lens, film and print make of it."""
    gain = provider.contrast * rng.uniform(0.95, 1.05)
    if rng.random() < provider.grey:
        picture = (_LUMINANCE * picture).sum(axis=0, keepdims=True)
    picture = picture * (np.array(provider.tint, np.float32) * gain).reshape(3, 1, 1)
    grain = noise_tile(rng, SIZE, SIZE)[:: rng.choice((1, -1)), :: rng.choice((1, -1))]
    picture += 128 * (1 - provider.contrast) + provider.noise * grain
    if provider.vignette:
        picture *= 1 - provider.vignette * _CORNERS
    image = Image.fromarray(
        np.minimum(np.maximum(picture, 0), 255).astype(np.uint8).transpose(1, 2, 0).copy()
    )
    if provider.blur:
        image = image.filter(ImageFilter.GaussianBlur(provider.blur))
    if rng.random() < provider.margin:
        edge = rng.randint(3, 7)
        ImageDraw.Draw(image).rectangle((0, 0, SIZE - 1, SIZE - 1), outline=(236, 232, 222), width=edge)
    return image
