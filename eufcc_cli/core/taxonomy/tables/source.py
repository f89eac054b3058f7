"""The text of a table's file: its header, the lines where rows begin, and the errors of a broken file.

Tables are read by pyarrow, which is fast but does not give line numbers. Only for messages is the file read
again, with Python's csv module.
"""

import csv
import io
import itertools
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from eufcc_cli.core.errors import DataError, first_of

_LONGEST_FIELD = 1 << 30
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_OTHERS = {
    b"PK\x03\x04": ("a workbook (or another archive)", "`eufcc fetch table` reads workbooks"),
    b"\xd0\xcf\x11\xe0": ("a workbook of Excel before 2007", "save it as .xlsx for `eufcc fetch table`"),
    b"\x1f\x8b": ("compressed by gzip", "unpack it first"),
    b"PAR1": ("a Parquet file", "give its name the ending .parquet"),
    b"%PDF": ("a PDF document", "export the table as CSV in UTF-8"),
}
"""Formats that are no tables, by the first bytes of a file."""
_TEXTS = {
    "<": ("HTML or XML", "export the table as CSV in UTF-8"),
    "{": ("JSON", "`eufcc fetch table` reads JSON lines"),
    "[": ("JSON", "`eufcc fetch table` reads JSON lines"),
}
_ENCODING_HINT = "save the table as CSV in UTF-8"


def _rows(path: Path, *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file with the line on which each begins; empty lines are no rows."""
    limit = csv.field_size_limit(_LONGEST_FIELD)
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, strict=strict)
            begin = 1
            for row in reader:
                if row:
                    yield begin, row
                begin = reader.line_num + 1
    finally:
        csv.field_size_limit(limit)


def read_header(path: Path) -> list[str]:
    """The column names of a CSV file; [] where it is empty. Raises DataError where it is not UTF-8."""
    with path.open("rb") as file:
        head = file.read(4)
    for magic, (kind, hint) in _OTHERS.items():
        if head.startswith(magic):
            raise DataError(f"{path}: {kind}, no CSV", hint=hint)
    if head[:2] in _UTF16 or (len(head) == 4 and head.count(0) == 2):
        raise DataError(f"{path}: the text is UTF-16", hint=_ENCODING_HINT)
    try:
        _, header = next(_rows(path), (1, []))
        for name in header:
            name.encode()
    except (csv.Error, UnicodeEncodeError) as error:
        raise explain(path, str(error)) from error
    return header


class Places:
    """The places of a table's rows: `line 12` of a CSV file, `row 11` of others (0 is the first row).

    A file is read once, at the first call for it.
    """

    def __init__(self) -> None:
        self._lines: dict[Path, list[int]] = {}

    def __call__(self, path: Path, row: int) -> str:
        if path not in self._lines:
            has_lines = path.suffix.lower() != ".parquet" and path.is_file()
            self._lines[path] = [line for line, _ in _rows(path)] if has_lines else []
        lines = self._lines[path]
        return f"line {lines[row + 1]}" if lines else f"row {row + 1}"


def explain(path: Path, reason: str) -> DataError:
    """Why a CSV file cannot be read, with the wrong lines; `reason` is the reader's message."""
    header: list[str] = []
    ragged: list[str] = []
    last = 0
    try:
        for last, row in _rows(path, strict=True):
            header = header or row
            if len(row) != len(header):
                ragged.append(f"line {last} has {len(row)} fields")
    except csv.Error as error:
        return DataError(
            f"{path}: the row below that of line {last} cannot be read: {error}",
            hint="find the quote that is not closed there",
        )
    if ragged:
        return DataError(
            f"{path}: {first_of(ragged)}, the header {len(header)}",
            hint='put a field that holds commas in quotes: "a, b"',
        )
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                raw.decode()
            except UnicodeDecodeError:
                return DataError(f"{path}: line {number} is not UTF-8 text", hint=_ENCODING_HINT)
    return DataError(f"{path}: {io.StringIO(reason).readline().strip()}")


_SEARCHED = 20  # rows in which a header is looked for below a title


def missing_column(path: Path, header: list[str], name: str, hint: str) -> DataError:
    """Why a table has no column of this name, with what it has instead: stray characters, a title, JSON."""
    if (begins := header[0].lstrip()[:1]) in _TEXTS:
        kind, hint = _TEXTS[begins]
        return DataError(f"{path}: {kind}, no CSV: it begins with {header[0][:40]!a}", hint=hint)
    if header[0].lower().startswith("sep="):
        return DataError(f"{path}: its first line is {','.join(header)!r}", hint="delete that line")
    for found in header:
        if _letters(found) == _letters(name):
            return DataError(
                f"{path}: column {name} is missing; there is {found!a}, with other characters in it",
                hint=f"write it as {name}",
            )
    if path.suffix.lower() != ".parquet":
        for line, row in itertools.islice(_rows(path), _SEARCHED):
            if name in row:
                shown = ",".join(header).strip(",")
                return DataError(
                    f"{path}: its first line is {shown!r}, the header is line {line}",
                    hint="delete the lines above the header",
                )
    shown = ", ".join(map(ascii, header[:8])) + (", …" if len(header) > 8 else "")
    return DataError(f"{path}: column {name} is missing; there are {shown}", hint=hint)


def _letters(name: str) -> str:
    """A column's name without case, width, spaces and invisible characters."""
    name = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in name if unicodedata.category(c)[0] not in "ZC")
