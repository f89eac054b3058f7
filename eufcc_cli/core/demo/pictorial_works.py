"""Paintings, prints, drawings and photographs: scenes, the media they are made in, and their frames."""

# Points are read several to a line.
# fmt: off
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from eufcc_cli.core.demo.brush import SIZE, Pen, Points, box, oval, shape, smooth, stroke
from eufcc_cli.core.demo.materials import noise_tile

Colour = tuple[int, int, int]
_FINE = 3


class Easel:
    """Paints flat shapes on a picture whose corners are (0, 0) and (width, 1)."""

    def __init__(self, width: float) -> None:
        self.width = width
        self._scale = 0.62 * SIZE * _FINE
        self.image = Image.new("RGB", (round(width * self._scale), round(self._scale)))
        self._draw = ImageDraw.Draw(self.image)

    def paint(self, points: Points, colour: Colour) -> None:
        self._draw.polygon((points * self._scale).ravel().tolist(), fill=colour)

    def fade(self, top: float, bottom: float, above: Colour, below: Colour) -> None:
        """A vertical gradient over the whole width."""
        start, end = round(top * self._scale), round(bottom * self._scale)
        for y in range(start, end, 2):
            share = (y - start) / max(end - start, 1)
            line = tuple(round(a + (b - a) * share) for a, b in zip(above, below, strict=True))
            self._draw.rectangle((0, y, self.image.width, y + 1), fill=line)


def _shift(rng: Random, colour: Colour, by: int = 14) -> Colour:
    red, green, blue = (min(255, max(0, c + rng.randint(-by, by))) for c in colour)
    return red, green, blue


def _shade(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, int(c * factor)) for c in colour)
    return red, green, blue


def _tree(easel: Easel, rng: Random, x: float, y: float, size: float) -> None:
    easel.paint(stroke([(x, y), (x, y - size * 0.5)], size * 0.12), (84, 58, 40))
    green = _shift(rng, (62, 98, 52), 24)
    for dx, dy, r in ((-0.2, -0.5, 0.26), (0.2, -0.52, 0.26), (0, -0.78, 0.3)):
        easel.paint(oval(x + dx * size, y + dy * size, r * size), green)
    easel.paint(oval(x - 0.08 * size, y - 0.82 * size, 0.16 * size), _shift(rng, (104, 136, 70)))


def landscape(easel: Easel, rng: Random) -> None:
    w = easel.width
    easel.fade(0, 0.62, _shift(rng, (108, 158, 206)), _shift(rng, (240, 216, 176)))
    easel.paint(oval(rng.uniform(0.2, 0.8) * w, rng.uniform(0.15, 0.3), 0.08), (252, 232, 170))
    peak = [(0.0, 0.62), *((w * (n + rng.random()) / 4, rng.uniform(0.22, 0.45)) for n in range(4)),
        (w, 0.62)]
    easel.paint(shape(*peak), _shift(rng, (112, 122, 150)))
    easel.paint(smooth((-0.2, 0.62), (w * 0.3, 0.5), (w * 0.7, 0.6), (w + 0.2, 0.52), (w + 0.2, 1.2),
        (-0.2, 1.2)), _shift(rng, (112, 142, 84)))
    easel.paint(smooth((-0.2, 0.8), (w * 0.4, 0.72), (w + 0.2, 0.84), (w + 0.2, 1.3), (-0.2, 1.3)),
        _shift(rng, (148, 158, 80)))
    if rng.random() < 0.5:
        easel.paint(smooth((w * 0.55, 0.62), (w * 0.62, 0.75), (w * 0.42, 0.9), (w * 0.4, 1.1),
            (w * 0.75, 1.1), (w * 0.72, 0.8), (w * 0.6, 0.62)), (140, 178, 206))
    for _ in range(rng.randint(2, 4)):
        _tree(easel, rng, rng.uniform(0.05, 0.95) * w, rng.uniform(0.72, 0.95), rng.uniform(0.25, 0.42))


def seascape(easel: Easel, rng: Random) -> None:
    w, horizon = easel.width, rng.uniform(0.5, 0.62)
    easel.fade(0, horizon, _shift(rng, (142, 178, 208)), _shift(rng, (232, 224, 208)))
    for _ in range(3):
        x, y = rng.random() * w, rng.uniform(0.08, 0.3)
        easel.paint(oval(x, y, rng.uniform(0.1, 0.2), 0.045), (244, 242, 238))
    easel.fade(horizon, 1, _shift(rng, (62, 112, 146)), _shift(rng, (26, 62, 96)))
    for _ in range(12):
        x, y = rng.random() * w, rng.uniform(horizon + 0.03, 1)
        easel.paint(stroke(smooth((x, y), (x + 0.05, y - 0.015), (x + 0.1, y), closed=False), 0.012),
            (178, 206, 218))
    x, y, s = rng.uniform(0.35, 0.65) * w, horizon + 0.12, rng.uniform(0.85, 1.15)
    easel.paint(stroke([(x, y), (x, y - 0.46 * s)], 0.016), (70, 48, 34))
    easel.paint(smooth((x + 0.015, y - 0.44 * s), (x + 0.2 * s, y - 0.22 * s), (x + 0.19 * s, y - 0.08),
        (x + 0.015, y - 0.08), steps=4), (246, 238, 220))
    easel.paint(shape((x - 0.015, y - 0.4 * s), (x - 0.18 * s, y - 0.08), (x - 0.015, y - 0.08)),
        _shift(rng, (226, 206, 176)))
    easel.paint(smooth((x - 0.24, y - 0.06), (x + 0.24, y - 0.06), (x + 0.17, y + 0.07), (x - 0.16, y + 0.07),
        steps=4), (92, 56, 38))


