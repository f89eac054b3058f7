"""Shapes in an object's own coordinates, and the pen that lays them down in lit materials.

An object lives around (0, 0), x to the right, y downwards, about one unit high or wide. Shapes are
arrays of points [n, 2]; the pen turns, scales and moves them to pixels.
"""

import math
from collections.abc import Sequence
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from eufcc_cli.core.collect.demo.materials import Material, material

SIZE = 128
"""Pixels of a drawn picture's side; half of it is what JPEG decodes to for a network of 64."""

_FINE = 3  # masks are drawn this much finer and averaged: smooth edges

Points = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.float32]


def shape(*points: tuple[float, float]) -> Points:
    """A polygon through the points."""
    return np.array(points, dtype=float)


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """An upright rectangle."""
    return shape((left, top), (right, top), (right, bottom), (left, bottom))


def oval(x: float, y: float, rx: float, ry: float | None = None, sides: int = 40) -> Points:
    """An ellipse, or a regular polygon where `sides` is small."""
    angle = np.linspace(0, 2 * math.pi, sides, endpoint=False)
    return np.stack([x + rx * np.cos(angle), y + (rx if ry is None else ry) * np.sin(angle)], axis=1)


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float, steps: int = 24) -> Points:
    """An open arc from one angle to another, in degrees clockwise from the right."""
    angle = np.radians(np.linspace(start, end, steps))
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def smooth(*points: tuple[float, float], closed: bool = True, steps: int = 8) -> Points:
    """A Catmull-Rom curve through the points."""
    knots = np.array(points, dtype=float)
    if closed:
        knots = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        knots = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    a, b, c, d = knots[:-3], knots[1:-2], knots[2:-1], knots[3:]
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    curve = b + 0.5 * t * ((c - a) + t * ((2 * a - 5 * b + 4 * c - d) + t * (3 * (b - c) + d - a)))
    curve = curve.transpose(1, 0, 2).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, knots[-2:-1]])


def turned(*profile: tuple[float, float], x: float = 0.0) -> Points:
    """The outline of a body turned on a wheel or a lathe: (height, radius) from top to bottom."""
    right = smooth(*((radius, y) for y, radius in profile), closed=False)
    return np.concatenate([right, right[::-1] * (-1, 1)]) + (x, 0)


def stroke(path: Points | Sequence[tuple[float, float]], width: float, end: float | None = None) -> Points:
    """A band along an open path, from one width to another."""
    path = np.asarray(path, dtype=float)
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    half = np.linspace(width, width if end is None else end, len(path))[:, None] / 2
    aside = np.stack([-along[:, 1], along[:, 0]], axis=1) * half
    return np.concatenate([path + aside, (path - aside)[::-1]])


def mirrored(points: Points) -> Points:
    """The shape's mirror image, left for right."""
    return points * (-1, 1)


