"""Shapes in an object's own coordinates, and the pen that draws them in lit materials.

An object is centred at (0, 0), x to the right, y downwards, about one unit high or wide. Shapes are
arrays of points [n, 2]; the pen rotates, scales and moves them to pixels.
"""

import functools
import math
from collections.abc import Sequence
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from eufcc_cli.core.demo.materials import Material, Pixels, material

SIZE = 128
"""Pixels of a drawn picture's side; a JPEG of it can be decoded at half of this, for a network of 64."""

_FINE = 3  # masks are drawn at this scale and averaged, for smooth edges

Points = npt.NDArray[np.float64]


def shape(*points: tuple[float, float]) -> Points:
    """A polygon through the points."""
    return np.array(points, dtype=float)


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """An upright rectangle."""
    return shape((left, top), (right, top), (right, bottom), (left, bottom))


@functools.cache
def _circle(sides: int) -> Points:
    angle = np.arange(sides) * (2 * math.pi / sides)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def oval(x: float, y: float, rx: float, ry: float | None = None, sides: int = 40) -> Points:
    """An ellipse, or a regular polygon if `sides` is small."""
    return _circle(sides) * (rx, rx if ry is None else ry) + (x, y)


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float, steps: int = 24) -> Points:
    """An open arc from one angle to another, in degrees clockwise from the right."""
    angle = math.radians(start) + np.arange(steps) * (math.radians(end - start) / (steps - 1))
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def smooth(*points: tuple[float, float], closed: bool = True, steps: int = 8) -> Points:
    """A Catmull-Rom curve through the points."""
    knots = np.array(points, dtype=float)
    if closed:
        knots = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        knots = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    a, b, c, d = knots[:-3], knots[1:-2], knots[2:-1], knots[3:]
    t = (np.arange(steps) / steps)[:, None, None]
    curve = b + 0.5 * t * ((c - a) + t * ((2 * a - 5 * b + 4 * c - d) + t * (3 * (b - c) + d - a)))
    curve = curve.transpose(1, 0, 2).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, knots[-2:-1]])


def turned(*profile: tuple[float, float]) -> Points:
    """The outline of a body turned on a wheel or a lathe: (height, radius) from top to bottom."""
    right = smooth(*((radius, y) for y, radius in profile), closed=False)
    return np.concatenate([right, right[::-1] * (-1, 1)])


def stroke(path: Points | Sequence[tuple[float, float]], width: float, end: float | None = None) -> Points:
    """A band along an open path, from one width to another."""
    path = np.asarray(path, dtype=float)
    along = np.empty_like(path)
    along[1:-1] = path[2:] - path[:-2]
    along[0], along[-1] = path[1] - path[0], path[-1] - path[-2]
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    taper = 0.0 if end is None else (end - width) / (len(path) - 1)
    aside = along[:, ::-1] * (-1, 1) * ((width + taper * np.arange(len(path))) / 2)[:, None]
    return np.concatenate([path + aside, (path - aside)[::-1]])


def mirrored(points: Points) -> Points:
    """The shape's mirror image, left for right."""
    return points * (-1, 1)


def planes(image: Image.Image) -> Pixels:
    """An RGB image as [3, height, width] in 0..255: planes, since numpy is slow over short last axes."""
    return np.asarray(image, np.float32).transpose(2, 0, 1)


def _rounded(mask: Pixels, width: int) -> Pixels:
    """The mask blurred by a triangle of twice the width, down and across: a hill with soft slopes."""
    for _ in range(2):
        high, wide = mask.shape
        padded = np.zeros((high + 2 * width, wide))
        padded[width + 1 : width + 1 + high] = mask
        for _ in range(2):
            sums = padded.cumsum(axis=0)
            padded = (sums[width:] - sums[:-width]) / width
        mask = padded.T
    return mask.astype(np.float32)


