"""A museum's own export as a catalogue: its records, their photographs and present annotations."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from eufcc_cli.core.dataset.museum.annotating import Annotated, annotate
from eufcc_cli.core.dataset.museum.cell_terms import separators_of, single_facets
from eufcc_cli.core.dataset.museum.columns import complete
from eufcc_cli.core.dataset.museum.export_file import kind_of, read_export
from eufcc_cli.core.dataset.museum.photo_ledger import photo_files
from eufcc_cli.core.dataset.museum.profile import Profile, profile_file
from eufcc_cli.core.dataset.museum.readers.export import Export
from eufcc_cli.core.dataset.museum.record_images import RECORD_NUMBER, image_rows, image_table, photographs_of
from eufcc_cli.core.download.image_locations import find_images
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root
from eufcc_cli.core.tagging.records import Catalogue
from eufcc_cli.core.taxonomy.matching.assignment import MIN_COUNT
from eufcc_cli.core.taxonomy.matching.known_terms import TagPath
from eufcc_cli.core.taxonomy.matching.terms import TermMatcher
from eufcc_cli.core.taxonomy.names import glossary_paths
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, ID, PROVIDER, facet_column, paths, texts_of


def is_published(path: Path) -> bool:
    """True for an annotation table in the published format, CSV or Parquet."""
    if path.suffix.lower() == ".parquet":
        return True
    if kind_of(path) != "csv":
        return False
    with path.open("rb") as file:
        return ID.encode() in file.readline()


@dataclass(frozen=True)
class OwnTable:
    """The records of a museum's own export, with the terms that their words became."""

    root: Root
    export: Export
    profile: Profile
    described: Annotated

    @classmethod
    def read(cls, path: Path, root: Root, profile: Path | None = None) -> "OwnTable":
        """Read an export by a profile (default: data/profile.toml; without one, columns are guessed).

        Raises DataError for a file that is not a table, a profile that does not fit it, and records with no
        id or the same id.
        """
        kept = profile or profile_file(root)
        if profile is None and is_published(path):
            known, export = _published(path)
        elif profile or kept.is_file():
            known = Profile.read(kept)
            export = read_export(path, known.sheet or None, known.language or None)
        else:
            export = read_export(path)
            known, _ = complete(Profile(), export)
            if not known.id or not known.facets:
                raise DataError(
                    f"{path}: which columns hold the {'facets' if known.id else 'ids'} is not known",
                    hint=f"`eufcc fetch table {shlex.quote(str(path))}` asks for them once, and saves them "
                    "in data/profile.toml",
                )
        least = known.min_count or MIN_COUNT
        return cls(root, export, known, annotate(root, export, known, least, keep_own=True))

    @property
    def ids(self) -> list[str]:
        """The ids of the records."""
        return self.described.records.ids

    def row(self, record: int) -> int:
        """The row of a record in the export."""
        return int(self.described.records.rows[record])

    def annotation(self, facet: str, record: int) -> str:
        """A record's annotation of a facet, in the published format."""
        return str(self.described.annotations[facet][record]) if facet in self.described.annotations else ""

    def separators(self, facet: str) -> tuple[str, ...]:
        """The separators of terms in a facet's cells."""
        return separators_of(facet, self.export, self.profile, self.described.records)

    @cached_property
    def single(self) -> set[str]:
        """The facets that hold one value per record: the profile's, and those whose cells show it."""
        shown = single_facets(self.export, self.profile, self.described.records)
        return {*shown, *self.profile.single}

    @cached_property
    def _images(self) -> tuple[pd.DataFrame, dict[str, Path]]:
        """The images of records whose files exist, rows of `image_rows`; and the file of each."""
        records = self.described.records
        folders = [*self.root.photos] or [Path(folder) for folder in self.profile.photos]
        found = photographs_of(self.root, records, photo_files(self.root, folders))
        files = {photograph.id: photograph.file for photograph in found.photographs}
        shown = {photograph.record for photograph in found.photographs}
        files |= find_images(self.root, [record for record in records.ids if record not in shown])
        rows = image_rows(records, found.photographs, files)
        return rows[rows[ID].isin(list(files))], files

    @cached_property
    def record_of(self) -> dict[str, int]:
        """The number of each record, by its id and by those of its photographs."""
        numbers = {record: number for number, record in enumerate(self.ids)}
        rows = self._images[0]
        for number, image_id in zip(rows[RECORD_NUMBER].tolist(), texts_of(rows[ID]), strict=True):
            numbers.setdefault(image_id, number)
        return numbers

    def without_photograph(self) -> int:
        """How many records have no photograph on this machine."""
        return len(self.ids) - self._images[0][RECORD_NUMBER].nunique()

    def catalogue(self) -> Catalogue:
        """The photographs of the records that have any, one row for each, as an annotation table."""
        rows, files = self._images
        if rows.empty:
            raise DataError(
                f"{self.export.paths[0]}: no photograph of its {len(self.ids):,} records was found",
                hint="give their folder as `photos`, or `eufcc download` them",
            )
        return Catalogue(image_table(self.described, rows), files)

    def path_of(self, facet: str, path: TagPath) -> TagPath:
        """The path in the table's vocabulary for a model's term, found by its path or by any of its names."""
        if any(cells.published for cells in self.described.records.facets.values()):
            return path  # its vocabulary is that of its paths
        return self._vocabulary(facet).get(path) or self._matcher.lookup(facet, path[-1]) or path

    def path_of_tag(self, facet: str, tag: str) -> TagPath:
        """The path of a tag in the vocabulary, else among the table's own terms, else in EUFCC-340K."""
        vocabulary = self._vocabulary(facet)
        found = next((path for known, path in vocabulary.items() if known[-1] == tag), None)
        return found or self._own_paths.get((facet, tag)) or self.path_of(facet, (tag,))

    @cached_property
    def _own_paths(self) -> dict[tuple[str, str], TagPath]:
        found: dict[tuple[str, str], TagPath] = {}
        for facet, texts in self.described.annotations.items():
            for path in (path for text in texts.unique() for path in paths(text)):
                for depth in range(1, len(path) + 1):
                    found.setdefault((facet, path[depth - 1]), path[:depth])
        return found

    @cached_property
    def _matcher(self) -> TermMatcher:
        """The known terms of all facets, including those without a column."""
        return TermMatcher.for_root(self.root, FACETS, self.described.language)

    def _vocabulary(self, facet: str) -> Mapping[TagPath, TagPath]:
        """The paths of the vocabulary, by themselves and by the paths that EUFCC-340K has for them."""
        if facet not in self._vocabularies:
            published = {path[-1]: path for path in glossary_paths(facet).values()}
            terms = self._matcher.terms.get(facet, [])
            known = {term.path: term.path for term in terms}
            for term in terms:
                for tag in term.names.get("ca", ()):
                    if tag in published:
                        known.setdefault(published[tag], term.path)
            self._vocabularies[facet] = known
        return self._vocabularies[facet]

    @cached_property
    def _vocabularies(self) -> dict[str, Mapping[TagPath, TagPath]]:
        return {}


def _published(path: Path) -> tuple[Profile, Export]:
    """An annotation table in the published format as a museum's own."""
    if path.suffix.lower() == ".parquet":
        raise DataError(f"{path}: a Parquet file cannot be written back", hint="give a CSV file")
    export = read_export(path)
    facets = {facet: (column,) for facet in FACETS if (column := facet_column(facet)) in export.columns}
    return Profile(id=ID, provider=PROVIDER if PROVIDER in export.columns else "", facets=facets), export


def open_catalogue(path: Path, root: Root, profile: Path | None = None) -> tuple[Catalogue, OwnTable | None]:
    """The catalogue of a table; for a museum's own export also the OwnTable, for an annotation table None."""
    if profile is None and is_published(path):
        return Catalogue.read(path, root), None
    table = OwnTable.read(path, root, profile)
    return table.catalogue(), table
