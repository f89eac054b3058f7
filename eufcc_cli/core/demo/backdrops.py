"""What objects are photographed on: backdrops [3, SIZE, SIZE] in 0..255, before the camera adds its own."""

import functools
from collections.abc import Callable
from random import Random

import numpy as np

from eufcc_cli.core.demo.brush import SIZE
from eufcc_cli.core.demo.materials import Pixels, material, noise_tile

Colour = tuple[int, int, int]
Backdrop = Callable[[Random, Colour, float], Pixels]
"""(rng, colour, height of the ground line in 0..1) -> pixels."""

_Y, _X = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE


def _tone(colour: Colour, factor: Pixels) -> Pixels:
    return np.array(colour, np.float32).reshape(3, 1, 1) * factor


def _blend(below: Pixels, above: Pixels, share: Pixels) -> Pixels:
    share = np.clip(share, 0, 1)
    return below + (above - below) * share


@functools.cache
def _spot(x: float, y: float, wide: float) -> Pixels:
    return np.exp(-(((_X - x) ** 2 + (_Y - y) ** 2) / wide**2)).astype(np.float32)


def plain(rng: Random, colour: Colour, ground: float) -> Pixels:
    """A sheet of coloured paper, a little brighter in the middle."""
    return _tone(colour, 0.9 + 0.12 * _spot(0.5, 0.45, 0.6) + 0.012 * noise_tile(rng, SIZE, SIZE))


def sweep(rng: Random, colour: Colour, ground: float) -> Pixels:
    """A studio sweep: wall and floor of one paper, bent softly."""
    bend = np.clip((_Y - ground + 0.12) / 0.16, 0, 1)
    return _tone(
        colour,
        0.72 + 0.3 * _spot(0.5, 0.35, 0.55) + 0.22 * bend * (1.5 - _Y) + 0.01 * noise_tile(rng, SIZE, SIZE),
    )


def tabletop(rng: Random, colour: Colour, ground: float) -> Pixels:
    """A wooden table before a plain wall."""
    wall = _tone(colour, 0.78 + 0.25 * _spot(0.4, 0.3, 0.6))
    wood = material("oak").texture(rng).swapaxes(1, 2) * (0.62 + 0.35 * _Y)
    edge = ground - 0.1
    return _blend(wall, wood, (_Y - edge) * SIZE + 0.5) * (1 - 0.35 * np.exp(-(((_Y - edge) / 0.012) ** 2)))


def drapery(rng: Random, colour: Colour, ground: float) -> Pixels:
    """A cloth in folds."""
    bent = noise_tile(rng, SIZE, SIZE)
    phase = rng.random() * 6
    folds = np.sin(18 * _X + 5 * _Y + phase + 1.2 * np.sin(5 * _Y + phase)) * 0.16 + 0.08 * np.sin(
        41 * _X - 7 * _Y
    )
    return _tone(colour, 0.86 + folds + 0.03 * bent)


def squared(rng: Random, colour: Colour, ground: float) -> Pixels:
    """Paper with a grid of squares."""
    step = SIZE // 12
    start = rng.randrange(step)
    lines = np.zeros(SIZE, np.float32)
    lines[start::step] = 1
    grid = np.maximum(lines[:, None], lines[None, :])
    return _tone(colour, 0.97 - 0.2 * grid + 0.012 * noise_tile(rng, SIZE, SIZE))


def gallery(rng: Random, colour: Colour, ground: float) -> Pixels:
    """A white wall over a parquet floor."""
    wall = _tone(colour, 0.86 + 0.14 * _spot(0.5, 0.3, 0.5))
    floor = material("walnut").texture(rng).swapaxes(1, 2) * (0.9 + 0.5 * _Y)
    skirting = ground - 0.08
    room = _blend(wall, floor, (_Y - skirting) * SIZE + 0.5)
    return _blend(
        room, _tone((246, 246, 244), 0.95 + 0 * _Y), 0.5 + (0.025 - abs(_Y - skirting + 0.02)) * SIZE
    )


def plinth(rng: Random, colour: Colour, ground: float) -> Pixels:
    """A white block in front of a dim wall."""
    wall = _tone(colour, 0.55 + 0.45 * _spot(0.5, 0.4, 0.5))
    top, half = ground - 0.07, 0.36
    block = _tone((226, 224, 220), 0.98 - 0.22 * (ground + 0.03 < _Y) - 0.1 * (_X - 0.5))
    inside = np.minimum((_Y - top) * SIZE, (half - abs(_X - 0.5)) * SIZE) + 0.5
    return _blend(wall, block, inside)


def linen(rng: Random, colour: Colour, ground: float) -> Pixels:
    """A coarse woven cloth, laid flat."""
    weave = np.sin(_X * SIZE * 1.6) * np.sin(_Y * SIZE * 1.6)
    return _tone(
        colour, 0.9 + 0.07 * weave + 0.04 * noise_tile(rng, SIZE, SIZE) + 0.08 * _spot(0.4, 0.4, 0.6)
    )


def shelf(rng: Random, colour: Colour, ground: float) -> Pixels:
    """A cabinet: a dark back, a board below and one above."""
    back = _tone(colour, 0.62 + 0.5 * _spot(0.5, 0.5, 0.5))
    board = material("pine").texture(rng).swapaxes(1, 2) * (0.6 + 0.25 * _X)
    share = np.maximum((_Y - ground + 0.06) * SIZE, (0.05 - _Y) * SIZE) + 0.5
    return _blend(back * (1 - 0.5 * np.exp(-_Y * 9)), board, share)


def bricks(rng: Random, colour: Colour, ground: float) -> Pixels:
    """A brick wall."""
    rows = _Y * 11 + rng.random()
    columns = _X * 5 + 0.5 * (np.floor(rows) % 2) + rng.random()
    mortar = np.maximum((rows % 1) < 0.14, (columns % 1) < 0.07)
    each = np.sin(np.floor(rows) * 12.9 + np.floor(columns) * 78.2) * 43758.5
    body = _tone(colour, 0.88 + 0.18 * (each % 1) + 0.1 * noise_tile(rng, SIZE, SIZE))
    return _blend(
        body, _tone((196, 182, 170), 0.9 + 0.05 * noise_tile(rng, SIZE, SIZE)), mortar.astype(np.float32)
    )


def spotlight(rng: Random, colour: Colour, ground: float) -> Pixels:
    """A black room with one lamp."""
    x = rng.uniform(0.35, 0.65)
    beam = np.exp(-(((_X - x) ** 2) / 0.12 + ((_Y - 0.6) ** 2) / 0.2))
    return _tone(colour, 0.22 + 0.7 * beam)


def tiles(rng: Random, colour: Colour, ground: float) -> Pixels:
    """A chequered floor seen from above."""
    step = rng.uniform(5, 7)
    turn = rng.uniform(0.2, 1.2)
    u, v = _X * np.cos(turn) + _Y * np.sin(turn), _Y * np.cos(turn) - _X * np.sin(turn)
    dark = ((np.floor(u * step + rng.random()) + np.floor(v * step)) % 2).astype(np.float32)
    return _tone(colour, 1.0 - 0.42 * dark + 0.04 * noise_tile(rng, SIZE, SIZE))