class Pen:
    """Draws one object onto a transparent layer: `rgb` [3, S, S] premultiplied, `alpha` [S, S]."""

    def __init__(
        self,
        rng: Random,
        materials: Sequence[str],
        centre: tuple[float, float],
        scale: float,
        angle: float = 0.0,
        light: tuple[float, float] = (-0.6, -0.8),
    ) -> None:
        self.rgb: Pixels = np.zeros((3, SIZE, SIZE), np.float32)
        self.alpha: Pixels = np.zeros((SIZE, SIZE), np.float32)
        self._materials: list[Material] = [material(name) for name in materials]
        self._textures = [m.texture(rng) for m in self._materials]
        turn = math.radians(angle)
        self._matrix = (
            scale * SIZE * np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
        )
        self._centre = np.array(centre) * SIZE
        self._unit = scale * SIZE
        self._light = light

    def part(
        self,
        *shapes: Points,
        slot: int = 0,
        cut: Sequence[Points] = (),
        puff: float = 0.1,
        shade: float = 1.0,
        across: bool = False,
    ) -> None:
        """A part of the object in the material of `slot`, with a relief of `puff` units."""
        found = self._mask(shapes, cut)
        if found is None:
            return
        mask, rows, columns = found
        made_of = self._materials[min(slot, len(self._materials) - 1)]
        texture = self._textures[min(slot, len(self._materials) - 1)]
        if across:
            texture = texture.swapaxes(1, 2)
        facing, slope = self._relief(mask, puff)
        index = np.minimum(np.maximum(facing * 127 + 128, 0), 255).astype(np.uint8)
        colour = texture[:, rows, columns] * (made_of.ramp[index] * np.float32(shade)) + made_of.gleam[index]
        if made_of.clear:
            mask = mask * np.minimum(made_of.clear + 0.6 * np.hypot(slope[0], slope[1]), 1)
        self._over(mask, rows, columns, colour)

    def paint(self, *shapes: Points, colour: tuple[float, float, float], opacity: float = 1.0) -> None:
        """A flat patch of colour: a decoration, a gap, a reflection."""
        found = self._mask(shapes)
        if found is not None:
            mask, rows, columns = found
            self._over(
                mask * np.float32(opacity), rows, columns, np.array(colour, np.float32).reshape(3, 1, 1)
            )

    def mark(self, *shapes: Points, shade: float = 0.6) -> None:
        """Darken (or lighten) what is already there: a seam, a crack, an engraving."""
        found = self._mask(shapes)
        if found is not None:
            mask, rows, columns = found
            self.rgb[:, rows, columns] *= 1 + np.float32(shade - 1) * mask

    def inlay(self, picture: Image.Image, left: float, top: float, right: float, bottom: float) -> None:
        """A picture inside an upright rectangle (turned with the object)."""
        width, height = picture.size
        (x0, y0), (x1, y1), _, (x3, y3) = self._pixels(box(left, top, right, bottom))
        # The inverse of: corner 0 + u (corner 1 - corner 0) + v (corner 3 - corner 0).
        back = np.linalg.inv(
            [[(x1 - x0) / width, (x3 - x0) / height], [(y1 - y0) / width, (y3 - y0) / height]]
        )
        # A border of the picture's own colours, for the pixels that its edge cuts.
        bordered = Image.fromarray(np.pad(np.asarray(picture), ((2, 2), (2, 2), (0, 0)), mode="edge"))
        shift = 2 - back @ (x0, y0)
        data = (*back[0], shift[0], *back[1], shift[1])
        laid = bordered.transform((SIZE, SIZE), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
        found = self._mask((box(left, top, right, bottom),))
        if found is not None:
            mask, rows, columns = found
            self._over(mask, rows, columns, planes(laid)[:, rows, columns])

    def _pixels(self, points: Points) -> Points:
        return points @ self._matrix + self._centre

    def _mask(
        self, shapes: Sequence[Points], cut: Sequence[Points] = ()
    ) -> tuple[Pixels, slice, slice] | None:
        """Coverage in [0, 1] over the rectangle that holds the shapes; None where nothing is visible."""
        drawn = [self._pixels(points) for points in shapes]
        every = np.concatenate(drawn)
        left, top = (max(math.floor(edge) - 2, 0) for edge in every.min(axis=0))
        right, bottom = (min(math.ceil(edge) + 2, SIZE) for edge in every.max(axis=0))
        if right - left < 3 or bottom - top < 3:
            return None
        fine = Image.new("L", ((right - left) * _FINE, (bottom - top) * _FINE))
        draw = ImageDraw.Draw(fine)
        for fill, group in ((255, drawn), (0, [self._pixels(points) for points in cut])):
            for points in group:
                draw.polygon((((points - (left, top)) * _FINE).ravel() - 0.5).tolist(), fill=fill)
        mask = np.asarray(fine.reduce(_FINE), np.float32) * np.float32(1 / 255)
        return mask, slice(top, bottom), slice(left, right)

    def _relief(self, mask: Pixels, puff: float) -> tuple[Pixels, Pixels]:
        """How much each pixel faces the light [-1, 1], and its slope [2, h, w] (across, down)."""
        radius = max(puff * self._unit * 0.5, 0.7)
        height = _rounded(mask, max(round(2.45 * radius), 2))
        slope = np.zeros((2, *height.shape), np.float32)
        np.subtract(height[:, 2:], height[:, :-2], out=slope[0, :, 1:-1])
        np.subtract(height[2:], height[:-2], out=slope[1, 1:-1])
        slope *= 2 * radius
        return -(slope[0] * self._light[0] + slope[1] * self._light[1]), slope

    def _over(self, mask: Pixels, rows: slice, columns: slice, colour: Pixels) -> None:
        """Draw `colour` over the layer where `mask` is 1."""
        rgb, alpha = self.rgb[:, rows, columns], self.alpha[rows, columns]
        rgb += (colour - rgb) * mask
        alpha += (1 - alpha) * mask
