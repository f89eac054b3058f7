"""The kinds of objects in the demonstration collection: drawing, materials and names (collection.toml)."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from eufcc_cli.core.demo import costume, curios, household, pictorial_works

Path = tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """One kind of object: its paths in objectTypes, its discipline, and the possible materials of each slot.

    Only the materials of the first `listed` slots are annotated: the others are too small to recognise.
    A kind with `scenes` is a picture; its annotated materials are `medium`, without the frame. A kind that
    `hangs` is shown on the wall if there is one.
    """

    paths: tuple[Path, ...]
    discipline: Path
    draw: Callable[..., None]
    slots: tuple[Path, ...]
    listed: int
    hangs: bool
    medium: Path = ()
    scenes: Path = ()


def path(text: str) -> Path:
    """The names of a path in the format of annotations.

    >>> path("metal | copper alloy | bronze")
    ('metal', 'copper alloy', 'bronze')
    """
    return tuple(text.split(" | "))


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(map(path, text.split(" $ ")))


def _kind(name: str, entry: dict[str, Any]) -> Kind:
    drawing = name.replace(" ", "_")
    room = next(room for room in (household, costume, curios, pictorial_works) if hasattr(room, drawing))
    slots = tuple(tuple(materials.split()) for materials in entry["parts"])
    return Kind(
        _paths(entry["path"]),
        path(CONTENT["disciplines"][entry["discipline"]]),
        getattr(room, drawing),
        slots,
        len(slots) - entry.get("unlisted", 0),
        entry.get("hangs", "scenes" in entry),
        tuple(entry.get("medium", ())),
        tuple(entry.get("scenes", ())),
    )


CONTENT = tomllib.loads(files("eufcc_cli.core.demo").joinpath("collection.toml").read_text("utf-8"))
KINDS = {name: _kind(name, entry) for name, entry in (CONTENT["kinds"] | CONTENT["pictures"]).items()}
MATERIALS = {name: _paths(text) for name, text in CONTENT["materials"].items()}
SUBJECTS = {name: path(text) for name, text in CONTENT["subjects"].items()}
COMPANIONS: dict[str, Path] = {name: tuple(names) for name, names in CONTENT["companions"].items()}
