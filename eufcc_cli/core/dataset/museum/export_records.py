"""The records of an export: their ids, providers, titles, and the texts of their facets."""

import html
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray

from eufcc_cli.core.dataset.museum.columns import numbered
from eufcc_cli.core.dataset.museum.profile import SEPARATORS, Profile
from eufcc_cli.core.dataset.museum.readers.export import HEADER_HINT, Export
from eufcc_cli.core.errors import DataError, first_of
from eufcc_cli.core.files import ignores_case, image_stem
from eufcc_cli.core.images.image_formats import FILE_ENDINGS
from eufcc_cli.core.taxonomy.matching.assignment import Assignment
from eufcc_cli.core.taxonomy.tables.annotations import facet_column, factorize, joined, paths, texts_of
from eufcc_cli.core.taxonomy.tables.text_columns import changed

_COLUMN, URIS = "\x1f", "\x1e"  # between the cells of several columns, and before the URIs of a cell
_PUBLISHED = " $ "
_LONG = 300  # letters of an id that may be too long to name a file
PHOTO_SEPARATORS = (*SEPARATORS, "\n")
_BLANKS = (
    r"\t\n\x0b\x0c\r\x1c-\x1f\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
)
_UNEVEN = rf"^ | $|  |[{_BLANKS}]"  # what `str.split` changes, as a pattern of RE2
_IN_LINE = re.compile(r"</?(?:a|b|em|font|i|small|span|strong|sub|sup|u)\b[^<>]*>", re.IGNORECASE)
_BLOCK = re.compile(r"</?(?:br|div|h\d|hr|li|ol|p|table|tbody|td|tr|ul)\b[^<>]*>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d+|#x[\da-f]+|[a-z]+);", re.IGNORECASE)


class Piece(NamedTuple):
    """One item of a cell: a text, and the URI of its concept where the export has one."""

    text: str
    uri: str = ""


@dataclass(frozen=True)
class FacetCells:
    """The distinct cells of a facet's columns; `codes` ([N] int) is the number of each record's cell.

    `published` is true for annotations in the published format, whose paths are taken as they are.
    """

    codes: np.ndarray
    cells: list[str]
    published: bool
    pieces: list[list[Piece]]

    def counts(self) -> Counter[str]:
        """The distinct texts, with the number of records that hold each."""
        counts: Counter[str] = Counter()
        records_of = np.bincount(self.codes, minlength=len(self.cells)).tolist()
        for pieces, records in zip(self.pieces, records_of, strict=True):
            for text in dict.fromkeys(piece.text for piece in pieces):
                counts[text] += records
        return counts

    def annotations(
        self, facet: str, assignment: Assignment, known: Mapping[str, tuple[str, ...]]
    ) -> ExtensionArray:
        """[N] str: each record's annotation; `known` are the paths of concept URIs."""
        if self.published:
            texts = self.cells
        else:
            texts = [self._annotation(facet, pieces, assignment, known) for pieces in self.pieces]
        return pd.array(texts, dtype="str").take(self.codes)

    @staticmethod
    def _annotation(
        facet: str, pieces: list[Piece], assignment: Assignment, known: Mapping[str, tuple[str, ...]]
    ) -> str:
        if len(pieces) == 1 and not pieces[0].uri:
            return assignment.annotation(facet, [pieces[0].text])
        return joined(
            path
            for piece in pieces
            for path in (
                [known[piece.uri]]
                if piece.uri in known
                else paths(assignment.annotation(facet, [piece.text]))
            )
        )


@dataclass(frozen=True)
class Records:
    """The checked records of an export: empty rows are left out."""

    rows: np.ndarray
    """[N] int, the row of each record in the export."""
    names: pd.Series
    """Their ids."""
    providers: pd.Series
    titles: pd.Series
    photos: pd.Series
    """Each record's photo cell."""
    facets: dict[str, FacetCells]

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def ids(self) -> list[str]:
        """The ids as a list."""
        return texts_of(self.names)

    def photo_names(self) -> dict[int, list[str]]:
        """The photographs that photo cells name, by the number of the record."""
        numbers = np.flatnonzero((self.photos != "").to_numpy(dtype=bool))
        cells = texts_of(self.photos.take(numbers))
        return {
            number: names
            for number, cell in zip(numbers.tolist(), cells, strict=True)
            if (names := split_photographs(cell))
        }


