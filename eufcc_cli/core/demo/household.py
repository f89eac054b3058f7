"""Vessels and furniture, clocks and books: what stands in a house."""

# Points are read several to a line.
# fmt: off
import itertools
from random import Random

from eufcc_cli.core.demo.brush import Pen, arc, box, mirrored, oval, shape, smooth, stroke, turned


def vase(pen: Pen, rng: Random) -> None:
    belly, neck, lip = rng.uniform(0.2, 0.3), rng.uniform(0.07, 0.12), rng.uniform(0.1, 0.16)
    high = rng.uniform(-0.12, 0.08)
    if rng.random() < 0.5:
        handle = stroke(arc(neck + 0.04, -0.22, 0.13, 0.13, -100, 100), 0.045)
        pen.part(handle, mirrored(handle), puff=0.04)
    pen.part(turned((-0.48, lip), (-0.4, neck), (-0.28, neck), (high, belly), (0.28, 0.13), (0.42, 0.1),
        (0.48, 0.13)), puff=0.2)
    pen.mark(oval(0, -0.475, lip * 0.8, 0.018), shade=0.35)


def bowl(pen: Pen, rng: Random) -> None:
    rim, deep = rng.uniform(0.4, 0.48), rng.uniform(0.16, 0.26)
    pen.part(box(-0.12, deep - 0.06, 0.12, deep + 0.05), puff=0.05)
    side = [(rim, -0.1), (rim * 0.86, deep * 0.5), (0.14, deep)]
    outline = smooth((-rim, -0.1), (-rim * 0.86, deep * 0.5), (-0.14, deep), *reversed(side), closed=False)
    pen.part(outline, puff=0.16)
    pen.part(oval(0, -0.1, rim, 0.085), puff=0.03, shade=1.05)
    pen.part(oval(0, -0.095, rim - 0.03, 0.068), puff=0.1, shade=0.6)


def teapot(pen: Pen, rng: Random) -> None:
    wide, tall = rng.uniform(0.25, 0.3), rng.uniform(0.2, 0.26)
    pen.part(stroke(arc(wide - 0.02, 0.03, 0.17, 0.19, -110, 105), 0.05), puff=0.05)
    pen.part(stroke(smooth((-0.16, 0.16), (-wide - 0.08, 0.08), (-wide - 0.1, -0.1), (-wide - 0.19, -0.2),
        closed=False), 0.13, 0.05), puff=0.07)
    pen.part(oval(0, 0.05, wide, tall), box(-0.14, 0.2, 0.14, tall + 0.08), puff=0.2)
    pen.mark(stroke(arc(0, -0.12, 0.14, 0.03, 0, 180), 0.014), shade=0.5)
    pen.part(oval(0, 0.05 - tall, 0.13, 0.05), puff=0.06)
    pen.part(oval(0, -0.02 - tall, 0.035), puff=0.04)


def goblet(pen: Pen, rng: Random) -> None:
    cup = rng.uniform(0.17, 0.23)
    pen.part(turned((-0.02, 0.03), (0.14, 0.035), (0.2, 0.06), (0.26, 0.03), (0.42, 0.05), (0.45, 0.19),
        (0.48, 0.2)), puff=0.1)
    pen.part(turned((-0.48, cup), (-0.25, cup * 1.02), (-0.06, cup * 0.55), (0.02, 0.035)), puff=0.16)
    pen.mark(oval(0, -0.475, cup * 0.9, 0.022), shade=0.4)


def chair(pen: Pen, rng: Random) -> None:
    """Slots: frame, seat."""
    high, seat = rng.uniform(-0.48, -0.4), rng.uniform(0.02, 0.1)
    slope = 0.1
    for x in (-0.16, 0.24):
        pen.part(stroke([(x, seat - 0.08), (x + 0.02, 0.36)], 0.05), puff=0.04, shade=0.7)
    posts = [stroke([(x, high), (x + 0.02, seat)], 0.05) for x in (-0.18, 0.22)]
    style = rng.randrange(3)
    if style == 0:
        slats = [stroke([(x, high + 0.08), (x, seat - 0.05)], 0.035) for x in (-0.08, 0.02, 0.12)]
        pen.part(*slats, puff=0.03, shade=0.9)
    elif style == 1:
        pen.part(*(box(-0.19, high + y, 0.23, high + y + 0.07) for y in (0.14, 0.27)), puff=0.04, across=True)
    else:
        pen.part(smooth((-0.17, high + 0.06), (0.21, high + 0.06), (0.2, seat - 0.08), (-0.16, seat - 0.08)),
            slot=1, puff=0.1)
    pen.part(*posts, puff=0.04)
    pen.part(smooth((-0.2, high), (0.02, high - 0.045), (0.24, high), (0.24, high + 0.07),
        (-0.2, high + 0.07)), puff=0.05, across=True)
    front = seat + slope
    pen.part(*(stroke([(x, front), (x, 0.48)], 0.055, 0.04) for x in (-0.28, 0.24)), puff=0.04)
    pen.part(stroke([(-0.27, 0.33), (0.23, 0.33)], 0.03), puff=0.03, across=True)
    pen.part(shape((-0.2, seat - 0.02), (0.25, seat - 0.02), (0.3, front), (-0.34, front)), slot=1, puff=0.06)
    pen.part(box(-0.34, front, 0.3, front + 0.05), puff=0.04, across=True)


def book(pen: Pen, rng: Random) -> None:
    """Slots: cover, pages, fittings."""
    wide, tall = rng.uniform(0.26, 0.33), rng.uniform(0.38, 0.46)
    thick = rng.uniform(0.06, 0.12)
    pen.part(shape((-wide, -tall + 0.02), (wide, -tall + 0.02), (wide + thick, -tall + thick),
        (wide + thick, tall), (-wide + thick, tall)), puff=0.03, shade=0.7)
    pen.part(shape((wide - 0.02, -tall + 0.03), (wide + thick - 0.02, -tall + thick + 0.02),
        (wide + thick - 0.02, tall - 0.03), (wide - 0.02, tall - thick)), slot=1, puff=0.02)
    pages = (wide + thick * n / 4 - 0.02 for n in (1, 2, 3))
    pen.mark(*(stroke([(x, -tall + 0.1), (x, tall - 0.06)], 0.008) for x in pages), shade=0.7)
    pen.part(box(-wide, -tall, wide, tall - thick + 0.02), puff=0.04)
    pen.mark(box(-wide + 0.06, -tall, -wide + 0.075, tall - thick + 0.02), shade=0.55)
    gold = (214, 176, 92)
    left, top, right, bottom = -wide + 0.11, -tall + 0.06, wide - 0.05, tall - thick - 0.04
    corners = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    pen.paint(*(stroke(edge, 0.014) for edge in itertools.pairwise(corners)), colour=gold)
    x, y = (left + right) / 2, (top + bottom) / 2
    if rng.random() < 0.5:
        pen.paint(oval(x, y, 0.09, sides=rng.choice((4, 6, 8))), colour=gold)
    else:
        rows = ((0.12 - 0.03 * n, y - 0.12 + 0.07 * n) for n in range(3))
        pen.paint(*(box(x - half, at, x + half, at + 0.03) for half, at in rows), colour=gold)
