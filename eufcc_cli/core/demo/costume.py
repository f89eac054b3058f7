"""What people wear: garments, accessories, jewelry, arms and armour."""

# Points are read several to a line.
# fmt: off
from random import Random

from eufcc_cli.core.demo.brush import Pen, arc, box, mirrored, oval, shape, smooth, stroke


def dress(pen: Pen, rng: Random) -> None:
    """Slots: cloth, sash."""
    waist, hem = rng.uniform(0.09, 0.12), rng.uniform(0.28, 0.4)
    sleeve = rng.choice((0.0, 0.1, 0.2))
    if sleeve:
        arm = smooth((0.1, -0.46), (0.2, -0.38), (0.22 + sleeve * 0.5, -0.34 + sleeve),
            (0.13 + sleeve * 0.5, -0.3 + sleeve), (0.1, -0.3))
        pen.part(arm, mirrored(arm), puff=0.06)
    half = [(0.05, -0.46), (0.14, -0.48), (0.15, -0.36), (0.13, -0.24), (waist, -0.12), (0.2, 0.12),
        (hem, 0.46)]
    outline = smooth(*half, (0, 0.49), *((-x, y) for x, y in reversed(half)), (0, -0.4))
    pen.part(outline, puff=0.14)
    folds = rng.randint(4, 6)
    spread = ((2 * n + 1) / folds * hem - hem for n in range(folds))
    pen.mark(*(stroke([(x * 0.25, -0.08), (x, 0.47)], 0.006, 0.03) for x in spread), shade=0.75)
    pen.part(box(-waist - 0.012, -0.15, waist + 0.012, -0.09), slot=1, puff=0.04)


def hat(pen: Pen, rng: Random) -> None:
    """Slots: body, band."""
    crown, high = rng.uniform(0.2, 0.26), rng.uniform(0.26, 0.4)
    flat = rng.random() < 0.5
    pen.part(oval(0, 0.18, 0.48, rng.uniform(0.1, 0.14)), puff=0.06)
    top = 0.16 - high
    if flat:
        body = smooth((-crown, 0.2), (-crown, top), (-crown + 0.03, top - 0.02), (crown - 0.03, top - 0.02),
            (crown, top), (crown, 0.2), (0, 0.24))
    else:
        body = smooth((-crown, 0.2), (-crown * 0.9, top + 0.1), (0, top), (crown * 0.9, top + 0.1),
            (crown, 0.2), (0, 0.24))
    pen.part(body, puff=0.16)
    band = stroke(smooth((-crown - 0.005, 0.14), (0, 0.19), (crown + 0.005, 0.14), closed=False), 0.075)
    pen.part(band, slot=1, puff=0.03)


def shoe(pen: Pen, rng: Random) -> None:
    """Slots: upper, ornament."""
    heel = rng.uniform(0.08, 0.2)
    pen.paint(smooth((-0.42, 0.24 - heel), (-0.3, 0.24 - heel), (-0.31, 0.25), (-0.41, 0.25), steps=3),
        colour=(58, 42, 34))
    pen.paint(stroke(smooth((-0.42, 0.22 - heel), (-0.1, 0.16), (0.1, 0.22), (0.46, 0.24), closed=False),
        0.05), colour=(66, 48, 38))
    pen.part(smooth((-0.42, 0.22 - heel), (-0.44, -0.1 - heel * 0.5), (-0.34, -0.14 - heel * 0.5),
        (-0.22, 0.0), (0.02, 0.0), (0.22, 0.06), (0.44, 0.14), (0.47, 0.22), (0.1, 0.21), (-0.12, 0.15)),
        puff=0.14)
    pen.mark(smooth((-0.4, -0.11 - heel * 0.5), (-0.3, -0.1 - heel * 0.5), (-0.2, 0.015), (-0.02, 0.01),
        (-0.2, 0.04)), shade=0.3)
    if rng.random() < 0.7:
        pen.part(oval(0.06, 0.03, 0.05, 0.04, sides=rng.choice((4, 30))), slot=1, puff=0.03)


