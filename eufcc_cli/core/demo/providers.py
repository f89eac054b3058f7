"""The museums of the miniature collection: how each photographs, and how each annotates."""

from dataclasses import dataclass, field
from enum import StrEnum

from eufcc_cli.core.demo import backdrops
from eufcc_cli.core.demo.backdrops import Backdrop, Colour


class Parent(StrEnum):
    """Which parents a provider gives a name that has two."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


class Place(StrEnum):
    """Where a provider's backdrop lets objects be."""

    ROOM = "a wall to hang things on, a ground to stand them on"
    STAND = "a ground only"
    SURFACE = "seen from above: everything lies"


@dataclass(frozen=True)
class Provider:
    """One provider. Lengths are shares of the picture's side, angles degrees, shares probabilities.

    `stops` are the inner tags at which it stops describing; `hurried` is how often it stops one level
    early anywhere; `favours` multiplies the weight of the kinds it collects most.
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
    ruler: float = 0.0
    chart: float = 0.0
    margin: float = 0.0
    favours: dict[str, float] = field(default_factory=dict)
    stops: frozenset[str] = frozenset()
    hurried: float = 0.06
    parents: Parent = Parent.FIRST
    main_material_only: bool = False


INNER = (
    Provider(
        "Museum of the Quiet River",
        backdrops.sweep,
        ((206, 208, 212), (190, 196, 204)),
        favours={"vase": 3, "bowl": 2, "teapot": 2, "plate": 2},
    ),
    Provider(
        "Harbour House Museum",
        backdrops.tabletop,
        ((176, 196, 198), (198, 204, 196)),
        light=(0.6, -0.8),
        tint=(1.03, 1.0, 0.94),
        favours={"clock": 3, "chest": 2, "trumpet": 2, "boot": 2},
        parents=Parent.SECOND,
    ),
    Provider(
        "Royal Wardrobe of Lindmark",
        backdrops.plain,
        ((236, 232, 226), (226, 226, 230)),
        angle=2,
        shadow=0.3,
        favours={"dress": 4, "robe": 4, "hat": 3, "shoe": 3, "fan": 3, "boot": 2},
        parents=Parent.BOTH,
    ),
    Provider(
        "Coin Cabinet of Vesper",
        backdrops.drapery,
        ((44, 62, 104), (34, 76, 70)),
        Place.SURFACE,
        scale=(0.6, 0.72),
        angle=10,
        contrast=1.08,
        ruler=0.5,
        favours={"coin": 5, "medal": 5, "ring": 3, "necklace": 2, "crown": 2},
    ),
    Provider(
        "Gallery on the Hill",
        backdrops.gallery,
        ((238, 234, 224), (214, 222, 214)),
        favours={"oil painting": 5, "bust": 3, "watercolor painting": 3, "drawing": 2},
        stops=frozenset({"sculpture"}),
    ),
    Provider(
        "University Collection of Sarn",
        backdrops.squared,
        ((240, 238, 226),),
        Place.SURFACE,
        angle=6,
        ruler=0.9,
        noise=5,
        favours={"mask": 3, "bowl": 2, "jug": 2, "statuette": 2},
        stops=frozenset({"earthenware", "tableware"}),
        main_material_only=True,
    ),
    Provider(
        "Print Room of Ostrava Gate",
        backdrops.linen,
        ((196, 184, 160), (206, 200, 186)),
        Place.SURFACE,
        chart=0.8,
        favours={"engraving": 5, "drawing": 4, "photograph": 4, "book": 3, "watercolor painting": 3},
    ),
    Provider(
        "Museum of Sound",
        backdrops.shelf,
        ((88, 72, 62), (70, 78, 84)),
        Place.STAND,
        contrast=1.05,
        tint=(1.04, 1.0, 0.92),
        favours={"violin": 5, "lute": 5, "trumpet": 4, "drum": 4},
    ),
    Provider(
        "Castle Armoury of Brandt",
        backdrops.plinth,
        ((96, 98, 108), (112, 100, 92)),
        Place.STAND,
        light=(-0.9, -0.4),
        contrast=1.12,
        vignette=0.25,
        favours={"helmet": 5, "shield": 5, "sword": 5, "chair": 2},
        stops=frozenset({"wood"}),
    ),
    Provider(
        "Villa Aurora",
        backdrops.wallpaper,
        ((150, 170, 144), (188, 150, 132), (146, 156, 184)),
        light=(0.7, -0.7),
        favours={"chair": 3, "table": 3, "clock": 2, "goblet": 3, "bottle": 2},
        stops=frozenset({"precious metal"}),
    ),
    Provider(
        "Old Photographic Archive",
        backdrops.sweep,
        ((176, 176, 176), (150, 150, 150)),
        grey=0.7,
        noise=9,
        blur=0.4,
        vignette=0.3,
        margin=0.8,
        favours={"photograph": 3, "statuette": 2, "bust": 2, "book": 2},
    ),
)
OUTER = (
    Provider(
        "Courtyard Museum",
        backdrops.bricks,
        ((172, 112, 94), (176, 150, 132)),
        scale=(0.56, 0.7),
        angle=8,
        light=(0.9, -0.3),
        contrast=1.08,
        tint=(1.04, 0.99, 0.92),
        hurried=0.15,
        parents=Parent.SECOND,
    ),
    Provider(
        "Night Museum",
        backdrops.spotlight,
        ((188, 176, 152), (160, 168, 186)),
        Place.STAND,
        scale=(0.55, 0.7),
        angle=8,
        light=(0.2, -1.0),
        contrast=1.06,
        tint=(1.04, 0.98, 0.9),
        noise=5,
        vignette=0.25,
        parents=Parent.BOTH,
    ),
    Provider(
        "Open-Air Museum Fernleigh",
        backdrops.garden,
        ((86, 128, 66), (110, 134, 80)),
        Place.STAND,
        scale=(0.6, 0.72),
        angle=8,
        tint=(0.9, 1.04, 0.96),
        blur=0.3,
        noise=6,
        main_material_only=True,
    ),
    Provider(
        "Palace of Mirrors",
        backdrops.tiles,
        ((226, 222, 236), (236, 216, 200)),
        Place.SURFACE,
        scale=(0.85, 1.05),
        angle=20,
        contrast=0.72,
        tint=(0.9, 0.96, 1.16),
        noise=5,
        chart=0.3,
        hurried=0.12,
        parents=Parent.SECOND,
    ),
)
