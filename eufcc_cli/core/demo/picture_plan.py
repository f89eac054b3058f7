"""What each picture shows and how its provider annotates it, as functions of seed and number only."""

from dataclasses import dataclass
from random import Random

from eufcc_cli.core.demo.objects import COMPANIONS, KINDS, MATERIALS, SUBJECTS, Path
from eufcc_cli.core.demo.providers import INNER, OUTER, Parent, Provider

_SHARE = {"objectTypes": 0.97, "materials": 0.86, "classifications": 0.13}
_SUBJECT_SHARE = 0.4  # of the pictures; about 9 % of all images
_PAIR_SHARE = 0.125
_CYCLE = ("train", "train", "test_id", "train", "train", "test_ood", "train", "val")


@dataclass(frozen=True)
class Thing:
    """One object: its kind, the materials of its slots, and the scene of a picture."""

    kind: str
    made_of: tuple[str, ...]
    scene: str = ""

    @property
    def materials(self) -> tuple[str, ...]:
        """The materials a careful cataloguer lists, most important first."""
        kind = KINDS[self.kind]
        return kind.medium or tuple(dict.fromkeys(self.made_of[: kind.listed]))


@dataclass(frozen=True)
class Plan:
    """One image: its id, split and provider, what it shows, and its annotation paths by facet."""

    id: str
    split: str
    provider: Provider
    things: tuple[Thing, ...]
    annotations: dict[str, tuple[Path, ...]]

    def rng(self, purpose: str) -> Random:
        """A stream of random numbers for this image and purpose only."""
        return Random(f"{self.id}/{purpose}")


def image_id(seed: int, number: int) -> str:
    """
    >>> image_id(0, 17)
    'demo-0-00017'
    """
    return f"demo-{seed}-{number:05}"


def plan(seed: int, number: int) -> Plan:
    """The plan of image `number`, which does not depend on the other images."""
    name = image_id(seed, number)
    rng = Random(f"{name}/plan")
    split = _CYCLE[number % len(_CYCLE)]
    provider = rng.choice(OUTER if split == "test_ood" else INNER)
    things = [_thing(rng, rng.choices(list(KINDS), [provider.favours.get(kind, 1.0) for kind in KINDS])[0])]
    if rng.random() < _PAIR_SHARE * len(KINDS) / len(COMPANIONS) and things[0].kind in COMPANIONS:
        things.append(_thing(rng, rng.choice(COMPANIONS[things[0].kind])))
    return Plan(name, split, provider, tuple(things), _annotate(rng, provider, things))


def _thing(rng: Random, kind: str) -> Thing:
    made_of = tuple(rng.choice(slot) for slot in KINDS[kind].slots)
    scenes = KINDS[kind].scenes
    return Thing(kind, made_of, rng.choice(scenes) if scenes else "")


def _annotate(rng: Random, provider: Provider, things: list[Thing]) -> dict[str, tuple[Path, ...]]:
    """The paths of each facet that the provider annotates, down to the level where it stops."""
    materials = [
        name
        for thing in things
        for name in (thing.materials[:1] if provider.main_material_only else thing.materials)
    ]
    described = {
        "objectTypes": [path for thing in things for path in _chosen(provider, KINDS[thing.kind].paths)],
        "materials": [
            path for name in dict.fromkeys(materials) for path in _chosen(provider, MATERIALS[name])
        ],
        "classifications": [KINDS[thing.kind].discipline for thing in things],
        "subjects": [SUBJECTS[thing.scene] for thing in things if thing.scene],
    }
    annotations = {}
    for facet, found in described.items():
        if found and rng.random() < _SHARE.get(facet, _SUBJECT_SHARE):
            annotations[facet] = tuple(dict.fromkeys(_cut(rng, provider, path) for path in found))
    return annotations


def _chosen(provider: Provider, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    if provider.parents is Parent.BOTH:
        return paths
    return (paths[-1 if provider.parents is Parent.SECOND else 0],)


def _cut(rng: Random, provider: Provider, path: Path) -> Path:
    for depth, tag in enumerate(path, 1):
        if tag in provider.stops:
            return path[:depth]
    return path[:-1] if len(path) > 1 and rng.random() < provider.hurried else path
