"""Accepted terms written into a museum's own table, beside its cells or in them, in its own words."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from eufcc_cli.core.dataset.museum.cell_terms import joint_of
from eufcc_cli.core.dataset.museum.export_file import write_export
from eufcc_cli.core.dataset.museum.export_records import split_cell
from eufcc_cli.core.dataset.museum.readers.export import Dialect, text_frame, unique_names
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import possible_ids
from eufcc_cli.core.tagging.own_table import OwnTable
from eufcc_cli.core.taxonomy.decisions import Decision, Decisions
from eufcc_cli.core.taxonomy.matching.assignment import TermRow
from eufcc_cli.core.taxonomy.matching.known_terms import TagPath
from eufcc_cli.core.taxonomy.matching.words import is_placeholder
from eufcc_cli.core.taxonomy.spelling import fold
from eufcc_cli.core.taxonomy.tables.annotations import FACETS, PATH_SEPARATOR, most_specific, paths

FORMATS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".xlsx": "xlsx", ".ods": "ods", ".jsonl": "jsonl"}
_SUGGESTED, _PROBABILITY, _MODEL = "suggested", "probability", "model"


@dataclass(frozen=True, slots=True)
class Addition:
    """A term to add to a record; score and model are None if a person added it."""

    facet: str
    path: TagPath
    score: float | None = None
    model: str | None = None


@dataclass
class Written:
    """How many terms were written, and for how many records."""

    terms: int = 0
    records: int = 0
    unplaced: int = 0
    """Terms that could not be merged because the table has no column for their facet."""
    held_back: int = 0
    """Terms left out because their cell is filled, or holds one value only."""


def dialect_for(table: OwnTable, path: Path) -> Dialect:
    """The dialect in which to write the table; DataError for an unknown file ending.

    The export's own format keeps its separator, encoding, line ends and sheet.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise DataError(f"{path}: its ending names no format", hint=f"one of {', '.join(FORMATS)}")
    came = table.export.dialect
    if FORMATS[ending] == came.format:
        return came
    return Dialect(FORMATS[ending], bom=ending != ".jsonl", separator="\t" if ending == ".tsv" else ",")


def write_back(
    table: OwnTable,
    additions: Mapping[int, Iterable[Addition]],
    path: Path,
    *,
    merge: bool = False,
    only_empty: bool = False,
) -> Written:
    """Write a museum's table with terms added to its rows, whole or not at all.

    additions: {number of a record: terms}. They are written into additional columns beside the facet's first
    column, with probability and model; with `merge`, at the end of the cell itself. Terms that a record
    already has, or has more specifically, are not added. With `only_empty` filled cells get no terms. A facet
    that holds one value per record gets the most probable term, and only if it is empty.
    """
    writer = _Columns(table, merge, only_empty)
    for record, added in additions.items():
        writer.add(record, added)
    return writer.write(path)