def read_records(export: Export, profile: Profile, folder: Path) -> Records:
    """The records of an export, by a profile.

    Raises DataError for a column that is not there, a record without an id, a formula in an id, and two
    records with one id (in any letter case, if the file system of `folder` ignores it).
    """
    profile.check(export.columns, export.paths[0])
    if not profile.id:
        raise DataError(
            f"{export.paths[0]}: which column holds the ids is not known",
            hint=HEADER_HINT
            if 2 * sum(not name.strip() for name in export.header) >= len(export.header)
            else f"name it with `id`; the columns are {', '.join(export.columns[:20])}",
        )
    if not profile.facets:
        raise DataError(
            f"{export.paths[0]}: which columns describe the objects is not known",
            hint=f"name one with `facet=materials=COLUMN`; the columns are {', '.join(export.columns[:20])}",
        )
    frame = export.frame
    rows = _filled(frame, profile.id)
    if len(rows) < len(frame):
        frame = frame.iloc[rows].reset_index(drop=True)
    ids = frame[profile.id].str.strip()
    _check_ids(export, profile.id, ids, rows, folder)
    separators = profile.separators or SEPARATORS
    return Records(
        rows,
        ids,
        _column(frame, profile.provider),
        _column(frame, profile.title),
        _photographs(frame, profile.photo),
        {
            facet: _facet_cells(facet, frame, columns, export, separators)
            for facet, columns in profile.facets.items()
        },
    )


def _filled(frame: pd.DataFrame, column: str) -> np.ndarray:
    """[n] int: the rows with a cell that is not blank; usually one column shows that."""
    filled = (frame[column].str.strip() != "").to_numpy(dtype=bool)
    if not filled.all():
        for name in frame:
            filled = filled | (frame[name].str.strip() != "").to_numpy(dtype=bool)
    return np.flatnonzero(filled)


def split_cell(text: str, separators: Sequence[str]) -> list[str]:
    """The items of a cell.

    >>> split_cell("gold; silver |wood;", (";", "|"))
    ['gold', 'silver', 'wood']
    """
    if not any(separator in text for separator in separators):
        return [text.strip()] if text.strip() else []
    parts = re.split("|".join(map(re.escape, separators)), text)
    return [part.strip() for part in parts if part.strip()]


def plain_text(text: str) -> str:
    r"""A text without the HTML of a rich-text field.

    >>> plain_text("<p>bronze &amp; <em>gold</em><br/>silver</p>"), plain_text("a < b & c")
    ('bronze & gold\nsilver', 'a < b & c')
    """
    if "<" in text:
        text = _BLOCK.sub("\n", _IN_LINE.sub("", text)).strip("\n")
    return html.unescape(text) if _ENTITY.search(text) else text


def split_photographs(cell: str) -> list[str]:
    """The photographs that a cell names; a comma separates them where each has an image's ending.

    >>> split_photographs("a.jpg, b.TIF; c, d.jpg")
    ['a.jpg', 'b.TIF', 'c, d.jpg']
    """
    found = []
    for item in split_cell(cell, PHOTO_SEPARATORS):
        parts = [part.strip() for part in item.split(",")]
        several = len(parts) > 1 and all(map(_names_file, parts))
        found += parts if several else [item]
    return found