def cityscape(easel: Easel, rng: Random) -> None:
    w = easel.width
    easel.fade(0, 0.75, _shift(rng, (154, 182, 206)), _shift(rng, (236, 226, 206)))
    x = -0.05
    while x < w:
        wide, top = rng.uniform(0.16, 0.24), rng.uniform(0.26, 0.44)
        wall = _shift(rng, rng.choice(((202, 142, 102), (222, 196, 148), (176, 102, 80), (206, 206, 196))))
        easel.paint(box(x, top, x + wide, 0.8), wall)
        roof = _shift(rng, (132, 66, 50))
        easel.paint(shape((x - 0.01, top), (x + wide / 2, top - rng.uniform(0.1, 0.18)),
            (x + wide + 0.01, top)), roof)
        for row in range(3):
            for column in range(2):
                cx, cy = x + wide * (0.3 + 0.4 * column), top + 0.08 + 0.12 * row
                easel.paint(box(cx - 0.022, cy - 0.03, cx + 0.022, cy + 0.03), (64, 72, 88))
        x += wide
    if rng.random() < 0.6:
        tower = rng.uniform(0.3, 0.7) * w
        easel.paint(box(tower - 0.07, 0.2, tower + 0.07, 0.8), _shift(rng, (186, 172, 150)))
        easel.paint(shape((tower - 0.09, 0.2), (tower, 0.02), (tower + 0.09, 0.2)), (82, 102, 108))
        easel.paint(oval(tower, 0.3, 0.035), (246, 240, 220))
    easel.fade(0.8, 1, _shift(rng, (162, 150, 132)), _shift(rng, (122, 112, 100)))


def portrait(easel: Easel, rng: Random) -> None:
    w = easel.width
    dark = _shift(rng, rng.choice(((74, 58, 46), (58, 70, 62), (84, 62, 66), (60, 66, 84))))
    easel.fade(0, 1, dark, _shade(dark, 0.5))
    x, y = w / 2 + rng.uniform(-0.04, 0.04), 0.4
    skin = _shift(rng, rng.choice(((232, 190, 156), (206, 154, 116), (140, 96, 70))))
    hair = _shift(rng, rng.choice(((58, 38, 28), (150, 104, 56), (92, 56, 36), (196, 190, 182))))
    coat = _shift(rng, rng.choice(((120, 34, 40), (36, 52, 88), (40, 40, 42), (52, 84, 64), (150, 118, 70))))
    if rng.random() < 0.5:
        easel.paint(smooth((x, y - 0.3), (x + 0.25, y - 0.1), (x + 0.24, y + 0.3), (x - 0.24, y + 0.3),
            (x - 0.25, y - 0.1)), hair)
    easel.paint(smooth((x - 0.42, 1.15), (x - 0.36, 0.8), (x - 0.1, 0.68), (x + 0.1, 0.68), (x + 0.36, 0.8),
        (x + 0.42, 1.15)), coat)
    easel.paint(box(x - 0.075, y + 0.12, x + 0.075, 0.72), _shade(skin, 0.85))
    if rng.random() < 0.6:
        easel.paint(smooth((x - 0.2, 0.7), (x, 0.66), (x + 0.2, 0.7), (x + 0.12, 0.79), (x, 0.76),
            (x - 0.12, 0.79)), (240, 236, 226))
    easel.paint(oval(x, y, 0.16, 0.205), skin)
    easel.paint(smooth((x - 0.18, y - 0.02), (x - 0.15, y - 0.2), (x, y - 0.25), (x + 0.15, y - 0.2),
        (x + 0.18, y - 0.02), (x + 0.1, y - 0.12), (x - 0.06, y - 0.14)), hair)
    for s in (-1, 1):
        easel.paint(oval(x + s * 0.065, y + 0.0, 0.02, 0.015), (44, 34, 30))
        easel.paint(stroke([(x + s * 0.035, y - 0.04), (x + s * 0.1, y - 0.045)], 0.014), hair)
    easel.paint(stroke([(x, y + 0.01), (x + 0.02, y + 0.07)], 0.018), _shade(skin, 0.8))
    easel.paint(oval(x, y + 0.12, 0.05, 0.016), (158, 70, 66))