class _Columns:
    """The cells of the table to write."""

    def __init__(self, table: OwnTable, merge: bool, only_empty: bool) -> None:
        self._table = table
        self._merge = merge
        self._only_empty = only_empty
        rows = table.described.assignment.rows
        self._words = {facet: own_words(rows, facet) for facet in FACETS}
        frame = table.export.frame
        self._cells = {name: frame[name].tolist() for name in frame}
        self._joints = {
            facet: joint_of(self._cells[columns[0]], table.separators(facet))
            for facet, columns in table.profile.facets.items()
        }
        self._beside: dict[str, dict[int, list[Addition]]] = defaultdict(dict)
        self._written = Written()

    def add(self, record: int, additions: Iterable[Addition]) -> None:
        """Add terms to a record."""
        row = self._table.row(record)
        by_facet: dict[str, list[Addition]] = defaultdict(list)
        for addition in additions:
            by_facet[addition.facet].append(addition)
        count = 0
        for facet, added in by_facet.items():
            chosen = self._chosen(record, facet, added)
            columns = self._table.profile.facets.get(facet, ())
            if not chosen:
                continue
            if not self._merge:
                self._beside[facet][row] = chosen
            elif columns:
                cells = self._cells[columns[0]]
                words = [self._word(facet, addition.path) for addition in chosen]
                there = [] if is_placeholder(cells[row]) else [cells[row]]
                cells[row] = self._joints[facet].join([*there, *words])
            else:
                self._written.unplaced += len(chosen)
                continue
            count += len(chosen)
        self._written.terms += count
        self._written.records += count > 0

    def _chosen(self, record: int, facet: str, additions: Iterable[Addition]) -> list[Addition]:
        """The terms of a facet that are added to a record, the most probable first."""
        row = self._table.row(record)
        single = facet in self._table.single
        there = {name for path in paths(self._table.annotation(facet, record)) for name in path}
        cells = [self._cells[column][row] for column in self._table.profile.facets.get(facet, ())]
        words = {fold(item) for cell in cells for item in split_cell(cell, self._table.separators(facet))}
        chosen = self._new(facet, additions, there, words)
        filled = not all(map(is_placeholder, cells))
        taken = 0 if filled and (single or self._only_empty) else 1 if single else len(chosen)
        self._written.held_back += len(chosen) - taken
        return chosen[:taken]

    def _new(
        self, facet: str, additions: Iterable[Addition], there: set[str], words: set[str]
    ) -> list[Addition]:
        """The most specific terms that the record lacks, as terms and as words; most probable first."""
        best: dict[TagPath, Addition] = {}
        for addition in additions:
            path = self._table.path_of(facet, addition.path)
            if path[-1] in there or fold(path[-1]) in words or fold(self._word(facet, path)) in words:
                continue
            known = best.get(path)
            if known is None or _rank(addition) > _rank(known):
                best[path] = replace(addition, path=path)
        return sorted((best[path] for path in most_specific(best, path=tuple)), key=_rank, reverse=True)

    def _word(self, facet: str, path: TagPath) -> str:
        cells = self._table.described.records.facets.get(facet)
        if cells is not None and cells.published:
            return PATH_SEPARATOR.join(path)
        return self._words[facet].get(path, path[-1])

    def write(self, path: Path) -> Written:
        """Write the table."""
        dialect = dialect_for(self._table, path)
        columns: list[tuple[str, str, list[str]]] = []  # name in the frame, name in the file, cells
        export = self._table.export
        first = {columns[0]: facet for facet, columns in self._table.profile.facets.items() if columns}
        for name, header in zip(export.columns, export.header, strict=True):
            columns.append((name, header, self._cells[name]))
            if not self._merge and (facet := first.get(name)):
                columns += self._columns_of(facet, " ".join(header.split()), self._joints[facet])
        for facet, rows in self._beside.items():
            if facet not in first.values() and rows:
                columns += self._columns_of(facet, facet, "; ")
        self._check_names([header for _, header, _ in columns])
        frame_names = unique_names(header for _, header, _ in columns)
        frame = text_frame(frame_names, [cells for _, _, cells in columns])
        write_export(frame, path, dialect, [header for _, header, _ in columns])
        return self._written

    def _check_names(self, headers: list[str]) -> None:
        """DataError if the table already has a column of an added name."""
        added = [header for header in headers if header not in self._table.export.header]
        twice = next((header for header in headers if headers.count(header) > 1), None)
        known = {" ".join(header.split()) for header in self._table.export.header}
        clash = next((header for header in added if header in known), None)
        if clash or (twice and self._table.export.header.count(twice) < headers.count(twice)):
            raise DataError(
                f"{self._table.export.paths[0]}: has a column {clash or twice!r} already",
                hint="give the table without suggestions, or rename that column",
            )

    def _columns_of(self, facet: str, header: str, joint: str) -> list[tuple[str, str, list[str]]]:
        """The three columns beside a facet's column."""
        size = len(self._table.export)
        cells = {kind: [""] * size for kind in (_SUGGESTED, _PROBABILITY, _MODEL)}
        for row, added in self._beside.get(facet, {}).items():
            cells[_SUGGESTED][row] = joint.join(self._word(facet, a.path) for a in added)
            cells[_PROBABILITY][row] = joint.join("" if a.score is None else f"{a.score:.2g}" for a in added)
            cells[_MODEL][row] = joint.join(dict.fromkeys(a.model or "" for a in added))
            if not any(a.score is not None for a in added):
                cells[_PROBABILITY][row] = ""
        return [(f"{header} ({kind})", f"{header} ({kind})", of) for kind, of in cells.items()]


def _rank(addition: Addition) -> tuple[bool, float]:
    """The sort key: terms that a person added come first, then the most probable."""
    return addition.score is None, addition.score or 0.0


def own_words(rows: Iterable[TermRow], facet: str) -> dict[TagPath, str]:
    """The museum's own word for each term: the most frequent text that means only this term.

    A text that is the term's name in any spelling is preferred to one that was matched as a synonym or by
    a person.
    """
    words: dict[TagPath, tuple[int, int, str]] = {}
    for row in rows:
        if row.facet != facet or not row.count or row.how in ("word", "none"):
            continue
        found = paths(row.term)
        if len(found) == 1:
            better = (2 if row.how in ("exact", "own") else 1, row.count, row.text)
            known = words.get(found[0])
            if known is None or better[:2] > known[:2]:
                words[found[0]] = better
    return {path: word for path, (_, _, word) in words.items()}


def from_decisions(table: OwnTable, decisions: Decisions) -> tuple[dict[int, list[Addition]], list[Decision]]:
    """The accepted and added terms by record, and the decisions about images without a record."""
    additions: dict[int, list[Addition]] = defaultdict(list)
    elsewhere = []
    direct = {record_id: number for number, record_id in enumerate(table.ids)}
    for decision in decisions:
        known = [decision.id] if decision.id else list(possible_ids(decision.image))
        record = next((direct[name] for name in known if name in direct), None)
        if record is None:  # a further photograph of a record has an id of its own
            record = next((table.record_of[name] for name in known if name in table.record_of), None)
        if record is None:
            elsewhere.append(decision)
        elif decision.is_true:
            path = table.path_of_tag(decision.facet, decision.tag)
            additions[record].append(
                Addition(decision.facet, path, decision.score, decision.model or decision.reviewer)
            )
    return additions, elsewhere


def from_suggestions(table: OwnTable, lines: Iterable[str]) -> dict[int, list[Addition]]:
    """The terms of suggestions by record, from the JSON lines that `tag` wrote for this table."""
    additions: dict[int, list[Addition]] = defaultdict(list)
    for line in lines:
        content = json.loads(line)
        for facet, tags in content.get("tags", {}).items():
            additions[table.record_of[content["id"]]] += [
                Addition(facet, tuple(tag["path"]), tag["score"], content["model"]) for tag in tags
            ]
    return additions
