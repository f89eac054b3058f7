"""The kinds of things the miniature collection holds: how each is drawn, made, and called."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from eufcc_cli.core.collect.demo import costume, curios, household, pictures
from eufcc_cli.core.collect.demo.brush import Pen

Path = tuple[str, ...]
Slots = tuple[tuple[str, ...], ...]

_CLAY = ("terracotta", "porcelain", "stoneware")
_WOOD = ("oak", "walnut", "pine")
_CLOTH = ("silk", "cotton", "wool", "velvet")
_METAL = ("gold", "silver", "bronze", "iron")
_STONE = ("marble", "granite", "bronze", "terracotta")


@dataclass(frozen=True)
class Kind:
    """One kind of object: its paths in objectTypes, what each slot may be made of, its discipline.

    `upright` objects stand on the ground; the others lie or hang. A picture's annotated materials are
    `listed`, since its slots are only the frame or the sheet.
    """

    name: str
    paths: tuple[Path, ...]
    discipline: Path
    slots: Slots
    draw: Callable[[Pen, Random], None] | None = None
    picture: Callable[[Pen, str], None] | None = None
    upright: bool = True
    listed: Path = ()
    scenes: tuple[str, ...] = tuple(pictures.SCENES)


_INTERIOR = ("arts", "applied arts", "interior design")
_FASHION = ("arts", "applied arts", "fashion design")
_FINE = ("arts", "visual arts", "fine arts")
_PHOTOGRAPHY = ("arts", "visual arts", "photography")
_MUSIC = ("arts", "performing arts", "music")
_COINS = ("humanities", "history", "numismatics")
_MILITARY = ("humanities", "history", "military history")
_PEOPLES = ("humanities", "anthropology")

_VESSEL = ("container", "vessel")
_COSTUME = ("costume", "main garment")
_ACCESSORY = ("costume", "costume accessory")
_JEWELRY = ("costume", "jewelry")
_VISUAL = ("visual work",)
_SOUND = ("musical instrument",)
_ARMS = ("arms and armor",)


def _kind(
    name: str,
    parent: Path,
    discipline: Path,
    draw: Callable[[Pen, Random], None],
    *slots: Path,
    lies: bool = False,
) -> Kind:
    return Kind(name, ((*parent, name),), discipline, slots, draw=draw, upright=not lies)


def _picture(
    name: str, parent: Path, draw: Callable[[Pen, str], None], frame: Path, *listed: str, of: str = ""
) -> Kind:
    discipline = _PHOTOGRAPHY if name == "photograph" else _FINE
    scenes = tuple(of.split(", ")) if of else tuple(pictures.SCENES)
    return Kind(
        name,
        ((*parent, name),),
        discipline,
        (frame,),
        picture=draw,
        upright=False,
        listed=listed,
        scenes=scenes,
    )


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _kind("vase", _VESSEL, _INTERIOR, household.vase, (*_CLAY, "glass", "bronze")),
        _kind("jug", _VESSEL, _INTERIOR, household.jug, (*_CLAY, "silver")),
        _kind("bowl", _VESSEL, _INTERIOR, household.bowl, (*_CLAY, "glass", "silver", *_WOOD[:2])),
        _kind("bottle", _VESSEL, _INTERIOR, household.bottle, ("glass", "glass", "stoneware")),
        _kind(
            "teapot",
            (*_VESSEL, "tableware"),
            _INTERIOR,
            household.teapot,
            ("porcelain", "stoneware", "silver", "iron"),
        ),
        _kind("goblet", (*_VESSEL, "tableware"), _INTERIOR, household.goblet, ("glass", "silver", "gold")),
        _kind(
            "plate",
            (*_VESSEL, "tableware"),
            _INTERIOR,
            household.plate,
            ("porcelain", "stoneware", "silver", "terracotta"),
            lies=True,
        ),
        _kind(
            "chair",
            ("furniture", "seating furniture"),
            _INTERIOR,
            household.chair,
            _WOOD,
            ("velvet", "leather", "straw", "cotton"),
        ),
        _kind("table", ("furniture",), _INTERIOR, household.table, (*_WOOD, "marble")),
        _kind(
            "chest", ("container", "storage furniture"), _INTERIOR, household.chest, _WOOD, ("iron", "gold")
        ),
        _kind(
            "clock",
            ("timepiece",),
            _INTERIOR,
            household.clock,
            (*_WOOD, "marble", "gold"),
            ("gold", "silver"),
        ),
        _kind("book", ("document",), _FINE, household.book, ("leather", "velvet"), ("paper",), lies=True),
        _kind(
            "dress",
            _COSTUME,
            _FASHION,
            costume.dress,
            ("silk", "cotton", "velvet"),
            ("silk", "leather"),
            lies=True,
        ),
        _kind(
            "robe",
            _COSTUME,
            _FASHION,
            costume.robe,
            ("silk", "wool", "cotton"),
            ("silk", "velvet"),
            lies=True,
        ),
        _kind(
            "hat",
            (*_ACCESSORY, "headgear"),
            _FASHION,
            costume.hat,
            ("straw", "wool", "velvet"),
            ("silk", "leather"),
        ),
        _kind(
            "crown",
            (*_ACCESSORY, "headgear"),
            _FASHION,
            costume.crown,
            ("gold", "silver"),
            ("gemstone", "pearl"),
        ),
        _kind(
            "shoe",
            (*_ACCESSORY, "footwear"),
            _FASHION,
            costume.shoe,
            ("leather", "silk", "velvet"),
            ("silver", "gold"),
        ),
        _kind("boot", (*_ACCESSORY, "footwear"), _FASHION, costume.boot, ("leather", "wool")),
        _kind("fan", _ACCESSORY, _FASHION, costume.fan, ("silk", "paper"), ("ivory", "walnut"), lies=True),
        _kind("ring", _JEWELRY, _FASHION, costume.ring, ("gold", "silver"), ("gemstone", "pearl"), lies=True),
        _kind(
            "necklace",
            _JEWELRY,
            _FASHION,
            costume.necklace,
            ("gold", "silver"),
            ("pearl", "gemstone", "gold"),
            lies=True,
        ),
        Kind(
            "helmet",
            ((*_ARMS, "armor", "helmet"), (*_ACCESSORY, "headgear", "helmet")),
            _MILITARY,
            (("iron", "bronze"), ("leather", "gold")),
            costume.helmet,
        ),
        _kind(
            "shield",
            (*_ARMS, "armor"),
            _MILITARY,
            costume.shield,
            (*_WOOD, "leather"),
            ("iron", "bronze"),
            lies=True,
        ),
        _kind(
            "sword",
            (*_ARMS, "edged weapon"),
            _MILITARY,
            costume.sword,
            ("iron",),
            ("gold", "bronze"),
            ("leather", "walnut"),
            lies=True,
        ),
        _kind(
            "violin",
            (*_SOUND, "string instrument"),
            _MUSIC,
            curios.violin,
            _WOOD[:2],
            ("iron", "walnut"),
            lies=True,
        ),
        _kind(
            "lute",
            (*_SOUND, "string instrument"),
            _MUSIC,
            curios.lute,
            ("pine", "oak"),
            ("walnut",),
            lies=True,
        ),
        _kind("trumpet", (*_SOUND, "wind instrument"), _MUSIC, curios.trumpet, ("gold", "silver"), lies=True),
        _kind(
            "drum",
            (*_SOUND, "percussion instrument"),
            _MUSIC,
            curios.drum,
            ("oak", "pine", "iron"),
            ("leather",),
            ("walnut",),
        ),
        _kind("coin", ("exchange medium",), _COINS, curios.coin, ("gold", "silver", "bronze"), lies=True),
        _kind("medal", ("award",), _COINS, curios.medal, ("gold", "silver", "bronze"), ("silk",), lies=True),
        _kind("bust", (*_VISUAL, "sculpture"), _FINE, curios.bust, _STONE),
        _kind(
            "statuette",
            (*_VISUAL, "sculpture"),
            _FINE,
            curios.statuette,
            ("bronze", "ivory", "terracotta"),
            ("marble", "granite", "walnut"),
        ),
        _kind(
            "mask",
            ("costume", "costume accessory"),
            _PEOPLES,
            curios.mask,
            ("walnut", "oak", "terracotta"),
            ("ivory", "straw"),
            lies=True,
        ),
        _picture(
            "oil painting",
            (*_VISUAL, "painting"),
            pictures.oil_painting,
            ("gold", "oak", "walnut"),
            "oil paint",
            "canvas",
        ),
        _picture(
            "watercolor painting",
            (*_VISUAL, "painting"),
            pictures.watercolor,
            ("paper",),
            "watercolor",
            "paper",
            of="landscape, seascape, cityscape, birds",
        ),
        _picture("engraving", (*_VISUAL, "print"), pictures.engraving, ("paper",), "ink", "paper"),
        _picture("drawing", _VISUAL, pictures.chalk_drawing, ("paper",), "chalk", "paper"),
        _picture(
            "photograph",
            _VISUAL,
            pictures.photograph,
            ("paper",),
            "photographic paper",
            of="portrait, cityscape, seascape",
        ),
    )
}

_TEXTILE = ("textile",)
MATERIALS: dict[str, tuple[Path, ...]] = {
    "gold": (("metal", "precious metal", "gold"),),
    "silver": (("metal", "precious metal", "silver"),),
    "bronze": (("metal", "copper alloy", "bronze"),),
    "iron": (("metal", "iron"),),
    "oak": (("plant material", "wood", "hardwood", "oak"),),
    "walnut": (("plant material", "wood", "hardwood", "walnut"),),
    "pine": (("plant material", "wood", "softwood", "pine"),),
    "straw": (("plant material", "straw"),),
    "cotton": ((*_TEXTILE, "cotton"), ("plant material", "cotton")),
    "silk": ((*_TEXTILE, "silk"), ("animal material", "silk")),
    "wool": ((*_TEXTILE, "wool"), ("animal material", "wool")),
    "velvet": ((*_TEXTILE, "pile fabric", "velvet"),),
    "canvas": ((*_TEXTILE, "canvas"),),
    "leather": (("animal material", "leather"),),
    "ivory": (("animal material", "ivory"),),
    "pearl": (("animal material", "pearl"),),
    "terracotta": (("ceramic", "earthenware", "terracotta"),),
    "porcelain": (("ceramic", "porcelain"),),
    "stoneware": (("ceramic", "stoneware"),),
    "glass": (("glass",),),
    "marble": (("stone", "marble"),),
    "granite": (("stone", "granite"),),
    "gemstone": (("stone", "gemstone"),),
    "paper": (("paper",),),
    "photographic paper": (("paper", "photographic paper"),),
    "oil paint": (("paint", "oil paint"),),
    "watercolor": (("paint", "watercolor"),),
    "ink": (("ink",),),
    "chalk": (("chalk",),),
}

SUBJECTS: dict[str, Path] = {
    "portrait": ("people", "portrait"),
    "landscape": ("places", "landscape"),
    "seascape": ("places", "seascape"),
    "cityscape": ("places", "cityscape"),
    "still life": ("still life",),
    "birds": ("animals", "birds"),
}

COMPANIONS: dict[str, tuple[str, ...]] = {
    "vase": ("bowl", "vase"),
    "bowl": ("jug", "goblet", "bottle"),
    "jug": ("bowl", "goblet"),
    "teapot": ("bowl",),
    "chair": ("table",),
    "table": ("chair",),
    "coin": ("medal", "coin"),
    "medal": ("coin",),
    "ring": ("necklace",),
    "necklace": ("ring",),
    "hat": ("shoe", "boot"),
    "shoe": ("hat",),
    "violin": ("trumpet",),
    "trumpet": ("violin", "lute"),
    "sword": ("shield",),
    "shield": ("sword",),
    "bust": ("vase", "statuette"),
    "book": ("coin",),
    "dress": ("fan",),
}
