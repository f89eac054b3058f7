"""Shared by all kinds of workbooks: a check of the archive, the sheet to read, its rows as a table."""

import itertools
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from eufcc_cli.core.dataset.museum.readers.export import (
    HEADER_HINT,
    Dialect,
    Export,
    text_frame,
    unique_names,
)
from eufcc_cli.core.errors import DataError

MOST_COLUMNS = 2000
MOST_ROWS = 1 << 20
"""Of a sheet."""
_MOST_BYTES = 4 << 30  # of an unpacked sheet: more than any spreadsheet allows, less than a ZIP bomb
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Rows = Iterator[tuple[int, list[str]]]
"""Row numbers as the spreadsheet counts them, with the cells."""


def check_archive(path: Path) -> None:
    """Raise DataError for a file that is no ZIP file, is damaged, or unpacks to too much."""
    with path.open("rb") as file:
        head = file.read(8)
        if head == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":  # an OLE file: encrypted, or in Excel's old format
            file.seek(0)
            if "EncryptedPackage".encode("utf-16-le") in file.read(1 << 20) or path.suffix.lower() == ".xlsx":
                raise protected(path)
            raise DataError(f"{path}: a workbook in Excel's old format", hint="save it as .xlsx or CSV")
    try:
        with zipfile.ZipFile(path) as archive:
            if any(info.flag_bits & 1 for info in archive.infolist()):
                raise protected(path)
            if sum(info.file_size for info in archive.infolist()) > _MOST_BYTES:
                raise DataError(f"{path}: unpacks to more than 4 GB", hint="save the table as CSV")
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise damaged(path, error) from error


def protected(path: Path) -> DataError:
    """The error for a workbook with a password."""
    return DataError(
        f"{path}: is protected with a password", hint="open it, save it without a password, and use that file"
    )


def damaged(path: Path, error: Exception) -> DataError:
    """The error for a damaged workbook."""
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(
        f"{path}: a damaged workbook ({reason})", hint="the file may be cut off: copy or export it again"
    )


def choose_sheet(path: Path, sheets: list[str], asked: str | None) -> str:
    """The sheet to read: the named one, or the only one; DataError if there is none."""
    named = ", ".join(sheets)
    if asked is not None:
        if asked in sheets:
            return asked
        raise DataError(f"{path}: has no sheet {asked!r}", hint=f"its sheets are {named}")
    if not sheets:
        raise DataError(f"{path}: has no sheet with cells", hint="export the table again")
    if len(sheets) > 1:
        raise DataError(
            f"{path}: has {len(sheets)} sheets ({named})",
            hint=f"name the one to read: `sheet={_typed(sheets[0])}`",
        )
    return sheets[0]


def _typed(name: str) -> str:
    """A name, quoted for a command line."""
    return f'"{name}"' if " " in name else name


def table_of(path: Path, rows: Rows, dialect: Dialect) -> Export:
    """The first row with a cell is the header; empty rows at the end are left out."""
    first, header = next(((number, row) for number, row in rows if any(row)), (0, []))
    while header and not header[-1].strip():
        header.pop()
    if not header:
        raise DataError(
            f"{path}: sheet {dialect.sheet} is empty", hint="name another sheet, or export it again"
        )
    width = len(header)
    if width > MOST_COLUMNS:
        raise DataError(
            f"{path}: sheet {dialect.sheet} has {width:,} columns", hint="is it a table of records?"
        )
    columns: list[list[str]] = [[] for _ in header]
    blank = 0
    for number, row in rows:
        if not any(row):
            blank += 1  # kept if rows follow, so that all keep their places
            continue
        for column in columns:
            column.extend([""] * blank)
        blank = 0
        if any(row[width:]):
            raise DataError(
                f"{path}, row {number}: a cell beyond the last named column",
                hint=HEADER_HINT if width == 1 else "give every column a name",
            )
        for column, cell in zip(columns, row + [""] * (width - len(row)), strict=False):
            column.append(cell)
    if not columns[0]:
        raise DataError(f"{path}: sheet {dialect.sheet} has no rows below the header", hint="export it again")
    frame = text_frame(unique_names(header), columns)
    return Export((path,), frame, tuple(header), dialect, first_line=first + 1)


def with_formulas(export: Export, formulas: dict[int, int]) -> Export:
    """An export with its formulas, {number of the column: number of the row in the spreadsheet}."""
    named = {
        export.columns[column]: max(row - export.first_line, 0)
        for column, row in formulas.items()
        if column < len(export.columns)
    }
    return replace(export, formulas=named)


def check_legal(path: Path, rows: Iterable[Iterable[str]], longest: int | None = None) -> None:
    """Raise DataError for characters that workbooks cannot hold, and cells longer than `longest`."""
    for text in itertools.chain.from_iterable(rows):
        if bad := _ILLEGAL.search(text):
            raise DataError(
                f"{path}: a workbook cannot hold the character {bad[0]!r}", hint="write a .csv file instead"
            )
        if longest is not None and len(text) > longest:
            raise DataError(
                f"{path}: a cell of {len(text):,} characters, where a workbook holds {longest:,}",
                hint="write a .csv file instead",
            )