def ring(pen: Pen, rng: Random) -> None:
    """Slots: hoop, stone."""
    thick = rng.uniform(0.05, 0.08)
    pen.part(oval(0, 0.1, 0.32, 0.34), cut=[oval(0, 0.11, 0.32 - thick, 0.34 - thick)], puff=0.05)
    pen.part(shape((-0.13, -0.16), (0.13, -0.16), (0.08, -0.26), (-0.08, -0.26)), puff=0.04)
    pen.part(oval(0, -0.31, rng.uniform(0.1, 0.16), 0.12, sides=rng.choice((6, 8, 24))), slot=1, puff=0.09)
    pen.paint(shape((-0.05, -0.36), (0.0, -0.39), (0.02, -0.36), (-0.03, -0.33)), colour=(255, 255, 255),
        opacity=0.8)


def helmet(pen: Pen, rng: Random) -> None:
    """Slots: bowl, crest."""
    pen.part(smooth((-0.36, 0.02), (-0.34, -0.34), (0, -0.5), (0.3, -0.42), (0.34, -0.3), (0, -0.36),
        (-0.22, -0.2)), slot=1, puff=0.06)
    pen.part(smooth((-0.3, 0.1), (-0.28, -0.2), (0, -0.38), (0.28, -0.2), (0.3, 0.1), (0.26, 0.42),
        (0.1, 0.3), (0.08, 0.08), (-0.04, 0.1), (-0.12, 0.42), (-0.3, 0.44)), puff=0.18)
    pen.part(stroke([(-0.32, 0.02), (0.34, 0.04)], 0.07, 0.05), puff=0.04)
    pen.mark(shape((0.02, 0.08), (0.28, 0.09), (0.26, 0.2), (0.08, 0.16)), shade=0.25)
    pen.part(*(oval(x, 0.025, 0.02, sides=12) for x in (-0.24, -0.1, 0.04, 0.18)), puff=0.02)


def sword(pen: Pen, rng: Random) -> None:
    """Slots: blade, guard, grip."""
    wide, bend = rng.uniform(0.07, 0.1), rng.choice((0.0, 0.0, 0.1))
    spine = smooth((0, 0.22), (bend * 0.3, -0.14), (bend * 1.2, -0.48), closed=False)
    pen.part(stroke(spine, wide * 1.4, wide * 0.35), puff=0.05)
    pen.mark(stroke(spine[:-4], 0.016), shade=0.7)
    pen.part(stroke([(0, 0.2), (0, 0.43)], 0.085), slot=2, puff=0.06)
    guard = smooth((-0.2, rng.uniform(0.13, 0.22)), (0, 0.2), (0.2, 0.2), closed=False)
    pen.part(stroke(guard, 0.075), oval(0, 0.45, 0.07), slot=1, puff=0.05)


def shield(pen: Pen, rng: Random) -> None:
    """Slots: field, boss and rim."""
    if rng.random() < 0.5:
        pen.part(oval(0, 0, 0.46), slot=1, puff=0.04)
        pen.part(oval(0, 0, 0.405), puff=0.1)
        pen.part(*(oval(x, y, 0.022, sides=10) for x, y in arc(0, 0, 0.43, 0.43, 0, 330, 12)), slot=1,
            puff=0.02)
    else:
        outer = smooth((-0.36, -0.44), (0, -0.4), (0.36, -0.44), (0.36, 0.0), (0, 0.48), (-0.36, 0.0))
        pen.part(outer, slot=1, puff=0.04)
        pen.part(outer * 0.86, puff=0.1)
        pen.part(box(-0.03, -0.36, 0.03, 0.38), box(-0.3, -0.12, 0.3, -0.06), slot=1, puff=0.03)
    pen.part(oval(0, 0 if rng.random() < 0.5 else -0.09, 0.11), slot=1, puff=0.12)
