"""The accepted and added tags of each image, with their paths: what is exported to other systems."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from eufcc_cli.core.files import Root, visible
from eufcc_cli.core.model.model_files import read_config
from eufcc_cli.core.tagging.inputs import Input, file_iri, is_url
from eufcc_cli.core.tagging.selection import Suggestion
from eufcc_cli.core.tagging.tagger import Result
from eufcc_cli.core.taxonomy.decisions import Decision, Decisions
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy
from eufcc_cli.core.taxonomy.names import Names
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, most_specific
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class DecidedTag:
    """A tag that a person accepted or added, with the names from the top down to it."""

    facet: str
    path: tuple[str, ...]
    decision: Decision
    names: tuple[str, ...] = ()
    """The names of the tags on the path in the language asked for; empty without a language."""

    @property
    def tag(self) -> str:
        return self.path[-1]

    @property
    def suggestion(self) -> Suggestion:
        """The tag as a model's suggestion; an added tag has probability 1."""
        score = 1.0 if self.decision.score is None else self.decision.score
        return Suggestion(self.tag, self.path, score, names=self.names)


@dataclass(slots=True)
class DecidedImage:
    """An image with the tags that people accepted or added."""

    input: Input
    tags: list[DecidedTag] = field(default_factory=list)

    @property
    def reviewers(self) -> list[str]:
        return sorted({tag.decision.reviewer for tag in self.tags} - {""})

    @property
    def time(self) -> str:
        """When the last of the decisions was made."""
        return max((tag.decision.time for tag in self.tags), default="")

    def result(self) -> Result:
        """The image as a result of tagging."""
        found: dict[str, list[Suggestion]] = {}
        for tag in self.tags:
            found.setdefault(tag.facet, []).append(tag.suggestion)
        return Result(self.input, found)


def decided_images(
    decisions: Decisions,
    places: "TagPlaces",
    inputs: Iterable[Input] | None = None,
    *,
    leaves_only: bool = False,
    rejected: bool = False,
) -> Iterator[DecidedImage]:
    """The images with accepted or added tags: those among the inputs, or all in the decisions.

    Tags are sorted by facet, broader ones first. `leaves_only` leaves out the ancestors of other tags;
    `rejected` adds the images whose tags were all rejected, without tags.
    """
    by_image = decisions.by_image()
    for item in _named(decisions) if inputs is None else inputs:
        known = by_image.get(item.id or item.name) or by_image.get(item.name, [])
        tags = [DecidedTag(one.facet, places.path(one.facet, one.tag), one) for one in known if one.is_true]
        if leaves_only:
            tags = most_specific(tags, lambda tag: (tag.facet, *tag.path))
        if tags or (rejected and known):
            order = {facet: number for number, facet in enumerate(FACETS)}
            tags.sort(key=lambda tag: (order.get(tag.facet, len(order)), tag.path))
            yield DecidedImage(item, tags)


def named(images: Iterable[DecidedImage], names: Names, language: str) -> list[DecidedImage]:
    """The images with the names of their tags in a language, where they have one."""
    shown = {facet: names.shown(facet, language) for facet in FACETS}
    return [
        replace(
            image,
            tags=[
                replace(tag, names=tuple(map(shown[tag.facet], tag.path))) if tag.facet in shown else tag
                for tag in image.tags
            ],
        )
        for image in images
    ]


def _named(decisions: Decisions) -> Iterator[Input]:
    seen: set[str] = set()
    for decision in decisions:
        if decision.key.image not in seen:
            seen.add(decision.key.image)
            name = visible(decision.image)
            iri = name if is_url(name) else file_iri(Path(name))
            yield Input(name, Path(name), iri, decision.id)


class TagPlaces:
    """The paths of tags: from the root's label files, else from the vocabularies of models."""

    def __init__(self, root: Root, models: Iterable[str] = ()) -> None:
        self._trees: Mapping[str, Hierarchy] = {
            facet: Hierarchy.read(root.label_file(facet), facet)
            for facet in FACETS
            if root.label_file(facet).is_file()
        }
        self._vocabularies = [
            Vocabulary.from_json(read_config(root.run(name)).get("vocabulary"))
            for name in sorted(set(models))
            if (root.run(name) / "config.json").is_file()
        ]

    def path(self, facet: str, tag: str) -> tuple[str, ...]:
        """The path of a tag from the top level; only the tag if that is unknown."""
        tree = self._trees.get(facet)
        if tree is not None and tag in tree:
            return tree.path(tag)
        for vocabulary in self._vocabularies:
            tags = vocabulary.facets.get(facet)
            if tags is not None and tag in tags.index:
                return tags.path(tags.index[tag])
        return (tag,)


def tag_places(decisions: Decisions, root: Root) -> TagPlaces:
    """The paths of the tags of decisions."""
    models = {name for one in decisions if one.model for name in one.model.split("+")}
    return TagPlaces(root, (name for name in models if "/" not in name and "\\" not in name))
