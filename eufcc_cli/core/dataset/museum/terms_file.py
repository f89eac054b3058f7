"""data/terms.csv: the term for each text and word of a museum's export, for a person to edit."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from eufcc_cli.core.dataset.museum.readers.delimited import read_delimited, write_delimited
from eufcc_cli.core.dataset.museum.readers.export import Dialect, text_frame
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.taxonomy.matching.assignment import TermRow
from eufcc_cli.core.taxonomy.tables.annotations import canonical, check_facets

COLUMNS = ("facet", "text", "count", "term", "how", "automatic")
_NEEDED = ("facet", "text", "term")
_DIALECT = Dialect("csv", bom=True)  # without the mark, Excel takes UTF-8 for Windows-1252


def read_terms(path: Path) -> list[TermRow]:
    """The rows of a terms file, in any format that a spreadsheet saves; none if there is no file.

    Rows without a facet or text are left out. Raises DataError for a file without the columns facet, text
    and term, an unknown facet, and two different terms for one text, naming the row.
    """
    if not path.is_file():
        return []
    export = read_delimited(path)
    columns = {name.strip().casefold(): name for name in export.columns}
    if missing := [name for name in _NEEDED if name not in columns]:
        raise DataError(
            f"{path}: column {missing[0]!r} is missing, it has {', '.join(export.columns)}",
            hint=f"its columns are {', '.join(COLUMNS)}; without the file, `fetch table` starts again",
        )
    cells = [
        export.frame[columns[name]].tolist() if name in columns else [""] * len(export) for name in COLUMNS
    ]
    rows: dict[tuple[str, str], TermRow] = {}
    for number, (facet, text, count, term, how, automatic) in enumerate(zip(*cells, strict=True)):
        facet, text, count = facet.strip(), canonical(text), count.strip()
        if not facet or not text:
            continue
        check_facets([facet], f"{export.place(number)}: ")
        row = TermRow(
            facet,
            text,
            int(count) if count.isdecimal() else 0,
            canonical(term),
            how.strip().lower(),
            canonical(automatic),
        )
        known = rows.setdefault(row.key, row)
        if known.term != row.term and known.edited and row.edited:
            raise DataError(
                f"{export.place(number)}: {text!r} becomes {row.term!r} here and {known.term!r} further up",
                hint="leave one of the two rows",
            )
        if row.edited:  # a person added it below the existing row
            rows[row.key] = row
    return list(rows.values())


def write_terms(path: Path, rows: Iterable[TermRow]) -> None:
    """Write the rows atomically, in the format of the existing file; else as UTF-8 for Excel."""
    cells: Sequence[Sequence[str]] = [
        (row.facet, row.text, str(row.count), row.term, row.how, row.automatic) for row in rows
    ]
    frame = text_frame(COLUMNS, list(zip(*cells, strict=True)) or [()] * len(COLUMNS))
    try:
        dialect = read_delimited(path).dialect if path.is_file() else _DIALECT
        write_delimited(frame, COLUMNS, path, dialect)
    except DataError:  # the existing file is no table, or its encoding lacks a character
        write_delimited(frame, COLUMNS, path, _DIALECT)