def _names_file(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in FILE_ENDINGS


def _photographs(frame: pd.DataFrame, column: str) -> pd.Series:
    """Each record's photo cell; those of `Image 1`, `Image 2` … together."""
    if not column:
        return _column(frame, "")
    first, *others = (frame[name].str.strip() for name in numbered(column, frame.columns))
    for other in others:
        first = first.where(other == "", (first + "\n" + other).str.strip())
    return first


def _column(frame: pd.DataFrame, column: str) -> pd.Series:
    """A column, with one space between words; without a name, one of empty texts."""
    if not column:
        return pd.Series("", index=frame.index, dtype="str")
    texts = frame[column]
    return changed(texts, texts.str.contains(_UNEVEN, regex=True), lambda text: " ".join(text.split()))


def _check_ids(export: Export, column: str, ids: pd.Series, rows: np.ndarray, folder: Path) -> None:
    if column in export.formulas:
        raise DataError(
            f"{export.place(export.formulas[column])}: a formula in the id column {column!r}",
            hint="paste the ids as values, and export again",
        )
    missing = np.flatnonzero((ids == "").to_numpy(dtype=bool))
    if len(missing):
        places = first_of(rows[missing].tolist(), shown=export.place)
        raise DataError(
            f"no id ({column}) in {places}",
            hint="give every record an id, and delete rows that are no record, such as totals",
        )
    formulas = np.flatnonzero(ids.str.startswith("=").to_numpy(dtype=bool))
    if len(formulas):
        place, formula = export.place(int(rows[formulas[0]])), str(ids.iloc[formulas[0]])[:60]
        raise DataError(
            f"{place}: a formula in the id column {column!r}: {formula}",
            hint="paste the ids as values, and export again",
        )
    for text in texts_of(ids[ids.str.len() > _LONG]):
        image_stem(text)  # raises DataError where it is too long to name a file
    ignored = ignores_case(folder)
    if (ids.map(str.casefold) if ignored else ids).is_unique:
        return
    first: dict[str, int] = {}
    for i, text in enumerate(ids):
        before = first.setdefault(text.casefold() if ignored else text, i)
        if before != i:
            one, other = export.place(int(rows[before])), export.place(int(rows[i]))
            earlier = ids.iloc[before]
            if earlier != text:
                raise DataError(
                    f"two records have the id {earlier!r} and {text!r}, which are one name on this file "
                    f"system: {one}, and {other}",
                    hint="change one of the two, or give a `root` on a file system where case counts",
                )
            raise DataError(
                f"two records have the id {earlier!r}: {one}, and {other}",
                hint=f"is {column!r} the column of the ids? Each object needs one row, its terms and "
                "photographs separated by ;",
            )


def _facet_cells(
    facet: str, frame: pd.DataFrame, columns: Iterable[str], export: Export, separators: Sequence[str]
) -> FacetCells:
    several = list(columns)
    parts = [
        frame[name] + URIS + frame[export.uris[name]] if name in export.uris else frame[name]
        for name in several
    ]
    whole = reduce(lambda left, right: left + _COLUMN + right, parts)
    codes, cells = factorize(whole)
    published = several == [facet_column(facet)] or (
        len(several) == 1 and several[0] not in export.uris and any(_PUBLISHED in cell for cell in cells)
    )
    pieces = [[] if published else _pieces(plain_text(cell), export.separator, separators) for cell in cells]
    return FacetCells(codes, cells, published, pieces)


def _pieces(cell: str, between: str | None, separators: Sequence[str]) -> list[Piece]:
    """The items of a cell; between: what the format puts between values, each with a URI or none."""
    if not any(mark in cell for mark in (_COLUMN, URIS, between or URIS, *separators)):
        return [Piece(text)] if (text := cell.strip()) else []
    pieces: dict[Piece, None] = {}
    for part in cell.split(_COLUMN):
        text, _, uris = part.partition(URIS)
        values = split_cell(text, [between] if between else [])
        of = [uri.strip() for uri in uris.split("|")] if uris else []
        if len(of) != len(values):
            of = [""] * len(values)
        for value, uri in zip(values, of, strict=True):
            # A value with a URI is one concept, whatever its text.
            pieces |= dict.fromkeys(
                Piece(each, uri) for each in ([value] if uri else split_cell(value, separators))
            )
    return list(pieces)
