"""Making a collection of a museum's export and photographs: tables, ledger, terms and profile."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd

from eufcc_cli.core.dataset.museum.annotating import Annotated, annotate, no_collection
from eufcc_cli.core.dataset.museum.cell_terms import single_facets
from eufcc_cli.core.dataset.museum.photo_ledger import (
    Checked,
    check_photographs,
    photo_files,
    record_photographs,
)
from eufcc_cli.core.dataset.museum.photos import Found, Photograph
from eufcc_cli.core.dataset.museum.profile import Profile, profile_file
from eufcc_cli.core.dataset.museum.readers.export import Export
from eufcc_cli.core.dataset.museum.record_images import RECORD_NUMBER, image_rows, image_table, photographs_of
from eufcc_cli.core.dataset.museum.terms_file import write_terms
from eufcc_cli.core.dataset.splits.division_report import Report, Shares
from eufcc_cli.core.dataset.splits.split_files import write_division
from eufcc_cli.core.download.image_files import ImageFiles, links_out, loose_spelling
from eufcc_cli.core.download.image_locations import any_images, find_images
from eufcc_cli.core.errors import DataError, first_of
from eufcc_cli.core.files import Root, sha256
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.linked_data.concepts import add_uris
from eufcc_cli.core.taxonomy.matching.assignment import TermRow
from eufcc_cli.core.taxonomy.matching.known_terms import add_names
from eufcc_cli.core.taxonomy.names import read_names, write_names
from eufcc_cli.core.taxonomy.tables.annotations import ID, IMAGE_URL, RECORD, texts_of
from eufcc_cli.core.taxonomy.tables.annotations import names as names_of

WITHOUT_PHOTO, WITHOUT_RECORD = "record without photograph", "photograph without record"
LOST = "photograph that no longer exists"
UNREADABLE, SAME_PICTURE, SAME_VIEW = "unreadable", "same picture", "same view in another format"


@dataclass(frozen=True)
class Problem:
    """A line of the report: something that was not found or cannot be used."""

    kind: str
    record: str
    file: str
    reason: str


@dataclass(frozen=True)
class Imported:
    """The result of an import."""

    records: int
    images: int
    """In the table before the division, which leaves out those without a term."""
    pictures: int
    """Those with photographs on disk."""
    urls: int
    """Those with a URL."""
    annotated: int
    """The records with a term in any facet."""
    facets: dict[str, int]
    """The records with at least one term in each facet."""
    unmatched: list[TermRow]
    division: Report
    problems: list[Problem]
    language: str | None
    counts: Counter[str] = field(default_factory=Counter)
    """The number of problems of each kind."""


@no_collection()
def import_table(
    root: Root,
    export: Export,
    profile: Profile,
    shares: Shares,
    *,
    photos: Sequence[Path] = (),
    copy: bool = False,
    force: bool = False,
    resplit: bool = False,
    progress: Progress = SILENT,
) -> Imported:
    """Make a collection of an export: its images in train, val and the test splits.

    `photos` are folders of photographs, which stay where they are unless `copy`; without any, those of the
    profile. A record with several photographs becomes several images, which share its annotation and split;
    one whose photographs are not there and have no URL is left out. Raises DataError or CollectError, with
    nothing changed, for an invalid export, profile or folder.
    """
    folders = [folder.resolve() for folder in photos] or [Path(folder) for folder in profile.photos]
    files = photo_files(root, folders)
    with progress.task("Reading terms", None, "records"):
        described = annotate(root, export, profile, shares.min_count)
    records = described.records
    found = photographs_of(root, records, files)
    if found.lost and not photos:
        raise DataError(
            f"photographs that no longer exist: {first_of([str(each.file) for each in found.lost])}",
            hint="give the folder that they are in now as `photos`; those that are not there either are "
            "then left out",
        )
    checked = check_photographs(root, found.photographs, progress)
    problems = _problems(found, checked)
    table, without = _table(root, described, found.photographs, checked, only_there=bool(folders))
    if not len(table):
        raise _no_photographs(export, described, files, checked)
    problems += _without_photographs(without, found.lost, folders)
    same, doubles = _same_pictures(table, checked)
    problems += doubles
    of = {
        "source": [path.name for path in export.paths],
        "sha256": [sha256(path) for path in export.paths],
    }
    division = write_division(
        root, table, shares, of,
        same=[same], digests=checked.digests, force=force, resplit=resplit, progress=progress,
    )  # fmt: skip
    record_photographs(root, found, checked, copy=copy, progress=progress)
    write_terms(root.terms, described.assignment.rows)
    single = single_facets(export, profile, records)
    kept = replace(
        profile,
        photos=tuple(map(str, folders)),
        sheet=export.dialect.sheet or "",
        min_count=shares.min_count,
        # The terms of the next export stay in this language.
        language=described.language or "",
        # A small export later may not show it; a profile that a person edited stays as it is.
        single=profile.single or (() if profile_file(root).is_file() else single),
    )
    kept.write(profile_file(root))
    _write_names(root, described)
    named = {facet: np.asarray(texts != "") for facet, texts in described.annotations.items()}
    return Imported(
        records=len(records),
        images=len(table),
        pictures=len(find_images(root, texts_of(table[ID]))) if any_images(root) else 0,
        urls=int((table[IMAGE_URL] != "").sum()),
        annotated=int(reduce(np.logical_or, named.values()).sum()),
        facets={facet: int(there.sum()) for facet, there in named.items()},
        unmatched=described.assignment.unmatched(),
        division=division,
        problems=problems,
        language=described.language,
        counts=Counter(problem.kind for problem in problems),
    )


def _no_photographs(export: Export, described: Annotated, files: ImageFiles, checked: Checked) -> DataError:
    """The error for an export none of whose records has a photograph that can be read."""
    records = described.records
    problem = f"{export.paths[0]}: none of its {len(records):,} records has a photograph"
    if checked.bad:
        record, reason = next(iter(checked.bad.items()))
        return DataError(f"{problem} that can be read ({record}: {reason})", hint="save them as JPEG or PNG")
    file = next((file.name for file in files.files), "")
    return DataError(
        f"{problem}: the first id is {records.ids[0]}, the first file {file}",
        hint="name the column with the files' numbers as `id`, or that with their names as `photo`",
    )


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
    records = described.records
    there: dict[str, Path] = {}
    if any_images(root):
        there = find_images(root, [record for record in records.ids if record not in shown])
    rows = image_rows(records, usable, there)
    numbers = rows[RECORD_NUMBER].to_numpy()
    has_url = (rows[IMAGE_URL] != "").to_numpy(dtype=bool)
    found = has_url | _among(rows[ID], there) | _among(records.names, shown)[numbers]
    chosen = found & (has_url | ~_among(rows[ID], checked.bad))
    if not chosen.any() and not only_there:
        # No photographs at all: the annotations alone are a collection, too.
        return image_table(described, rows), []
    without = texts_of(records.names.iloc[np.unique(numbers[~found])])
    return image_table(described, rows if chosen.all() else rows[chosen]), without


def _among(column: pd.Series, names: Collection[str]) -> np.ndarray:
    """[N] bool: which texts of a column are among some names."""
    return column.isin(list(names)).to_numpy(dtype=bool) if names else np.zeros(len(column), dtype=bool)


def _problems(found: Found, checked: Checked) -> list[Problem]:
    of = {photograph.id: photograph for photograph in found.photographs}
    unreadable = [
        Problem(UNREADABLE, of[image_id].record, str(of[image_id].file), reason)
        for image_id, reason in checked.bad.items()
    ]
    unused = [Problem(WITHOUT_RECORD, "", str(file), "its name is no record's id") for file in found.unused]
    doubles = [Problem(SAME_VIEW, "", str(file), "left out") for file in found.doubles]
    return [*unreadable, *unused, *doubles]


def _without_photographs(
    records: Sequence[str], lost: Sequence[Photograph], folders: Sequence[Path]
) -> list[Problem]:
    """Some records that have no photograph, and photographs that are lost where there is another or a URL."""
    was = {photograph.record: str(photograph.file) for photograph in lost}
    links = links_out(folders) if records else {}
    linked = {loose_spelling(link.stem): (link, target) for link, target in links.items()}
    without = []
    for record in records:
        file, reason = was.get(record, ""), "no file is named by its id"
        if file:
            reason = "the photograph no longer exists"
        elif link := linked.get(loose_spelling(record)):
            file, reason = str(link[0]), f"a link out of the folders: name {link[1].parent} as well"
        without.append(Problem(WITHOUT_PHOTO, record, file, reason))
    others = set(was).difference(records)
    return without + [
        Problem(LOST, each.record, str(each.file), "another, or its URL, is used")
        for each in lost
        if each.record in others
    ]


def _same_pictures(table: pd.DataFrame, checked: Checked) -> tuple[np.ndarray, list[Problem]]:
    """A number for each image whose file has the same content as another (-1: none), and the images of
    several records."""
    if not checked.good:
        return np.full(len(table), -1, dtype=np.int64), []
    digests = [checked.digest(image_id) for image_id in texts_of(table[ID])]
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


def _write_names(root: Root, described: Annotated) -> None:
    """Add the names of the tags in other languages, and their concepts from the export."""
    names = read_names(root.names)
    uris: dict[str, dict[str, str]] = {}
    for facet, texts in described.annotations.items():
        tags = {name for text in texts.unique() for name in names_of(text)}
        add_names(names, facet, described.matcher.terms.get(facet, ()), tags)
        for pieces in described.records.facets[facet].pieces:
            for piece in pieces:
                if piece.uri and (path := described.matcher.lookup(facet, piece.text)) and path[-1] in tags:
                    uris.setdefault(facet, {}).setdefault(path[-1], piece.uri)
    if names.facets:
        write_names(root.names, names)
    if uris:
        add_uris(root.concepts, uris)
