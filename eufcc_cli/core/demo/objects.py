"""The kinds of things the miniature collection holds: how each is drawn, made, and called."""

# Points are read several to a line.
# fmt: off
from collections.abc import Callable
from dataclasses import dataclass

from eufcc_cli.core.demo import costume, curios, household, pictures

Path = tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """One kind of object: its paths in objectTypes, its discipline, and what each slot may be made of.

    Only the materials of the first `listed` slots are annotated: the others are too small to tell.
    A kind with `scenes` is a picture; its annotated materials are `medium`, whatever frames it. What
    `hangs` is shown on the wall where there is one.
    """

    paths: tuple[Path, ...]
    discipline: Path
    draw: Callable[..., None]
    slots: tuple[Path, ...]
    listed: int
    hangs: bool = False
    medium: Path = ()
    scenes: Path = ()


def path(text: str) -> Path:
    """The names of a path written as annotations write it.

    >>> path("metal | copper alloy | bronze")
    ('metal', 'copper alloy', 'bronze')
    """
    return tuple(text.split(" | "))


_DISCIPLINES = {
    tag[-1]: tag
    for tag in map(
        path,
        (
            "arts | applied arts | interior design",
            "arts | applied arts | fashion design",
            "arts | visual arts | fine arts",
            "arts | visual arts | photography",
            "arts | performing arts | music",
            "humanities | history | numismatics",
            "humanities | history | military history",
            "humanities | anthropology",
        ),
    )
}


def _kind(
    text: str, discipline: str, draw: Callable[..., None], *slots: str, unlisted: int = 0, hangs: bool = False
) -> Kind:
    """A kind from its annotation and its slots' materials, the last `unlisted` slots not annotated."""
    made_of = tuple(tuple(slot.split()) for slot in slots)
    paths = tuple(map(path, text.split(" $ ")))
    return Kind(paths, _DISCIPLINES[discipline], draw, made_of, len(slots) - unlisted, hangs)


def _picture(
    text: str, draw: Callable[..., None], sheet: str, medium: str, discipline: str = "fine arts", of: str = ""
) -> Kind:
    scenes = tuple(of.split(", ")) if of else tuple(pictures.SCENES)
    made_of = (tuple(sheet.split()),)
    return Kind(
        (path(text),), _DISCIPLINES[discipline], draw, made_of, 0, True, tuple(medium.split(", ")), scenes
    )


_HOME, _WEAR, _FIGHT = "interior design", "fashion design", "military history"
_WOOD = "oak walnut pine"

