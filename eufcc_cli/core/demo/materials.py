"""The materials of drawn objects: a colour texture, and how the surface reflects light."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.floating]

_SIDE = 128
_CROPS = 8
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """Textures [crops, 3, side, side] in 0..255; `ramp` (factor) and `gleam` (added) by 256 steps of light.

    `clear` above 0 is the opacity of a transparent material seen at a right angle.
    """

    textures: Pixels
    ramp: Pixels
    gleam: Pixels
    clear: float = 0.0

    def texture(self, rng: Random) -> Pixels:
        """One of the crops, mirrored at random."""
        crop = self.textures[rng.randrange(len(self.textures))]
        return crop[:, :: rng.choice((1, -1)), :: rng.choice((1, -1))]


_FACING = np.linspace(-1, 1, 256, dtype=np.float32)


def _bump(centre: float, width: float) -> Pixels:
    return np.exp(-(((_FACING - centre) / width) ** 2)).astype(np.float32)


def _matte(depth: float = 0.45) -> tuple[Pixels, Pixels]:
    return (0.95 + depth * _FACING - 0.12 * depth * _FACING**2).astype(np.float32), 0 * _FACING


def _sheen(depth: float, gleam: float, at: float = 0.55, width: float = 0.16) -> tuple[Pixels, Pixels]:
    return _matte(depth)[0], gleam * _bump(at, width)


def _metal(gleam: float, dark: float = 0.35) -> tuple[Pixels, Pixels]:
    """Bands of dark and bright, as a polished surface mirrors a room."""
    ramp = (
        0.95
        + 0.4 * _FACING
        - dark * _bump(-0.45, 0.18)
        - 0.6 * dark * _bump(0.28, 0.1)
        + 0.25 * _bump(-0.85, 0.2)
    )
    return ramp.astype(np.float32), gleam * (_bump(0.55, 0.14) + 0.35 * _bump(-0.12, 0.08))


def _noise(rng: np.random.RandomState, across: float, down: float) -> Pixels:
    """Smooth noise around 0 with a given number of cells across and down."""
    cells = rng.rand(max(int(down), 1) + 3, max(int(across), 1) + 3).astype(np.float32) * 2 - 1
    image = Image.fromarray(cells).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    return np.asarray(image, np.float32)


_Y, _X = np.mgrid[0:_SIDE, 0:_SIDE].astype(np.float32) / _SIDE


def _tone(base: Colour, pattern: Pixels) -> Pixels:
    """The base colour made lighter and darker by a pattern around 0."""
    return np.array(base, np.float32).reshape(3, 1, 1) * (1 + pattern)


def _mix(a: Pixels, b: Pixels | Colour, share: Pixels) -> Pixels:
    share = np.clip(share, 0, 1)
    return a * (1 - share) + np.asarray(b, np.float32).reshape(3, *np.shape(b)[1:] or (1, 1)) * share


def _pick(rng: np.random.RandomState, *colours: Colour) -> Colour:
    return colours[rng.randint(len(colours))]


_Texture = Callable[[np.random.RandomState], Pixels]


def _plain(base: Colour, cloud: float = 0.05, grain: float = 0.02) -> _Texture:
    return lambda r: _tone(base, cloud * _noise(r, 4, 4) + grain * _noise(r, 90, 90))


def _bronze(r: np.random.RandomState) -> Pixels:
    body = _tone((138, 92, 48), 0.12 * _noise(r, 6, 6))
    return _mix(body, (82, 150, 122), 2.2 * (_noise(r, 9, 9) + _noise(r, 20, 20) * 0.6 - 0.12))


def _iron(r: np.random.RandomState) -> Pixels:
    body = _tone((88, 92, 100), 0.1 * _noise(r, 12, 12) + 0.05 * _noise(r, 80, 80))
    return _mix(body, (124, 68, 40), 1.8 * (_noise(r, 14, 14) - 0.45))


def _wood(base: Colour, rings: float, contrast: float, knots: int) -> _Texture:
    def texture(r: np.random.RandomState) -> Pixels:
        field = _X * rings + 0.9 * _noise(r, 3, 2) + 0.12 * _noise(r, 30, 4)
        for _ in range(knots):
            x, y = r.rand(2)
            away = ((_X - x) * 6) ** 2 + ((_Y - y) * 2.4) ** 2
            field += 2.2 * np.exp(-away * 2)
        grain = np.sin(2 * np.pi * field)
        return _tone(base, contrast * (grain * 0.7 - 0.3 * (grain > 0.75)) + 0.05 * _noise(r, 70, 8))

    return texture


def _silk(r: np.random.RandomState) -> Pixels:
    colour = _pick(
        r, (196, 40, 62), (44, 96, 178), (222, 174, 60), (110, 52, 142), (30, 130, 108), (226, 130, 150)
    )
    folds = 0.22 * np.sin(2 * np.pi * (_X * 3.5 + 0.8 * _noise(r, 3, 3))) + 0.1 * _noise(r, 12, 3)
    return _tone(colour, folds)


def _cotton(r: np.random.RandomState) -> Pixels:
    light = _tone((238, 232, 218), 0.03 * _noise(r, 60, 60))
    colour = _pick(r, (58, 92, 150), (186, 64, 58), (84, 132, 82), (90, 90, 96))
    period = _pick(r, (9, 0, 0), (13, 0, 0))[0]
    stripes = (np.sin(2 * np.pi * _X * period) > 0.25).astype(np.float32)
    if r.rand() < 0.5:
        stripes = 0.55 * (stripes + (np.sin(2 * np.pi * _Y * period) > 0.25))
    return _mix(light, colour, stripes * 0.9)


def _wool(r: np.random.RandomState) -> Pixels:
    colour = _pick(r, (86, 94, 120), (104, 112, 92), (134, 84, 72), (112, 112, 120), (72, 70, 76))
    knit = np.abs(np.sin(np.pi * (_X * 22))) * 0.5 + 0.5 * np.abs(
        np.sin(np.pi * (_Y * 26 + np.abs((_X * 22) % 1 - 0.5) * 1.2))
    )
    return _tone(colour, 0.42 * (knit - 0.6) + 0.1 * _noise(r, 50, 50))


def _velvet(r: np.random.RandomState) -> Pixels:
    colour = _pick(r, (96, 14, 34), (22, 44, 92), (18, 72, 50), (66, 22, 82))
    return _tone(colour, 0.2 * _noise(r, 8, 5) + 0.05 * _noise(r, 90, 90))


def _leather(r: np.random.RandomState) -> Pixels:
    colour = _pick(r, (142, 82, 44), (112, 60, 34), (164, 104, 62))
    creases = np.abs(_noise(r, 10, 10) + 0.5 * _noise(r, 24, 24))
    return _tone(colour, -0.22 * np.exp(-creases * 8) + 0.08 * _noise(r, 60, 60))


def _straw(r: np.random.RandomState) -> Pixels:
    weave = np.sin(2 * np.pi * (_X + _Y) * 13) * np.sin(2 * np.pi * (_X - _Y) * 13)
    return _tone((226, 190, 96), 0.3 * weave + 0.06 * _noise(r, 30, 30))


def _terracotta(r: np.random.RandomState) -> Pixels:
    body = _tone(
        (186, 98, 60), 0.09 * _noise(r, 5, 5) + 0.035 * np.sin(2 * np.pi * (_Y * 24 + 0.4 * _noise(r, 3, 3)))
    )
    if r.rand() < 0.5:
        for at in r.rand(2) * 0.5 + 0.25:
            body = _mix(body, (62, 36, 30), (np.abs(_Y - at) < 0.022).astype(np.float32) * 0.85)
    return body


def _porcelain(r: np.random.RandomState) -> Pixels:
    body = _tone((240, 243, 246), 0.02 * _noise(r, 4, 4))
    vine = np.abs(_noise(r, 9, 9) + 0.35 * np.sin(2 * np.pi * (_X * 5 + _Y * 2)))
    body = _mix(body, (32, 66, 160), 1.6 * np.exp(-((vine / 0.09) ** 2)))
    flowers = _noise(r, 16, 16)
    body = _mix(body, (44, 88, 186), 3 * (flowers - 0.42))
    for at in (0.3, 0.7):
        body = _mix(body, (32, 66, 160), (np.abs(_Y - at) < 0.012).astype(np.float32))
    return body


def _stoneware(r: np.random.RandomState) -> Pixels:
    glaze = _pick(r, (118, 148, 116), (96, 128, 132), (146, 150, 104))
    drip = 0.5 + 0.14 * _noise(r, 10, 1) + 0.05 * _noise(r, 24, 2)
    body = _tone((104, 74, 54), 0.1 * _noise(r, 40, 40))
    return _mix(body, _tone(glaze, 0.1 * _noise(r, 30, 30)), (drip - _Y) * 26 + 0.5)


def _glass(r: np.random.RandomState) -> Pixels:
    return _tone(
        _pick(r, (88, 182, 146), (96, 160, 212), (150, 124, 196), (176, 206, 214)), 0.08 * _noise(r, 3, 3)
    )


def _marble(r: np.random.RandomState) -> Pixels:
    veins = np.abs(_noise(r, 4, 4) + 0.5 * _noise(r, 9, 9) + 0.7 * (_X - _Y))
    return _mix(
        _tone((234, 231, 226), 0.03 * _noise(r, 5, 5)), (140, 142, 150), 0.9 * np.exp(-((veins / 0.07) ** 2))
    )


def _granite(r: np.random.RandomState) -> Pixels:
    body = _tone((128, 118, 122), 0.22 * _noise(r, 60, 60))
    return _mix(body, (62, 58, 66), 1.6 * (_noise(r, 80, 80) - 0.4))


def _canvas(r: np.random.RandomState) -> Pixels:
    return _tone((206, 190, 160), 0.08 * np.sin(_X * 260) * np.sin(_Y * 260))


# name: (texture, (ramp, gleam), opacity of a see-through material)
_RECIPES: dict[str, tuple[_Texture, tuple[Pixels, Pixels], float]] = {
    "gold": (_plain((226, 172, 48), 0.08), _metal(120), 0),
    "silver": (_plain((190, 196, 206), 0.07), _metal(110, 0.5), 0),
    "bronze": (_bronze, _metal(45, 0.2), 0),
    "iron": (_iron, _metal(55, 0.25), 0),
    "oak": (_wood((176, 118, 62), 13, 0.2, 0), _sheen(0.45, 18), 0),
    "walnut": (_wood((88, 52, 34), 11, 0.22, 0), _sheen(0.45, 30), 0),
    "pine": (_wood((228, 190, 128), 7, 0.16, 3), _matte(), 0),
    "straw": (_straw, _matte(0.4), 0),
    "silk": (_silk, _sheen(0.6, 70, 0.35, 0.22), 0),
    "cotton": (_cotton, _matte(0.4), 0),
    "wool": (_wool, _matte(0.35), 0),
    "velvet": (
        _velvet,
        ((0.85 + 0.25 * _FACING).astype(np.float32), (40 * _FACING**2).astype(np.float32)),
        0,
    ),
    "leather": (_leather, _sheen(0.5, 40, 0.45, 0.15), 0),
    "pearl": (_plain((240, 232, 228), 0.05), _sheen(0.5, 50, 0.5, 0.25), 0),
    "terracotta": (_terracotta, _matte(0.5), 0),
    "porcelain": (_porcelain, _sheen(0.4, 110, 0.6, 0.12), 0),
    "stoneware": (_stoneware, _sheen(0.5, 60, 0.55, 0.12), 0),
    "glass": (_glass, _sheen(0.5, 170, 0.6, 0.12), 0.34),
    "marble": (_marble, _sheen(0.42, 20), 0),
    "granite": (_granite, _matte(0.45), 0),
    "gemstone": (
        lambda r: _tone(_pick(r, (190, 20, 50), (20, 80, 190), (16, 140, 80)), 0.3 * _noise(r, 20, 20)),
        _sheen(0.6, 150, 0.55, 0.16),
        0,
    ),
    "paper": (_plain((238, 230, 210), 0.04), _matte(0.2), 0),
    "canvas": (_canvas, _matte(0.2), 0),
}


@functools.cache
def material(name: str) -> Material:
    """A material by its tag; its textures are the same in every process and for every seed."""
    texture, (ramp, gleam), clear = _RECIPES[name]
    # RandomState's streams are frozen by numpy; default_rng's may change between versions.
    rng = np.random.RandomState(sum(map(ord, name)))
    textures = np.stack([np.clip(texture(rng), 0, 255) for _ in range(_CROPS)]).astype(np.float32)
    return Material(textures, ramp.astype(np.float32), gleam.astype(np.float32), clear)


@functools.cache
def _noise_bank() -> Pixels:
    rng = np.random.RandomState(1)
    return np.stack([_noise(rng, 14, 14) * 0.6 + _noise(rng, 60, 60) * 0.5 for _ in range(4)])


def noise_tile(rng: Random, height: int, width: int) -> Pixels:
    """Smooth noise around 0, at most 128 pixels high and wide."""
    tile = _noise_bank()[rng.randrange(4)]
    top, left = rng.randint(0, _SIDE - height), rng.randint(0, _SIDE - width)
    return tile[top : top + height, left : left + width]
