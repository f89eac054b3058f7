"""How a collection is annotated: images, providers, coverage, tags per image, images per tag."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from eufcc_cli.core.taxonomy.hierarchy import Hierarchy
from eufcc_cli.core.taxonomy.tables.annotations import PROVIDER, names

MOST_FREQUENT = 25


@dataclass(frozen=True)
class FacetStatistics:
    """One facet in numbers.

    annotated: images with an annotation; tags_per_image: how many images have each number of tags (all
    the names on their paths, unannotated images left out); images_per_tag: the images of each tag, over
    its descendants, in descending order; tags_per_depth: how many tags stand at depth 1, 2, …;
    most_frequent: the first 25 tags with their images.
    """

    annotated: int
    tags_per_image: dict[int, int]
    images_per_tag: list[int]
    tags_per_depth: list[int]
    most_frequent: list[tuple[str, int]]

    @property
    def mean(self) -> float:
        """The mean number of tags of an annotated image."""
        return sum(tags * images for tags, images in self.tags_per_image.items()) / max(self.annotated, 1)

    @property
    def most(self) -> int:
        """The highest number of tags of an image."""
        return max(self.tags_per_image, default=0)


@dataclass(frozen=True)
class Statistics:
    """A collection in numbers: images per table, the images of each provider, and its facets."""

    images: dict[str, int]
    providers: Counter[str]
    facets: dict[str, FacetStatistics]

    @property
    def total(self) -> int:
        """All images."""
        return sum(self.images.values())

    def coverage(self, facet: str) -> float:
        """The share of images that are annotated in a facet."""
        return self.facets[facet].annotated / max(self.total, 1)


def statistics(tables: Mapping[str, pd.DataFrame], trees: Mapping[str, Hierarchy]) -> Statistics:
    """The statistics of named tables and of the trees built from them."""
    providers: Counter[str] = Counter()
    for table in tables.values():
        if PROVIDER in table:
            providers.update({str(name): rows for name, rows in table[PROVIDER].value_counts().items()})
    providers.pop("", None)
    return Statistics(
        {name: len(table) for name, table in tables.items()},
        providers,
        {facet: _of_facet(tree) for facet, tree in trees.items()},
    )


def _of_facet(tree: Hierarchy) -> FacetStatistics:
    tags_per_image: Counter[int] = Counter()
    for annotation, rows in tree.annotations.items():
        tags_per_image[len(names(annotation))] += rows
    tags_per_image.pop(0, None)
    depths = Counter(map(tree.depth, tree))
    return FacetStatistics(
        annotated=tags_per_image.total(),
        tags_per_image=dict(sorted(tags_per_image.items())),
        images_per_tag=sorted((tree.counts.images[name] for name in tree), reverse=True),
        most_frequent=sorted(
            ((name, tree.counts.images[name]) for name in tree), key=lambda tag: (-tag[1], tag[0])
        )[:MOST_FREQUENT],
        tags_per_depth=[depths[depth] for depth in range(1, max(depths, default=0) + 1)],
    )
