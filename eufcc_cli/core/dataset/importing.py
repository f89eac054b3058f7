"""From a museum's own export and photographs to a collection: tables, ledger, terms and profile."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from eufcc_cli.core.dataset.cell_terms import single_facets
from eufcc_cli.core.dataset.division import Report, Shares
from eufcc_cli.core.dataset.export_records import Records, read_records
from eufcc_cli.core.dataset.photo_ledger import (
    Checked,
    check_photographs,
    moved_photographs,
    photo_files,
    record_photographs,
)
from eufcc_cli.core.dataset.photos import Found, Photograph, find_photographs
from eufcc_cli.core.dataset.profile import Profile, profile_file
from eufcc_cli.core.dataset.readers.export import Export
from eufcc_cli.core.dataset.split_memory import RECORD
from eufcc_cli.core.dataset.splits import write_division
from eufcc_cli.core.dataset.terms_file import read_terms, write_terms
from eufcc_cli.core.download.image_files import ImageFiles
from eufcc_cli.core.download.ledger import find_images
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root, sha256
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.annotations import ID, IMAGE_URL, PROVIDER, facet_column
from eufcc_cli.core.taxonomy.annotations import names as names_of
from eufcc_cli.core.taxonomy.assignment import Assignment, TermRow, assign
from eufcc_cli.core.taxonomy.concepts import add_uris, read_uris
from eufcc_cli.core.taxonomy.known_terms import add_names, detect_language
from eufcc_cli.core.taxonomy.names import read_names, write_names
from eufcc_cli.core.taxonomy.terms import TermMatcher

TITLE = "title"
WITHOUT_PHOTO, WITHOUT_RECORD = "record without photograph", "photograph without record"
UNREADABLE, SAME_PICTURE, SAME_VIEW = "unreadable", "same picture", "same view in another format"


@dataclass(frozen=True)
class Problem:
    """A line of the report: what was not found or cannot be used."""

    kind: str
    record: str
    file: str
    reason: str


@dataclass(frozen=True)
class Annotated:
    """Records with their annotations: {facet: [N] object}, and what their words became."""

    records: Records
    annotations: dict[str, np.ndarray]
    assignment: Assignment
    matcher: TermMatcher
    language: str | None


@dataclass(frozen=True)
class Imported:
    """What became of an export."""

    records: int
    images: int
    """In the table that is divided; the division leaves out those without a term."""
    pictures: int
    """Those whose photographs are there."""
    facets: dict[str, int]
    """The records with at least one term in each facet."""
    unmatched: list[TermRow]
    division: Report
    problems: list[Problem]
    language: str | None
    counts: Counter[str] = field(default_factory=Counter)
    """The number of problems of each kind."""


def annotate(root: Root, export: Export, profile: Profile, min_count: int) -> Annotated:
    """Read an export's records, and turn their texts into annotations, by data/terms.csv where a person
    edited it. Changes nothing. DataError for what is wrong in the export."""
    records = read_records(export, profile, root.path)
    texts = {facet: dict(cells.counts()) for facet, cells in records.facets.items() if not cells.published}
    language = profile.language or (detect_language(texts) if texts else None)
    matcher = TermMatcher.for_root(root, records.facets, language)
    assignment = assign(matcher, texts, read_terms(root.terms), min_count)
    known = _known_concepts(root, matcher)
    annotations = {
        facet: cells.annotations(facet, assignment, known.get(facet, {}))
        for facet, cells in records.facets.items()
    }
    return Annotated(records, annotations, assignment, matcher, language)


def import_table(
    root: Root,
    export: Export,
    profile: Profile,
    shares: Shares,
    *,
    photos: Sequence[Path] = (),
    copy: bool = False,
    force: bool = False,
    anew: bool = False,
    progress: Progress = SILENT,
) -> Imported:
    """Make a collection of an export: its images in train, val and the test splits.

    `photos` are folders of photographs, which stay where they are unless `copy`; without any, those of the
    profile. A record with several photographs becomes several images, which share its annotation and split;
    one whose photographs are not there and have no URL is left out. Raises DataError or CollectError, with
    nothing changed, for whatever is wrong in export, profile and folders.
    """
    folders = [folder.resolve() for folder in photos] or [Path(folder) for folder in profile.photos]
    files = photo_files(root, folders)
    with progress.task("Reading terms", None, "records"):
        described = annotate(root, export, profile, shares.min_count)
    records = described.records
    found = photographs_of(root, records, files)
    checked = check_photographs(root, found.photographs, progress)
    problems = _problems(found, checked)
    table, without = _table(root, described, found.photographs, checked, only_there=bool(folders))
    if not len(table):
        raise DataError(
            f"{export.paths[0]}: none of its {len(records):,} records has a photograph",
            hint="is the folder that `photos` names the right one, and are its files named by the ids?",
        )
    problems += [Problem(WITHOUT_PHOTO, record, "", "no file is named by its id") for record in without]
    same, doubles = _same_pictures(table, checked)
    problems += doubles
    of = {
        "source": [path.name for path in export.paths],
        "sha256": [sha256(path) for path in export.paths],
    }
    division = write_division(root, table, shares, of, same=[same], force=force, anew=anew, progress=progress)
    record_photographs(root, found.photographs, checked, copy=copy, progress=progress)
    write_terms(root.terms, described.assignment.rows)
    single = single_facets(export, profile, records)
    kept = replace(
        profile,
        photos=tuple(map(str, folders)),
        sheet=export.dialect.sheet or "",
        # The next export's terms stay in the language of this one's.
        language=described.language or "",
        # A small export later on does not show it; a profile that a person has edited stays as it is.
        single=profile.single or (() if profile_file(root).is_file() else single),
    )
    kept.write(profile_file(root))
    _write_names(root, described)
    return Imported(
        records=len(records),
        images=len(table),
        pictures=len(find_images(root, table[ID])),
        facets={facet: int((texts != "").sum()) for facet, texts in described.annotations.items()},
        unmatched=described.assignment.unmatched(),
        division=division,
        problems=problems,
        language=described.language,
        counts=Counter(problem.kind for problem in problems),
    )


def image_rows(
    records: Records, photographs: Sequence[Photograph], there: Mapping[str, Path]
) -> list[tuple[int, str, str]]:
    """The images of records as (number of the record, image id, URL).

    A record without photographs has an image for each URL in its photo cell, or one that is `there`, by its
    id; else one without anything.
    """
    of_record: dict[str, list[Photograph]] = defaultdict(list)
    for photograph in photographs:
        of_record[photograph.record].append(photograph)
    rows = []
    for number, record in enumerate(records.ids):
        urls = [name for name in records.photos[number] if name.startswith(("http://", "https://"))]
        own = of_record.get(record, [])
        if own:
            rows += [(number, photo.id, urls[0] if i == 0 and urls else "") for i, photo in enumerate(own)]
        elif len(urls) > 1 and record not in there:
            rows += [(number, record if i == 0 else f"{record} ({i + 1})", url) for i, url in enumerate(urls)]
        else:
            rows.append((number, record, urls[0] if urls else ""))
    return rows


def image_table(described: Annotated, rows: Sequence[tuple[int, str, str]]) -> pd.DataFrame:
    """The annotation table of some images."""
    records = described.records
    numbers = np.array([number for number, _, _ in rows], dtype=np.int64)
    columns: dict[str, Sequence[str] | np.ndarray] = {ID: [image_id for _, image_id, _ in rows]}
    for facet, texts in described.annotations.items():
        columns[facet_column(facet)] = texts[numbers]
    columns[IMAGE_URL] = [url for _, _, url in rows]
    columns[PROVIDER] = np.array(records.providers, dtype=object)[numbers]
    columns[TITLE] = np.array(records.titles, dtype=object)[numbers]
    columns[RECORD] = np.array(records.ids, dtype=object)[numbers]
    return pd.DataFrame({name: pd.array(list(values), dtype="str") for name, values in columns.items()})


def photographs_of(root: Root, records: Records, files: ImageFiles) -> Found:
    """The records' photographs: by name, and those that were moved and renamed by what the ledger has."""
    named = {record: names for record, names in zip(records.ids, records.photos, strict=True) if names}
    found = find_photographs(records.ids, files, named)
    if found.unused:
        without = set(records.ids) - {photograph.record for photograph in found.photographs}
        moved = moved_photographs(root, ImageFiles(found.unused), without)
        found.photographs += [Photograph(image_id, image_id, file) for file, image_id in moved.items()]
        found.unused = [file for file in found.unused if file not in moved]
    return found


