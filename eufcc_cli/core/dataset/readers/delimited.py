"""CSV and TSV in any dialect that spreadsheets write: encoding, separator and quoting are detected."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from eufcc_cli.core.dataset.readers.export import Dialect, Export, unique_names
from eufcc_cli.core.errors import DataError, first_line
from eufcc_cli.core.files import atomic_open
from eufcc_cli.core.taxonomy.annotations import texts_of
from eufcc_cli.core.taxonomy.text_columns import changed, containing

_SEPARATORS = (",", ";", "\t", "|")
_SAMPLE = 1 << 18  # characters, in which the separator is detected
_CHUNK = 1 << 20
_ROWS = 1 << 15  # written at once
_SEP_LINE = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)
# A cell that a spreadsheet takes for a formula; a signed number is none. The quotes make escaping reversible.
_MAY_BE_FORMULA = r"['=@\t\r+-]"
_FORMULA = re.compile(r"'*(?:[=@\t\r]|[+-](?!\d+(?:[.,]\d+)?$))")


def read_delimited(path: Path) -> Export:
    """Read a delimited text file; every cell is text, exactly as in the file.

    Raises DataError for text in an unknown encoding, rows with more or fewer fields than the header, and a
    quote that does not end, naming the row.
    """
    encoding, bom = _encoding(path)
    with path.open(encoding=_codec(encoding, bom), newline="") as file:
        sample = file.read(_SAMPLE)
    if "\0" in sample:
        raise _binary(path)
    sep_line = _SEP_LINE.match(sample)
    body = sample[sep_line.end() :] if sep_line else sample
    separator = sep_line[1] if sep_line else _separator(body, path.suffix.lower() in (".tsv", ".tab"))
    header = _header(path, body, separator)
    dialect = Dialect(
        "csv",
        encoding,
        bom,
        separator,
        _newline(body),
        _quotes_everything(body, separator),
        sep_line is not None,
    )
    names = unique_names(header)
    blank = len(re.findall(r"\r\n|\n|\r", re.match(r"[\r\n]*", body)[0]))  # type: ignore[index]
    frame = _read(path, dialect, names, blank)
    return Export((path,), frame, tuple(header), dialect, first_line=2 + blank + (1 if sep_line else 0))


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

    >>> [escape_formula(cell) for cell in ("=1+1", "-5", "-x", "'=1", "bronze", "@a")]
    ["'=1+1", '-5', "'-x", "''=1", 'bronze', "'@a"]
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
        odd = (cells.str.strip() != cells) | containing(cells, special) | dialect.quote_all
        if len(header) == 1:
            odd |= cells == ""
        return changed(cells, odd, lambda cell: '"' + cell.replace('"', '""') + '"')

    yield dialect.separator.join(quoted(pd.Series(header, dtype="str"))) + dialect.newline
    for start in range(0, len(frame), _ROWS):
        columns = [frame[name].iloc[start : start + _ROWS].astype("str") for name in frame]
        escaped = [changed(cells, cells.str.match(_MAY_BE_FORMULA), escape_formula) for cells in columns]
        rows = zip(*(texts_of(quoted(cells)) for cells in escaped), strict=True)
        yield dialect.newline.join(map(dialect.separator.join, rows)) + dialect.newline


def _encoding(path: Path) -> tuple[str, bool]:
    """The encoding of a text file, and whether it begins with a byte-order mark."""
    with path.open("rb") as file:
        head = file.read(4096)
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ):
        if head.startswith(mark):
            _check(path, name)
            return name, True
    if head.count(0) > len(head) // 4:  # Latin letters in UTF-16: every other byte is zero
        name = "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
        try:
            _decode_all(path, name)
        except UnicodeDecodeError as error:
            raise _binary(path) from error
        return name, False
    if _is_utf8(path):
        return "utf-8", False
    with suppress(UnicodeDecodeError):
        _decode_all(path, "cp1252")
        return "cp1252", False
    raise DataError(
        f"{path}: its text is neither UTF-8 nor UTF-16 nor Windows-1252", hint="save it as CSV in UTF-8"
    )


def _binary(path: Path) -> DataError:
    return DataError(f"{path}: not a table, but binary data", hint="export it as CSV or .xlsx")


def _check(path: Path, encoding: str) -> None:
    try:
        _decode_all(path, encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: begins as {encoding} and is not: byte {error.start:,} cannot be read",
            hint="the file may be cut off; export it again, in UTF-8",
        ) from error


def _is_utf8(path: Path) -> bool:
    """Whether a file, which is not empty, can be read as UTF-8; much faster than decoding it."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        letters = file.read_buffer()
        ends = pa.py_buffer(np.array([0, len(letters)]))
        try:
            pa.LargeStringArray.from_buffers(1, ends, letters).validate(full=True)
        except pa.ArrowInvalid:
            return False
    return True


def _decode_all(path: Path, encoding: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            decoder.decode(chunk)
    decoder.decode(b"", True)


def _codec(encoding: str, bom: bool) -> str:
    """The codec for reading, which removes a byte-order mark."""
    if not bom:
        return encoding
    return "utf-8-sig" if encoding == "utf-8" else "utf-16"


def _separator(text: str, prefers_tab: bool) -> str:
    """The separator that gives most rows as many fields as the header, two at least; then most fields."""
    best, found = (0.0, 0), "\t" if prefers_tab else ","
    order = ("\t", *_SEPARATORS) if prefers_tab else _SEPARATORS
    for separator in dict.fromkeys(order):
        rows = _sample_rows(text, separator)
        if rows and len(rows[0]) > 1:
            even = sum(len(row) == len(rows[0]) for row in rows) / len(rows)
            score = (round(even, 2), len(rows[0]))
            if score > best:
                best, found = score, separator
    return found


def _sample_rows(text: str, separator: str) -> list[list[str]]:
    rows = []
    try:
        for row in islice(csv.reader(io.StringIO(text, newline=""), delimiter=separator), 1000):
            if row:
                rows.append(row)
    except csv.Error:
        pass
    if len(text) >= _SAMPLE and len(rows) > 1:
        rows.pop()  # the sample ends in the middle of it
    return rows


def _header(path: Path, text: str, separator: str) -> list[str]:
    rows = (row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row)
    try:
        header = next(rows, [])
    except csv.Error as error:
        raise DataError(
            f"{path}: its header cannot be read: {error}", hint="export the table again"
        ) from error
    if not any(name.strip() for name in header):
        raise DataError(f"{path}: the table is empty", hint="export it again, with a row of column names")
    return header


def _newline(text: str) -> str:
    found = re.search(r"\r\n|\n|\r", re.sub(r'"[^"]*"', "", text[:100_000]))
    return found[0] if found else "\n"


def _quotes_everything(text: str, separator: str) -> bool:
    first, *rest = re.split(r"\r\n|\n|\r", text, maxsplit=2)
    lines = [line for line in (first, *rest[:1]) if line]
    return (
        bool(lines)
        and all(
            part.startswith('"') for line in lines for part in re.split(f'(?<="){re.escape(separator)}', line)
        )
        and all(line.endswith('"') for line in lines)
    )


def _read(path: Path, dialect: Dialect, names: list[str], blank: int) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.csv as pacsv

    # Arrow's own allocator asks the system again for the memory that it gave back: a quarter of the time.
    pa.set_memory_pool(pa.system_memory_pool())
    codec = _codec(dialect.encoding, dialect.bom)
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
    with path.open(encoding=_codec(dialect.encoding, dialect.bom), newline="") as file:
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
            hint=f"a cell that holds {dialect.separator!r} belongs in quotes; or save the table as .xlsx",
        )
    return None
