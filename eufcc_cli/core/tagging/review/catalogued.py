"""Data from a root or a table about the images under review: files, providers and records."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from eufcc_cli.core.download.image_locations import find_images
from eufcc_cli.core.files import Root, possible_ids
from eufcc_cli.core.tagging.review.suggestions import Suggestions, locate
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import (
    FACET_COLUMNS,
    FACETS,
    ID,
    PROVIDER,
    facet_column,
    paths,
)

if TYPE_CHECKING:
    import pandas as pd


def add_catalogue(suggestions: Suggestions, root: Root, table: "pd.DataFrame | None" = None) -> None:
    """Add files, providers and records to the images.

    table: an annotation table; by default those of the root. An image without an id is looked up by its
    file's name.
    """
    locate(suggestions, find_images(root, [image.id for image in suggestions.images if image.id]))
    wanted: dict[str, int] = {}
    for number, image in enumerate(suggestions.images):
        for image_id in [image.id] if image.id else possible_ids(image.name):
            wanted.setdefault(image_id, number)
    for frame in _tables(root) if table is None else [table]:
        _add_records(suggestions, frame[frame[ID].isin(wanted.keys())], wanted)


def _tables(root: Root) -> Iterable["pd.DataFrame"]:
    for split in root.splits():
        yield read_table(root.table(split), [ID, PROVIDER, *FACET_COLUMNS])


def _add_records(suggestions: Suggestions, rows: "pd.DataFrame", wanted: dict[str, int]) -> None:
    columns = [rows[name].tolist() if name in rows else [""] * len(rows) for name in (ID, PROVIDER)]
    facets = {facet: rows[facet_column(facet)].tolist() for facet in FACETS if facet_column(facet) in rows}
    for i, (image_id, provider) in enumerate(zip(*columns, strict=True)):
        image = suggestions.images[wanted[image_id]]
        image.provider = provider
        image.record = {facet: found for facet, texts in facets.items() if (found := paths(texts[i]))}


def reviewed_trees(suggestions: Suggestions, root: Root) -> dict[str, Hierarchy]:
    """The tags that a reviewer can add: those of the root's label files and of the suggestions.

    If they differ, the path in the suggestions is used.
    """
    trees: dict[str, Hierarchy] = {}
    for facet in FACETS:
        drawn = "$".join("|".join(term.path) for term in suggestions.terms if term.facet == facet)
        tree = Hierarchy.from_annotations(facet, {drawn: 1} if drawn else {})
        label_file: Path = root.label_file(facet)
        if label_file.is_file():
            other = Hierarchy.read(label_file, facet)
            for name in other:
                if name not in tree:
                    tree.add(name, other.parent(name))
        if len(tree):
            trees[facet] = tree
    return trees