def _scene(rng: Random, name: str) -> Image.Image:
    easel = Easel(rng.uniform(0.72, 0.8) if name == "portrait" else rng.uniform(1.2, 1.4))
    globals()[name.replace(" ", "_")](easel, rng)
    return easel.image.reduce(_FINE)


def _sides(picture: Image.Image, longest: float) -> tuple[float, float]:
    """Half width and half height of the picture when its longer side has this length."""
    scale = longest / 2 / max(picture.size)
    return picture.width * scale, picture.height * scale


def oil_painting(pen: Pen, rng: Random, scene: str) -> None:
    """Slots: frame."""
    picture = _scene(rng, scene)
    half_w, half_h = _sides(picture, 0.74)
    edge = rng.uniform(0.07, 0.11)
    left, top = half_w + edge, half_h + edge
    pen.part(shape((-left, -top), (left, -top), (half_w, -half_h), (-half_w, -half_h)), puff=0.07,
        across=True)
    pen.part(shape((-left, top), (left, top), (half_w, half_h), (-half_w, half_h)), puff=0.07, across=True)
    pen.part(shape((-left, -top), (-half_w, -half_h), (-half_w, half_h), (-left, top)), puff=0.07)
    pen.part(shape((left, -top), (half_w, -half_h), (half_w, half_h), (left, top)), puff=0.07)
    if rng.random() < 0.4:
        pen.part(*(oval(x, y, edge * 0.75) for x in (-left + 0.04, left - 0.04) for y in (-top + 0.04,
            top - 0.04)), puff=0.06)
    pen.mark(box(-half_w - 0.015, -half_h - 0.015, half_w + 0.015, half_h + 0.015), shade=0.45)
    colours = np.asarray(picture, np.float32)
    strokes = noise_tile(rng, picture.height, picture.width)
    rich = (colours - 118) * 1.12 + 108 + 26 * strokes[..., None]
    pen.inlay(_image(rich), -half_w, -half_h, half_w, half_h)


def engraving(pen: Pen, rng: Random, scene: str) -> None:
    picture = _scene(rng, scene)
    half_w, half_h = _sides(picture, 0.78)
    pen.part(box(-half_w - 0.09, -half_h - 0.09, half_w + 0.09, half_h + 0.12), puff=0.02)
    grey = np.asarray(ImageOps.equalize(picture.convert("L")), np.float32) / 255
    y, x = np.mgrid[0 : picture.height, 0 : picture.width]
    lines = np.maximum(0.34 + 0.3 * np.sin((x + y) * 1.7), 0.12 + 0.2 * np.sin((x - y) * 1.7))
    light = np.clip((grey - lines) * 4 + 0.5, 0, 1)
    outlines = np.asarray(picture.convert("L").filter(ImageFilter.FIND_EDGES), np.float32)
    light = np.minimum(light, np.clip(1.4 - outlines / 60, 0, 1))[..., None]
    ink, paper = np.array((44, 38, 34)), np.array((232, 224, 204))
    pen.inlay(_image(ink + (paper - ink) * light), -half_w, -half_h, half_w, half_h)
    pen.paint(box(-half_w * 0.5, half_h + 0.04, half_w * 0.5, half_h + 0.06), colour=(96, 90, 84))


def drawing(pen: Pen, rng: Random, scene: str) -> None:
    picture = _scene(rng, scene)
    half_w, half_h = _sides(picture, 0.86)
    pen.part(box(-half_w - 0.04, -half_h - 0.04, half_w + 0.04, half_h + 0.04), puff=0.02)
    grey = picture.convert("L")
    lines = grey.filter(ImageFilter.FIND_EDGES).filter(ImageFilter.GaussianBlur(0.6))
    rough = noise_tile(rng, picture.height, picture.width)
    dark = np.asarray(lines, np.float32) / 42 + (120 - np.asarray(grey, np.float32)) / 420
    dark = np.clip(dark + 0.25 * rough - 0.05, 0, 1)[..., None]
    paper = np.array((222, 204, 172))
    chalk = np.array((156, 66, 42))
    pen.inlay(_image(paper + (chalk - paper) * dark), -half_w, -half_h, half_w, half_h)


def photograph(pen: Pen, rng: Random, scene: str) -> None:
    picture = _scene(rng, scene)
    half_w, half_h = _sides(picture, 0.8)
    pen.part(box(-half_w - 0.06, -half_h - 0.06, half_w + 0.06, half_h + 0.06), puff=0.02)
    grey = np.asarray(picture.convert("L"), np.float32)[..., None] / 255
    sepia = np.array((52, 38, 28)) + (np.array((236, 216, 182)) - np.array((52, 38,
        28))) * (grey * 1.15 - 0.05)
    pen.inlay(_image(sepia), -half_w, -half_h, half_w, half_h)


def _image(colours: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))
