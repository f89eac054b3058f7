"""The records of an export: their ids, providers, titles, and the texts of their facets."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd

from eufcc_cli.core.dataset.profile import SEPARATORS, Profile
from eufcc_cli.core.dataset.readers.export import Export
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import forgives_case, image_stem
from eufcc_cli.core.taxonomy.annotations import facet_column, factorize, paths
from eufcc_cli.core.taxonomy.assignment import Assignment, joined

_COLUMN, _URI = "\x1f", "\x1e"  # between the cells of several columns, and before the URIs of a cell
_PUBLISHED = " $ "
_MOST_NAMED = 5
_LONG = 300  # letters of an id that may be too long to name a file


@dataclass(frozen=True)
class Piece:
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
        for pieces, records in zip(
            self.pieces, np.bincount(self.codes, minlength=len(self.cells)), strict=True
        ):
            for text in dict.fromkeys(piece.text for piece in pieces):
                counts[text] += int(records)
        return counts

    def annotations(
        self, facet: str, assignment: Assignment, known: Mapping[str, tuple[str, ...]]
    ) -> np.ndarray:
        """[N] object: each record's annotation; `known` are the paths of concept URIs."""
        if self.published:
            texts = self.cells
        else:
            texts = [
                joined(
                    path
                    for piece in pieces
                    for path in (
                        [known[piece.uri]]
                        if piece.uri in known
                        else paths(assignment.annotation(facet, [piece.text]))
                    )
                )
                for pieces in self.pieces
            ]
        return np.array(texts, dtype=object)[self.codes]


@dataclass(frozen=True)
class Records:
    """The records of an export that has been checked: rows without any cell are left out."""

    rows: np.ndarray
    """[N] int, the row of each record in the export."""
    ids: list[str]
    providers: list[str]
    titles: list[str]
    photos: list[list[str]]
    """What each record's photo cell names."""
    facets: dict[str, FacetCells]

    def __len__(self) -> int:
        return len(self.ids)


def read_records(export: Export, profile: Profile, folder: Path) -> Records:
    """The records of an export, by a profile.

    Raises DataError for a column that is not there, a record without an id, a formula in an id, and two
    records with one id: where the file system of `folder` forgives the letters' case, so does this.
    """
    profile.check(export.columns, export.paths[0])
    if not profile.id:
        raise DataError(
            f"{export.paths[0]}: which column holds the ids is not known",
            hint=f"name it with `id`; the columns are {', '.join(export.columns[:20])}",
        )
    if not profile.facets:
        raise DataError(
            f"{export.paths[0]}: which columns describe the objects is not known",
            hint=f"name one with `facet=materials=COLUMN`; the columns are {', '.join(export.columns[:20])}",
        )
    frame = export.frame
    filled = np.zeros(len(frame), dtype=bool)
    for name in frame:
        filled |= (frame[name].str.strip() != "").to_numpy(dtype=bool)
    rows = np.flatnonzero(filled)
    if len(rows) < len(frame):
        frame = frame.iloc[rows].reset_index(drop=True)
    ids = [str(text) for text in frame[profile.id].str.strip().tolist()]
    _check_ids(export, profile.id, ids, rows, folder)
    separators = profile.separators or ((export.separator,) if export.separator else SEPARATORS)
    return Records(
        rows,
        ids,
        _texts(frame, profile.provider),
        _texts(frame, profile.title),
        [split_cell(cell, (*SEPARATORS, "\n")) for cell in _texts(frame, profile.photo)],
        {
            facet: _facet_cells(facet, frame, columns, export, separators)
            for facet, columns in profile.facets.items()
        },
    )


def split_cell(text: str, separators: Sequence[str]) -> list[str]:
    """The items of a cell.

    >>> split_cell("gold; silver |wood;", (";", "|"))
    ['gold', 'silver', 'wood']
    """
    if not any(separator in text for separator in separators):
        return [text.strip()] if text.strip() else []
    parts = re.split("|".join(map(re.escape, separators)), text)
    return [part.strip() for part in parts if part.strip()]


def _texts(frame: pd.DataFrame, column: str) -> list[str]:
    if not column:
        return [""] * len(frame)
    return [" ".join(text.split()) for text in frame[column].tolist()]


def _check_ids(export: Export, column: str, ids: list[str], rows: np.ndarray, folder: Path) -> None:
    if column in export.formulas:
        raise DataError(
            f"{export.place(export.formulas[column])}: a formula in the id column {column!r}",
            hint="paste the ids as values, and export again",
        )
    missing = [i for i, text in enumerate(ids) if not text]
    if missing:
        places = ", ".join(export.place(int(rows[i])) for i in missing[:_MOST_NAMED])
        more = f" and {len(missing) - _MOST_NAMED:,} more" if len(missing) > _MOST_NAMED else ""
        raise DataError(f"no id ({column}) in {places}{more}", hint="give every record an id")
    for i, text in enumerate(ids):
        if text.startswith("="):
            raise DataError(
                f"{export.place(int(rows[i]))}: a formula in the id column {column!r}: {text[:60]}",
                hint="paste the ids as values, and export again",
            )
        if len(text) > _LONG:
            image_stem(text)  # raises DataError where it is too long to name a file
    if len(set(ids)) == len(set(map(str.casefold, ids))) == len(ids):
        return
    forgiving = forgives_case(folder)
    first: dict[str, int] = {}
    for i, text in enumerate(ids):
        before = first.setdefault(text.casefold() if forgiving else text, i)
        if before != i:
            one, other = export.place(int(rows[before])), export.place(int(rows[i]))
            differ = "" if ids[before] == text else f" and {text!r}, which are one name on this file system"
            raise DataError(
                f"two records have the id {ids[before]!r}{differ}: {one}, and {other}",
                hint=f"is {column!r} the column of the ids? Each record needs its own",
            )


def _facet_cells(
    facet: str, frame: pd.DataFrame, columns: Iterable[str], export: Export, separators: Sequence[str]
) -> FacetCells:
    several = list(columns)
    parts = [
        frame[name] + _URI + frame[export.uris[name]] if name in export.uris else frame[name]
        for name in several
    ]
    whole = reduce(lambda left, right: left + _COLUMN + right, parts)
    codes, cells = factorize(whole)
    published = several == [facet_column(facet)] or (
        len(several) == 1 and several[0] not in export.uris and any(_PUBLISHED in cell for cell in cells)
    )
    pieces = [[] if published else _pieces(cell, separators) for cell in cells]
    return FacetCells(codes, cells, published, pieces)


def _pieces(cell: str, separators: Sequence[str]) -> list[Piece]:
    pieces: dict[Piece, None] = {}
    for part in cell.split(_COLUMN):
        text, _, uris = part.partition(_URI)
        texts = split_cell(text, separators)
        of = [uri.strip() for uri in uris.split("|")] if uris else []
        if len(of) != len(texts):
            of = [""] * len(texts)
        pieces |= dict.fromkeys(Piece(*pair) for pair in zip(texts, of, strict=True))
    return list(pieces)
