"""The records of an export with their annotations, and the term for each of their words."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pandas.api.extensions import ExtensionArray

from eufcc_cli.core.dataset.museum.export_records import Records, read_records
from eufcc_cli.core.dataset.museum.profile import Profile
from eufcc_cli.core.dataset.museum.readers.export import Export
from eufcc_cli.core.dataset.museum.terms_file import read_terms
from eufcc_cli.core.files import Root
from eufcc_cli.core.taxonomy.linked_data.concepts import read_uris
from eufcc_cli.core.taxonomy.matching.assignment import Assignment, assign
from eufcc_cli.core.taxonomy.matching.known_terms import detect_language
from eufcc_cli.core.taxonomy.matching.terms import TermMatcher


@dataclass(frozen=True)
class Annotated:
    """Records with their annotations, {facet: [N] str}, and the terms for their words."""

    records: Records
    annotations: dict[str, ExtensionArray]
    assignment: Assignment
    matcher: TermMatcher
    language: str | None


def annotate(
    root: Root, export: Export, profile: Profile, min_count: int, *, keep_own: bool = False
) -> Annotated:
    """Read an export's records, and turn their texts into annotations, following the edits in data/terms.csv.

    Writes nothing. Raises DataError for an invalid export.

    keep_own: terms outside the vocabulary that data/terms.csv lists stay terms, even if few records of this
    export name them.
    """
    records = read_records(export, profile, root.path)
    texts = {facet: dict(cells.counts()) for facet, cells in records.facets.items() if not cells.published}
    language = profile.language or (detect_language(texts) if texts else None)
    matcher = TermMatcher.for_root(root, records.facets, language)
    rows = read_terms(root.terms)
    if keep_own:
        for row in rows:
            if row.how == "own" and row.facet in texts and not row.edited:
                matcher.add_own(row.facet, row.term)
    with no_collection():
        assignment = assign(matcher, texts, rows, min_count)
    known = _known_concepts(root, matcher)
    annotations = {
        facet: cells.annotations(facet, assignment, known.get(facet, {}))
        for facet, cells in records.facets.items()
    }
    return Annotated(records, annotations, assignment, matcher, language)


@contextmanager
def no_collection() -> Iterator[None]:
    """Without garbage collection: the words of many texts are no garbage, and it would go over them again
    and again, in a quarter of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _known_concepts(root: Root, matcher: TermMatcher) -> dict[str, dict[str, tuple[str, ...]]]:
    """The paths of the concepts that labels/concepts.csv knows: {facet: {URI: path}}."""
    return {
        facet: {uri: path for tag, uri in of.items() if (path := matcher.lookup(facet, tag))}
        for facet, of in read_uris(root.concepts).items()
        if facet in matcher.terms
    }