KINDS: dict[str, Kind] = {
    kind.paths[0][-1]: kind
    for kind in (
        _kind("container | vessel | vase", _HOME, household.vase,
            "terracotta porcelain stoneware glass bronze"),
        _kind("container | vessel | jug", _HOME, household.jug, "terracotta porcelain stoneware silver"),
        _kind("container | vessel | bowl", _HOME, household.bowl,
            "terracotta porcelain stoneware glass oak walnut"),
        _kind("container | vessel | bottle", _HOME, household.bottle, "glass glass stoneware"),
        _kind("container | vessel | tableware | teapot", _HOME, household.teapot,
            "porcelain stoneware silver iron"),
        _kind("container | vessel | tableware | goblet", _HOME, household.goblet, "glass silver gold"),
        _kind("container | vessel | tableware | plate", _HOME, household.plate, "porcelain stoneware"),
        _kind("container | chest", _HOME, household.chest, _WOOD, "iron gold"),
        _kind("furniture | seating furniture | chair", _HOME, household.chair, _WOOD,
            "velvet leather straw"),
        _kind("furniture | table", _HOME, household.table, f"{_WOOD} marble"),
        _kind("timepiece | clock", _HOME, household.clock, f"{_WOOD} marble", "gold silver", unlisted=1),
        _kind("document | book", "fine arts", household.book, "leather velvet", "paper"),
        _kind("costume | main garment | dress", _WEAR, costume.dress, "silk cotton velvet", "leather",
            unlisted=1, hangs=True),
        _kind("costume | main garment | robe", _WEAR, costume.robe, "silk wool cotton", "velvet", unlisted=1,
            hangs=True),
        _kind("costume | accessory | headgear | hat", _WEAR, costume.hat, "straw straw wool velvet",
            "silk leather", unlisted=1),
        _kind("costume | accessory | headgear | crown", _WEAR, costume.crown, "gold silver",
            "gemstone pearl"),
        _kind("costume | accessory | footwear | shoe", _WEAR, costume.shoe, "leather silk velvet",
            "silver gold", unlisted=1),
        _kind("costume | accessory | footwear | boot", _WEAR, costume.boot, "leather wool"),
        _kind("costume | accessory | fan", _WEAR, costume.fan, "silk paper", "ivory walnut", hangs=True),
        _kind("costume | jewelry | ring", _WEAR, costume.ring, "gold silver", "gemstone pearl"),
        _kind("costume | jewelry | necklace", _WEAR, costume.necklace, "gold silver", "pearl gemstone",
            hangs=True),
        _kind("arms and armor | armor | helmet $ costume | accessory | headgear | helmet", _FIGHT,
            costume.helmet, "iron bronze", "leather velvet", unlisted=1),
        _kind("arms and armor | armor | shield", _FIGHT, costume.shield, f"{_WOOD} leather", "iron bronze",
            hangs=True),
        _kind("arms and armor | edged weapon | sword", _FIGHT, costume.sword, "iron", "gold bronze",
            "leather", hangs=True),
        _kind("musical instrument | string instrument | violin", "music", curios.violin, "oak walnut", "iron",
            unlisted=1),
        _kind("musical instrument | string instrument | lute", "music", curios.lute, "pine oak", "walnut",
            unlisted=1),
        _kind("musical instrument | wind instrument | trumpet", "music", curios.trumpet, "gold silver"),
        _kind("musical instrument | percussion instrument | drum", "music", curios.drum, "oak pine",
            "parchment", "walnut", unlisted=1),
        _kind("exchange medium | coin", "numismatics", curios.coin, "gold silver bronze"),
        _kind("award | medal", "numismatics", curios.medal, "gold silver bronze", "silk", hangs=True),
        _kind("visual work | sculpture | bust", "fine arts", curios.bust,
            "marble marble granite bronze terracotta"),
        _kind("visual work | sculpture | statuette", "fine arts", curios.statuette, "bronze ivory terracotta",
            "marble granite walnut"),
        _kind("ceremonial object | mask", "anthropology", curios.mask, "walnut oak terracotta", "ivory straw",
            unlisted=1, hangs=True),
        _picture("visual work | painting | oil painting", pictures.oil_painting, "gold oak walnut",
            "oil paint, canvas"),
        _picture("visual work | painting | watercolor painting", pictures.watercolor, "paper",
            "watercolor, paper", of="landscape, seascape, cityscape, birds"),
        _picture("visual work | print | engraving", pictures.engraving, "paper", "ink, paper"),
        _picture("visual work | drawing", pictures.chalk_drawing, "paper", "chalk, paper"),
        _picture("visual work | photograph", pictures.photograph, "paper", "photographic paper",
            "photography", of="portrait, cityscape, seascape"),
    )
}

MATERIALS: dict[str, tuple[Path, ...]] = {
    text.split(" $ ")[0].split(" | ")[-1]: tuple(map(path, text.split(" $ ")))
    for text in (
        "metal | precious metal | gold",
        "metal | precious metal | silver",
        "metal | copper alloy | bronze",
        "metal | iron",
        "plant material | wood | hardwood | oak",
        "plant material | wood | hardwood | walnut",
        "plant material | wood | softwood | pine",
        "plant material | straw",
        "textile | cotton $ plant material | cotton",
        "textile | silk $ animal material | silk",
        "textile | wool $ animal material | wool",
        "textile | pile fabric | velvet",
        "textile | canvas",
        "animal material | leather",
        "animal material | parchment",
        "animal material | ivory",
        "animal material | pearl",
        "ceramic | earthenware | terracotta",
        "ceramic | porcelain",
        "ceramic | stoneware",
        "glass",
        "stone | marble",
        "stone | granite",
        "stone | gemstone",
        "paper",
        "paper | photographic paper",
        "paint | oil paint",
        "paint | watercolor",
        "ink",
        "chalk",
    )
}

SUBJECTS: dict[str, Path] = {
    "portrait": ("people", "portrait"),
    "landscape": ("places", "landscape"),
    "seascape": ("places", "seascape"),
    "cityscape": ("places", "cityscape"),
    "still life": ("still life",),
    "birds": ("animals", "birds"),
}

COMPANIONS: dict[str, Path] = {
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
