"""A catalogue's table: its images, and what a model's scores add to its records or contradict."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eufcc_cli.core.download.image_locations import find_images
from eufcc_cli.core.files import Root
from eufcc_cli.core.tagging.inputs import Input, fail, file_iri, is_url
from eufcc_cli.core.tagging.selection import Chooser, FacetChooser, Suggestion, subtrees
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, ID, IMAGE_URL, facet_column, paths

LIKELY = 0.5
"""A tag of at least this probability can contradict what is catalogued."""
UNLIKELY = 0.05
"""A catalogued tag below this probability can be contradicted."""


if TYPE_CHECKING:
    import pandas as pd

_RECORD_ID = "europeanaId"  # which `fetch europeana` writes


@dataclass(frozen=True)
class Catalogue:
    """An annotation table, and the files of its images that were found."""

    frame: "pd.DataFrame"
    images: dict[str, Path]

    @classmethod
    def read(cls, path: Path, root: Root) -> "Catalogue":
        """Read an annotation table; raises DataError for any other file."""
        frame = read_table(path, as_text=True)
        return cls(frame, find_images(root, frame[ID]))

    def __len__(self) -> int:
        return len(self.frame)

    def inputs(self) -> Iterator[Input]:
        """Every row as an input; the source of one without an image file raises the reason."""
        columns = (self._column(name) for name in (ID, IMAGE_URL, _RECORD_ID))
        for row, (image_id, url, record) in enumerate(zip(*columns, strict=True)):
            path = self.images.get(image_id)
            yield Input(
                name=image_id if path is None else str(path),
                source=partial(fail, "not downloaded: `eufcc download` gets it") if path is None else path,
                url=url if is_url(url) else file_iri(path or Path(image_id)),
                id=image_id,
                item=f"http://data.europeana.eu/item{record}" if record.startswith("/") else None,
                row=row,
            )

    def _column(self, name: str) -> list[str]:
        return self.frame[name].tolist() if name in self.frame else [""] * len(self)

    def record(self, item: Input) -> dict[str, str]:
        """The record of an input: {facet: annotation}."""
        if item.row is None:
            return {}
        row = self.frame.iloc[item.row]
        return {facet: str(row.get(facet_column(facet), "")) for facet in FACETS}


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A catalogued tag that the model finds improbable, and the tag that it finds likely instead."""

    tag: str
    path: tuple[str, ...]
    score: float
    instead: Suggestion


def fill(
    chooser: Chooser, record: Mapping[str, str], log_scores: Mapping[str, np.ndarray]
) -> tuple[dict[str, list[Suggestion]], dict[str, list[Contradiction]]]:
    """Compare a record, {facet: annotation}, with the scores of its image: proposals, and contradictions.

    Tags that the record lacks are proposed: as `missing`, or as `more specific` than one that it has. If all
    catalogued tags of a facet are improbable (below 5 %), nothing is proposed in that facet; if another tag
    is likely (from 50 %), the catalogued ones are reported as contradicted.
    """
    found = {
        facet: _fill_facet(one, record.get(facet, ""), log_scores[facet])
        for facet, one in chooser.facets.items()
    }
    contradictions = {facet: doubted for facet, (_, doubted) in found.items() if doubted}
    return {facet: tags for facet, (tags, _) in found.items()}, contradictions


def _fill_facet(
    chooser: FacetChooser, annotation: str, log_scores: np.ndarray
) -> tuple[list[Suggestion], list[Contradiction]]:
    vocabulary = chooser.vocabulary
    coherent, probabilities = chooser.scores(log_scores)
    names = {name for path in paths(annotation) for name in path}
    named = [vocabulary.index[name] for name in names if name in vocabulary.index]
    existing = np.zeros(len(vocabulary), dtype=bool)
    existing[(above := vocabulary.ancestors[named])[above >= 0]] = True
    inner = vocabulary.ancestors[existing][:, 1:]
    leaves = np.setdiff1d(np.flatnonzero(existing), inner)
    below = subtrees(vocabulary, leaves.tolist())
    if not len(leaves) or probabilities[leaves].max() >= UNLIKELY:
        ranked = chooser.ranked(coherent, ~existing)
        kinds = ["more specific" if below[i] else "missing" for i in ranked]
        return chooser.suggestions(ranked, coherent, kinds), []
    others = np.flatnonzero((probabilities >= LIKELY) & ~existing & ~below & chooser.allowed)
    if not len(others):
        return [], []
    best = int(others[np.lexsort((coherent[others], vocabulary.depths[others]))[-1]])
    instead, *doubted = chooser.suggestions([best, *leaves.tolist()], coherent)
    return [], [Contradiction(tag.tag, tag.path, tag.score, instead) for tag in doubted]
