"""The museums of the demonstration collection: how each photographs and annotates (collection.toml)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from eufcc_cli.core.demo import backdrops
from eufcc_cli.core.demo.backdrops import Backdrop, Colour
from eufcc_cli.core.demo.objects import CONTENT


class Parent(StrEnum):
    """The parents that a provider annotates for a name with two."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


class Place(StrEnum):
    """Where a provider's backdrop places objects."""

    ROOM = "a wall to hang things on, a ground to stand them on"
    STAND = "a ground only"
    SURFACE = "seen from above: everything lies"


@dataclass(frozen=True)
class Provider:
    """One provider. Lengths are shares of the picture's side, angles degrees, shares probabilities.

    `stops` are the inner tags at which its annotations end; `hurried` is the share of other annotations that
    end one level early; `favours` multiplies the weight of the kinds that it collects most.
    """

    name: str
    backdrop: Backdrop
    colours: tuple[Colour, ...]
    place: Place = Place.ROOM
    scale: tuple[float, float] = (0.66, 0.8)
    angle: float = 4
    light: tuple[float, float] = (-0.6, -0.8)
    shadow: float = 0.5
    contrast: float = 1.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    grey: float = 0.0
    noise: float = 3.0
    blur: float = 0.0
    vignette: float = 0.0
    margin: float = 0.0
    favours: dict[str, float] = field(default_factory=dict)
    stops: frozenset[str] = frozenset()
    hurried: float = 0.06
    parents: Parent = Parent.FIRST
    main_material_only: bool = False


def _provider(entry: dict[str, Any]) -> Provider:
    kinds: dict[str, Callable[[Any], Any]] = {
        "backdrop": lambda name: getattr(backdrops, name),
        "place": lambda name: Place[name.upper()],
        "parents": Parent,
        "favours": dict,
        "stops": frozenset,
        "colours": lambda colours: tuple(map(tuple, colours)),
    }
    values = {
        name: kinds.get(name, tuple if isinstance(value, list) else lambda value: value)(value)
        for name, value in entry.items()
        if name != "held_out"
    }
    return Provider(**values)


INNER = tuple(_provider(entry) for entry in CONTENT["providers"] if "held_out" not in entry)
OUTER = tuple(_provider(entry) for entry in CONTENT["providers"] if "held_out" in entry)