class Pen:
    """Draws one object onto a transparent layer: `rgb` [S, S, 3] premultiplied, `alpha` [S, S]."""

    def __init__(
        self,
        rng: Random,
        materials: Sequence[str],
        centre: tuple[float, float],
        scale: float,
        angle: float = 0.0,
        light: tuple[float, float] = (-0.6, -0.8),
    ) -> None:
        self.rng = rng
        self.rgb: Pixels = np.zeros((SIZE, SIZE, 3), np.float32)
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
        """A part of the object in the material of `slot`, rounded as if blown up by `puff` units."""
        found = self._mask(shapes, cut, pad=puff * self._unit)
        if found is None:
            return
        mask, rows, columns, image = found
        made_of = self._materials[min(slot, len(self._materials) - 1)]
        texture = self._textures[min(slot, len(self._materials) - 1)]
        if across:
            texture = texture.swapaxes(0, 1)
        facing, steep = self._relief(image, puff)
        index = np.clip(facing * 127 + 128, 0, 255).astype(np.uint8)
        colour = (
            texture[rows, columns] * (made_of.ramp[index] * shade)[..., None]
            + made_of.gleam[index][..., None]
        )
        if made_of.clear:
            mask = mask * np.clip(made_of.clear + steep, 0, 1)
        self._over(mask, rows, columns, colour)

    def paint(self, *shapes: Points, colour: tuple[float, float, float], opacity: float = 1.0) -> None:
        """A flat patch of colour: a decoration, a gap, a reflection."""
        found = self._mask(shapes, ())
        if found is not None:
            mask, rows, columns, _ = found
            self._over(mask * opacity, rows, columns, np.array(colour, np.float32))

    def mark(self, *shapes: Points, shade: float = 0.6) -> None:
        """Darken (or lighten) what is already there: a seam, a crack, an engraving."""
        found = self._mask(shapes, ())
        if found is not None:
            mask, rows, columns, _ = found
            self.rgb[rows, columns] *= (1 + (shade - 1) * mask)[..., None]

    def inlay(self, picture: Image.Image, left: float, top: float, right: float, bottom: float) -> None:
        """A picture inside an upright rectangle (turned with the object)."""
        corners = self._pixels(box(left, top, right, bottom))
        (x0, y0), (x1, y1), _, (x3, y3) = corners
        width, height = picture.size
        # The inverse of: corner 0 + u (corner 1 - corner 0) + v (corner 3 - corner 0).
        forward = np.array([[(x1 - x0) / width, (x3 - x0) / height], [(y1 - y0) / width, (y3 - y0) / height]])
        back = np.linalg.inv(forward)
        shift = -back @ (x0, y0)
        data = (back[0, 0], back[0, 1], shift[0], back[1, 0], back[1, 1], shift[1])
        laid = picture.transform((SIZE, SIZE), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
        found = self._mask((box(left, top, right, bottom),), ())
        if found is not None:
            mask, rows, columns, _ = found
            self._over(mask, rows, columns, np.asarray(laid, np.float32)[rows, columns])

    def _pixels(self, points: Points) -> Points:
        return points @ self._matrix + self._centre

    def _mask(
        self, shapes: Sequence[Points], cut: Sequence[Points], pad: float = 0.0
    ) -> tuple[Pixels, slice, slice, Image.Image] | None:
        """Coverage in [0, 1] over the rectangle that holds the shapes; None where nothing is visible."""
        drawn = [self._pixels(points) for points in shapes]
        low = np.floor(np.min([points.min(axis=0) for points in drawn], axis=0) - pad - 2).astype(int)
        high = np.ceil(np.max([points.max(axis=0) for points in drawn], axis=0) + pad + 2).astype(int)
        (left, top), (right, bottom) = np.clip(low, 0, SIZE), np.clip(high, 0, SIZE)
        if right - left < 3 or bottom - top < 3:
            return None
        fine = Image.new("L", (int(right - left) * _FINE, int(bottom - top) * _FINE))
        draw = ImageDraw.Draw(fine)
        for fill, group in ((255, drawn), (0, [self._pixels(points) for points in cut])):
            for points in group:
                draw.polygon((((points - (left, top)) * _FINE).ravel() - 0.5).tolist(), fill=fill)
        image = fine.reduce(_FINE)
        mask = np.asarray(image, np.float32) / 255
        return mask, slice(int(top), int(bottom)), slice(int(left), int(right)), image

    def _relief(self, image: Image.Image, puff: float) -> tuple[Pixels, Pixels]:
        """How much each pixel faces the light [-1, 1], and how steep the surface is [0, 1]."""
        radius = max(puff * self._unit * 0.5, 0.7)
        height = np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32)
        slope = np.zeros((2, *height.shape), np.float32)
        slope[0, :, 1:-1] = height[:, 2:] - height[:, :-2]
        slope[1, 1:-1] = height[2:] - height[:-2]
        slope *= radius / 130
        facing = -(slope[0] * self._light[0] + slope[1] * self._light[1])
        return facing, np.hypot(slope[0], slope[1])

    def _over(self, mask: Pixels, rows: slice, columns: slice, colour: Pixels) -> None:
        keep = 1 - mask
        self.rgb[rows, columns] = self.rgb[rows, columns] * keep[..., None] + colour * mask[..., None]
        self.alpha[rows, columns] = self.alpha[rows, columns] * keep + mask
