"""Reading and writing CSV and TSV in any dialect that spreadsheets write."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from eufcc_cli.core.dataset.museum.readers.detection import codec_of, detect
from eufcc_cli.core.dataset.museum.readers.export import HEADER_HINT, Dialect, Export, unique_names
from eufcc_cli.core.errors import DataError, first_line
from eufcc_cli.core.files import atomic_open
from eufcc_cli.core.taxonomy.tables.annotations import texts_of
from eufcc_cli.core.taxonomy.tables.text_columns import changed, containing

_CHUNK = 1 << 20
_ROWS = 1 << 15  # written at once
# A cell that a spreadsheet takes for a formula; a sign alone or before a number is none. The quotes make
# escaping reversible.
_MAY_BE_FORMULA = r"['=@\t\r+-]"
_FORMULA = re.compile(r"'*(?:[=@\t\r]|[+-](?!$|\d+(?:[.,]\d+)?$))")


def read_delimited(path: Path) -> Export:
    """Read a delimited text file; every cell is text, exactly as in the file.

    Raises DataError for text in an unknown encoding, rows with more or fewer fields than the header, and a
    quote that does not end, naming the row.
    """
    dialect, header, blank = detect(path)
    frame = _read(path, dialect, unique_names(header), blank)
    return Export((path,), frame, header, dialect, first_line=2 + blank + (1 if dialect.sep_line else 0))


def write_delimited(frame: pd.DataFrame, header: tuple[str, ...], path: Path, dialect: Dialect) -> None:
    """Write cells as the dialect says, whole or not at all.

    Cells that a spreadsheet would take for a formula get an apostrophe in front, which `read_delimited`
    removes. Raises DataError for a character that the encoding does not have.
    """
    with atomic_open(path, "wb") as raw:
        file = io.TextIOWrapper(raw, encoding=dialect.encoding, newline="")
        try:
            file.write("\ufeff" if dialect.bom else "")
            if dialect.sep_line:
                file.write(f"sep={dialect.separator}{dialect.newline}")
            for lines in _lines(frame, header, dialect):
                file.write(lines)
            file.flush()
        except UnicodeEncodeError as error:
            lost = error.object[error.start : error.end]
            raise DataError(
                f"{path}: {lost!r} cannot be written in {dialect.encoding}, the encoding of the table",
                hint="write an .xlsx file instead, or save the table as UTF-8 first",
            ) from error
        finally:
            file.detach()


def escape_formula(cell: str) -> str:
    """A cell that no spreadsheet evaluates.

    >>> [escape_formula(cell) for cell in ("=1+1", "-5", "-", "-x", "'=1", "bronze", "@a")]
    ["'=1+1", '-5', '-', "'-x", "''=1", 'bronze', "'@a"]
    """
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unescape_formula(cell: str) -> str:
    """The cell that `escape_formula` was given.

    >>> [unescape_formula(cell) for cell in ("'=1+1", "'quoted'", "''=1", "=1")]
    ['=1+1', "'quoted'", "'=1", '=1']
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _lines(frame: pd.DataFrame, header: tuple[str, ...], dialect: Dialect) -> Iterator[str]:
    special = (dialect.separator, '"', "\r", "\n")

    def quoted(cells: pd.Series) -> pd.Series:
        odd = containing(cells, special) | dialect.quote_all
        if len(header) == 1:
            odd |= cells == ""
        return changed(cells, odd, lambda cell: '"' + cell.replace('"', '""') + '"')

    yield dialect.separator.join(quoted(pd.Series(header, dtype="str"))) + dialect.newline
    for start in range(0, len(frame), _ROWS):
        columns = [frame[name].iloc[start : start + _ROWS].astype("str") for name in frame]
        escaped = [changed(cells, cells.str.match(_MAY_BE_FORMULA), escape_formula) for cells in columns]
        rows = zip(*(texts_of(quoted(cells)) for cells in escaped), strict=True)
        yield dialect.newline.join(map(dialect.separator.join, rows)) + dialect.newline


def _read(path: Path, dialect: Dialect, names: list[str], blank: int) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.csv as pacsv

    # Arrow's own allocator asks the system again for the memory that it gave back: a quarter of the time.
    pa.set_memory_pool(pa.system_memory_pool())
    codec = codec_of(dialect)
    try:
        table = pacsv.read_csv(
            path,
            read_options=pacsv.ReadOptions(
                column_names=names,
                skip_rows=1 if dialect.sep_line else 0,
                skip_rows_after_names=1 + blank,
                encoding="utf8" if dialect.encoding == "utf-8" else codec,
                block_size=1 << 23,
                use_threads=False,  # half the processor time, and as fast on two cores
            ),
            parse_options=pacsv.ParseOptions(delimiter=dialect.separator, newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.large_string())),
        )
    except pa.ArrowInvalid as error:
        reason = first_line(error)
        problem = _problem(path, dialect, names)
        raise problem or DataError(f"{path}: {reason}", hint="save the table as .xlsx") from error
    if _odd_quotes(path) and (problem := _problem(path, dialect, names)):
        raise problem  # a quote that does not end has swallowed the rest of the file
    if not table.num_rows:
        raise DataError(f"{path}: no rows below the header", hint="export the table again")
    frame: pd.DataFrame = table.combine_chunks().to_pandas()  # rows are taken from whole columns much faster
    for name in frame:
        if frame[name].str.startswith("'").any():
            frame[name] = frame[name].map(unescape_formula)
    return frame


def _odd_quotes(path: Path) -> bool:
    with path.open("rb") as file:
        chunks = (np.frombuffer(chunk, dtype=np.uint8) for chunk in iter(lambda: file.read(_CHUNK), b""))
        return sum(int(np.count_nonzero(letters == ord('"'))) for letters in chunks) % 2 == 1


def _problem(path: Path, dialect: Dialect, names: list[str]) -> DataError | None:
    """Why the file cannot be read, naming the rows; None if a strict reading finds no error."""
    ragged: list[str] = []
    with path.open(encoding=codec_of(dialect), newline="") as file:
        if dialect.sep_line:
            file.readline()
        reader = csv.reader(file, delimiter=dialect.separator, strict=True)
        try:
            for row in reader:
                if row and len(row) != len(names):
                    ragged.append(f"the row that ends in line {reader.line_num} has {len(row)} cells")
        except csv.Error as error:
            return DataError(
                f"{path}: line {reader.line_num} cannot be read: {error}",
                hint="look there, and above, for a quote that does not end",
            )
    if ragged:
        more = f" (and {len(ragged) - 1:,} more rows)" if len(ragged) > 1 else ""
        return DataError(
            f"{path}: {ragged[0]}, the header {len(names)}{more}",
            hint=HEADER_HINT
            if len(names) == 1
            else f"a cell that holds {dialect.separator!r} belongs in quotes; or save the table as .xlsx",
        )
    return None
