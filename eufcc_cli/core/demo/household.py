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


def jug(pen: Pen, rng: Random) -> None:
    belly, neck = rng.uniform(0.2, 0.27), rng.uniform(0.1, 0.14)
    pen.part(stroke(arc(0.17, -0.1, rng.uniform(0.17, 0.22), 0.25, -95, 95), 0.055), puff=0.05)
    pen.part(shape((-neck + 0.02, -0.32), (-neck - 0.14, -0.46), (-neck - 0.02, -0.47), (0, -0.4)), puff=0.08)
    pen.part(turned((-0.45, neck + 0.02), (-0.3, neck), (0.08, belly), (0.36, 0.17), (0.46, 0.17)), puff=0.18)
    pen.mark(oval(0, -0.445, neck * 0.85, 0.016), shade=0.35)


def bowl(pen: Pen, rng: Random) -> None:
    rim, deep = rng.uniform(0.4, 0.48), rng.uniform(0.16, 0.26)
    pen.part(box(-0.12, deep - 0.06, 0.12, deep + 0.05), puff=0.05)
    side = [(rim, -0.1), (rim * 0.86, deep * 0.5), (0.14, deep)]
    outline = smooth((-rim, -0.1), (-rim * 0.86, deep * 0.5), (-0.14, deep), *reversed(side), closed=False)
    pen.part(outline, puff=0.16)
    pen.part(oval(0, -0.1, rim, 0.085), puff=0.03, shade=1.05)
    pen.part(oval(0, -0.095, rim - 0.03, 0.068), puff=0.1, shade=0.6)


def plate(pen: Pen, rng: Random) -> None:
    pen.part(oval(0, 0, 0.47), puff=0.06)
    ring = rng.uniform(0.27, 0.33)
    pen.mark(oval(0, 0, ring + 0.012), shade=0.7)
    pen.part(oval(0, 0, ring), puff=0.05, shade=0.96)


def bottle(pen: Pen, rng: Random) -> None:
    wide, shoulder = rng.uniform(0.12, 0.18), rng.uniform(-0.16, 0.0)
    if rng.random() < 0.5:
        pen.paint(box(-0.035, -0.5, 0.035, -0.43), colour=(150, 108, 70))
    pen.part(turned((-0.45, 0.055), (-0.4, 0.045), (shoulder - 0.12, 0.05), (shoulder + 0.06, wide),
        (0.42, wide), (0.48, wide * 0.9)), puff=0.14)
    pen.part(box(-0.062, -0.46, 0.062, -0.425), puff=0.03)


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


def table(pen: Pen, rng: Random) -> None:
    top = rng.uniform(-0.22, -0.1)
    if rng.random() < 0.35:
        pen.part(turned((top, 0.05), (0.05, 0.04), (0.2, 0.08), (0.3, 0.05)), puff=0.07)
        foot = stroke(smooth((0.02, 0.24), (0.14, 0.3), (0.28, 0.42), closed=False), 0.08, 0.05)
        pen.part(foot, mirrored(foot), puff=0.05)
    else:
        pen.part(*(stroke([(x, top), (x, 0.3)], 0.05) for x in (-0.28, 0.28)), puff=0.04, shade=0.65)
        pen.part(box(-0.38, top + 0.08, 0.38, top + 0.2), puff=0.04, across=True, shade=0.85)
        pen.part(*(stroke([(x, top), (x * 1.02, 0.42)], 0.07, 0.045) for x in (-0.4, 0.4)), puff=0.05)
        if rng.random() < 0.5:
            pen.paint(oval(0, top + 0.14, 0.02), colour=(206, 170, 90))
    pen.part(shape((-0.4, top - 0.08), (0.4, top - 0.08), (0.5, top + 0.06), (-0.5, top + 0.06)), puff=0.03,
        across=True)
    pen.part(box(-0.5, top + 0.06, 0.5, top + 0.1), puff=0.03, across=True, shade=0.8)


def chest(pen: Pen, rng: Random) -> None:
    """Slots: box, fittings."""
    lid = rng.uniform(-0.12, -0.04)
    pen.part(box(-0.44, lid, 0.44, 0.3), puff=0.06, across=True)
    dome = rng.choice((0.0, 0.1))
    pen.part(smooth((-0.46, lid), (-0.45, lid - 0.15), (0, lid - 0.17 - dome), (0.45, lid - 0.15),
        (0.46, lid), closed=False), puff=0.1, across=True)
    pen.mark(box(-0.45, lid - 0.012, 0.45, lid + 0.012), shade=0.3)
    pen.part(*(box(x - 0.035, lid - 0.18, x + 0.035, 0.3) for x in (-0.3, 0.3)), slot=1, puff=0.025)
    pen.part(box(-0.06, lid - 0.05, 0.06, lid + 0.1), slot=1, puff=0.04)
    pen.mark(oval(0, lid + 0.03, 0.018), shade=0.15)
    pen.part(box(-0.46, 0.28, -0.34, 0.36), box(0.34, 0.28, 0.46, 0.36), puff=0.04)


def clock(pen: Pen, rng: Random) -> None:
    """Slots: case, dial."""
    if rng.random() < 0.5:
        pen.part(shape((-0.24, -0.26), (0, -0.48), (0.24, -0.26)), puff=0.05)
    else:
        pen.part(turned((-0.46, 0.02), (-0.36, 0.16), (-0.26, 0.24)), puff=0.08)
    pen.part(box(-0.25, -0.28, 0.25, 0.4), puff=0.06)
    pen.part(box(-0.31, 0.38, 0.31, 0.47), puff=0.04, across=True)
    pen.part(oval(0, -0.05, 0.2), slot=1, puff=0.04)
    pen.paint(oval(0, -0.05, 0.165), colour=(246, 242, 228))
    hours = (oval(x, y, 0.013, sides=8) for x, y in arc(0, -0.05, 0.135, 0.135, 0, 330, 12))
    pen.paint(*hours, colour=(40, 36, 34))
    hands = []
    for length in (0.12, 0.08):
        x, y = arc(0, -0.05, length, length, rng.uniform(0, 360), 0, 2)[0]
        hands.append(stroke([(0, -0.05), (x, y)], 0.02))
    pen.paint(*hands, colour=(30, 28, 28))
    pen.part(oval(0, 0.27, 0.05), slot=1, puff=0.04)


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