def _table(
    root: Root,
    described: Annotated,
    photographs: Sequence[Photograph],
    checked: Checked,
    *,
    only_there: bool,
) -> tuple[pd.DataFrame, list[str]]:
    """The table of all images that are there or may be downloaded, and the records that have none."""
    usable = [photograph for photograph in photographs if photograph.id not in checked.bad]
    shown = {photograph.record for photograph in photographs}
    others = [record for record in described.records.ids if record not in shown]
    there = find_images(root, others) if others else {}
    rows, without = [], []
    for row in image_rows(described.records, usable, there):
        number, image_id, url = row
        record = described.records.ids[number]
        if url or image_id in there or record in shown:
            if image_id not in checked.bad or url:
                rows.append(row)
        else:
            without.append(record)
    if not rows and not only_there:
        # No photograph is known of at all: the annotations alone are a collection, too.
        return image_table(described, image_rows(described.records, usable, there)), []
    return image_table(described, rows), without


def _problems(found: Found, checked: Checked) -> list[Problem]:
    of = {photograph.id: photograph for photograph in found.photographs}
    unreadable = [
        Problem(UNREADABLE, of[image_id].record, str(of[image_id].file), reason)
        for image_id, reason in checked.bad.items()
    ]
    unused = [Problem(WITHOUT_RECORD, "", str(file), "its name is no record's id") for file in found.unused]
    doubles = [Problem(SAME_VIEW, "", str(file), "left out") for file in found.doubles]
    return [*unreadable, *unused, *doubles]


