"""What is neither worn nor used in the house: music, money, sculpture."""

# Points are read several to a line.
# fmt: off
from random import Random

import numpy as np

from eufcc_cli.core.demo.brush import Pen, arc, box, mirrored, oval, shape, smooth, stroke, turned


def violin(pen: Pen, rng: Random) -> None:
    """Slots: body, fingerboard."""
    upper, waist, lower = rng.uniform(0.13, 0.16), rng.uniform(0.09, 0.11), rng.uniform(0.17, 0.2)
    side = [(0.05, -0.08), (upper, -0.03), (upper, 0.06), (waist, 0.16), (lower, 0.28), (lower * 0.95, 0.4),
        (0.08, 0.475)]
    pen.part(smooth(*side, *((-x, y) for x, y in reversed(side))), puff=0.1)
    hole = stroke(smooth((0.075, 0.16), (0.06, 0.22), (0.085, 0.28), closed=False), 0.02)
    pen.mark(hole, mirrored(hole), shade=0.2)
    pen.part(stroke([(0, -0.42), (0, 0.14)], 0.045, 0.06), slot=1, puff=0.03)
    pen.part(shape((-0.03, 0.31), (0.03, 0.31), (0.05, 0.45), (-0.05, 0.45)), slot=1, puff=0.03)
    pen.part(box(-0.065, 0.235, 0.065, 0.26), slot=1, puff=0.02)
    pen.part(oval(0, -0.45, 0.04), stroke([(-0.085, -0.4), (0.085, -0.4)], 0.022),
        stroke([(-0.075, -0.36), (0.075, -0.36)], 0.022), puff=0.03)
    pen.paint(stroke([(-0.012, -0.4), (-0.015, 0.34)], 0.006), stroke([(0.012, -0.4), (0.015, 0.34)], 0.006),
        colour=(228, 222, 206))


def trumpet(pen: Pen, rng: Random) -> None:
    high = rng.uniform(0.08, 0.11)
    loop = [*arc(-0.18, 0, 0.12, high, 90, 270), *arc(0.12, 0, 0.12, high, -90, 90)]
    pen.part(stroke([*loop, loop[0]], 0.042), puff=0.04)
    pen.part(stroke([(-0.46, -high), (0.2, -high)], 0.035), puff=0.04)
    pen.part(stroke([(-0.48, -high), (-0.44, -high)], 0.075), puff=0.04)
    pen.part(smooth((0.1, -high - 0.025), (0.3, -high - 0.04), (0.46, -high - 0.17), (0.49, -high),
        (0.46, -high + 0.17), (0.3, -high + 0.04), (0.1, -high + 0.025)), puff=0.1)
    valves = (-0.1, -0.025, 0.05)
    pen.part(*(box(x - 0.024, -high - 0.12, x + 0.024, high + 0.06) for x in valves), puff=0.04)
    pen.part(*(oval(x, -high - 0.14, 0.032, 0.018) for x in valves), puff=0.02)


def coin(pen: Pen, rng: Random) -> None:
    edge = oval(0, 0, 0.44, sides=26)
    rough = [(x * rng.uniform(0.97, 1.02), y * rng.uniform(0.97, 1.02)) for x, y in edge]
    pen.part(smooth(*rough, steps=2), puff=0.05)
    pen.mark(stroke(arc(0, 0, 0.385, 0.385, 0, 360, 50), 0.016), shade=0.6)
    if rng.random() < 0.65:
        profile(pen, 0.0, 0.02, 0.6)
    else:
        letters = []
        for n, count in enumerate((3, 4, 3)):
            y = -0.2 + 0.15 * n
            letters += [box(x, y, x + 0.09, y + 0.1) for x in np.arange(count) * 0.14 - 0.07 * count + 0.025]
        pen.mark(*(np.add(letter, (0.015, 0.02)) for letter in letters), shade=0.5)
        pen.part(*letters, puff=0.03, shade=1.1)


def profile(pen: Pen, x: float, y: float, size: float) -> None:
    """A head in relief, looking to the right."""
    head = smooth((-0.3, 0.5), (-0.2, 0.2), (-0.34, 0.0), (-0.3, -0.34), (0.0, -0.5), (0.24, -0.36),
        (0.28, -0.16), (0.4, 0.02), (0.3, 0.06), (0.32, 0.2), (0.2, 0.3), (0.06, 0.28), (0.14, 0.5))
    pen.mark(head * (1.08 * size) + (x + 0.03 * size, y + 0.03 * size), shade=0.62)
    pen.part(head * size + (x, y), puff=0.12 * size, shade=1.12)
    pen.mark(stroke(smooth((-0.3, -0.1), (-0.05, -0.2), (0.2, -0.34), closed=False) * size + (x, y),
        0.05 * size), shade=0.6)


def bust(pen: Pen, rng: Random) -> None:
    pen.part(turned((0.34, 0.06), (0.4, 0.07), (0.45, 0.15), (0.48, 0.16)), puff=0.08)
    chest = [(0.07, 0.02), (0.2, 0.08), (0.29, 0.18), (0.26, 0.28), (0.13, 0.35), (0.05, 0.38)]
    pen.part(smooth(*chest, *((-x, y) for x, y in reversed(chest))), puff=0.16)
    pen.mark(stroke(arc(0, 0.02, 0.16, 0.16, 40, 140), 0.016), shade=0.8)
    pen.part(box(-0.075, -0.12, 0.075, 0.08), puff=0.08, shade=0.88)
    if long_hair := rng.random() < 0.5:
        lock = smooth((0.1, -0.36), (0.2, -0.26), (0.19, -0.02), (0.12, 0.06), (0.08, -0.1))
        pen.part(lock, mirrored(lock), puff=0.07, shade=0.85)
    face = [(0.13, -0.4), (0.155, -0.27), (0.125, -0.12), (0.05, -0.035)]
    pen.part(smooth((0, -0.47), *face, (0, -0.025), *((-x, y) for x, y in reversed(face))), puff=0.12)
    brow = stroke(arc(0.065, -0.255, 0.055, 0.03, 200, 340), 0.02)
    eye = oval(0.065, -0.235, 0.03, 0.016)
    mouth = stroke(smooth((-0.045, -0.11), (0, -0.103), (0.045, -0.11), closed=False), 0.02)
    pen.mark(eye, mirrored(eye), brow, mirrored(brow), mouth, shade=0.5)
    pen.part(shape((0, -0.26), (0.035, -0.15), (-0.035, -0.15)), puff=0.04, shade=1.05)
    if not long_hair and rng.random() < 0.7:
        pen.part(smooth((-0.13, -0.17), (-0.07, -0.1), (0.07, -0.1), (0.13, -0.17), (0.1, -0.03), (0, 0.06),
            (-0.1, -0.03)), puff=0.06, shade=0.88)
        pen.mark(mouth, shade=0.5)
    hair = [(0.155, -0.26), (0.12, -0.36), (0.05, -0.385)]
    crown = smooth((0, -0.375), *reversed(hair), (0.18, -0.36), (0.1, -0.49), (0, -0.51), (-0.1, -0.49),
        (-0.18, -0.36), *((-x, y) for x, y in hair))
    pen.part(crown, puff=0.06, shade=0.9)
    pen.mark(*(stroke(arc(0, -0.36, r, r * 0.8, 200, 340), 0.012) for r in (0.1, 0.14)), shade=0.75)