def _same_pictures(table: pd.DataFrame, checked: Checked) -> tuple[np.ndarray, list[Problem]]:
    """A number for each image whose file has the very bytes of another's (-1: none), and those of several
    records."""
    digests = [checked.digest(image_id) for image_id in table[ID]]
    rows: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(digests):
        if digest:
            rows[digest].append(row)
    numbers = np.full(len(table), -1, dtype=np.int64)
    problems = []
    for number, group in enumerate(group for group in rows.values() if len(group) > 1):
        numbers[group] = number
        having = list(dict.fromkeys(table[RECORD].iloc[group]))
        if len(having) > 1:
            problems.append(Problem(SAME_PICTURE, ", ".join(having), "", "one picture shows several records"))
    return numbers, problems


def _known_concepts(root: Root, matcher: TermMatcher) -> dict[str, dict[str, tuple[str, ...]]]:
    """The paths of the concepts that labels/concepts.csv knows: {facet: {URI: path}}."""
    return {
        facet: {uri: path for tag, uri in of.items() if (path := matcher.lookup(facet, tag))}
        for facet, of in read_uris(root.concepts).items()
        if facet in matcher.terms
    }


def _write_names(root: Root, described: Annotated) -> None:
    """Add the names of the tags in other languages, and the concepts that the export gives for them."""
    names = read_names(root.names)
    uris: dict[str, dict[str, str]] = {}
    for facet, texts in described.annotations.items():
        tags = {name for text in set(texts) for name in names_of(text)}
        add_names(names, facet, described.matcher.terms.get(facet, ()), tags)
        for pieces in described.records.facets[facet].pieces:
            for piece in pieces:
                if piece.uri and (path := described.matcher.lookup(facet, piece.text)) and path[-1] in tags:
                    uris.setdefault(facet, {}).setdefault(path[-1], piece.uri)
    if names.facets:
        write_names(root.names, names)
    if uris:
        add_uris(root.concepts, uris)
