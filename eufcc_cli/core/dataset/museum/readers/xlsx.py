"""Excel's workbooks (.xlsx): one sheet as text, formulas never evaluated."""

import datetime as dt
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd

from eufcc_cli.core.dataset.museum.readers.export import Dialect, Export
from eufcc_cli.core.dataset.museum.readers.workbooks import (
    Rows,
    check_archive,
    check_legal,
    choose_sheet,
    damaged,
    table_of,
    with_formulas,
)
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import atomic_open

_LONGEST_CELL = 32_767
_FORMULA_CELL = re.compile(rb'<c r="([A-Z]+)(\d+)"[^>]*><f')
_DECIMALS = re.compile(r"(?:#,##)?0+(?:\.(0+))?")


def read_xlsx(path: Path, sheet: str | None) -> Export:
    """Read a sheet of an .xlsx workbook; DataError for a protected, damaged or empty one, or many sheets."""
    import openpyxl

    check_archive(path)
    try:
        # From a file object: openpyxl rejects unusual file names.
        book = openpyxl.load_workbook(
            io.BytesIO(path.read_bytes()), read_only=True, data_only=True, keep_links=False
        )
    except Exception as error:  # openpyxl raises many kinds of errors
        raise damaged(path, error) from error
    try:
        shown = [each.title for each in book.worksheets if sheet or each.sheet_state == "visible"]
        name = choose_sheet(path, shown, sheet)
        chosen = book[name]
        chosen.reset_dimensions()

        def rows() -> Rows:
            for number, cells in enumerate(chosen.iter_rows(), start=1):
                yield number, [_shown(cell) for cell in cells]

        try:
            export = table_of(path, rows(), Dialect("xlsx", sheet=name))
        except DataError:
            raise
        except Exception as error:
            raise damaged(path, error) from error
        place = chosen._worksheet_path
    finally:
        book.close()
    with zipfile.ZipFile(path) as archive, archive.open(place) as part:
        return with_formulas(export, _formulas(part))


def write_xlsx(frame: pd.DataFrame, header: tuple[str, ...], path: Path, dialect: Dialect) -> None:
    """Write cells as a workbook of one sheet, all as text: none becomes a number or a formula."""
    import openpyxl
    from openpyxl.cell import WriteOnlyCell

    rows = [header, *zip(*(frame[name].tolist() for name in frame), strict=True)]
    check_legal(path, rows, _LONGEST_CELL)
    book = openpyxl.Workbook(write_only=True)
    page = book.create_sheet((dialect.sheet or "Sheet1")[:31])

    def cell(text: str) -> WriteOnlyCell:
        made = WriteOnlyCell(page)
        made.value = text
        made.data_type = "s"
        made.number_format = "@"
        return made

    for row in rows:
        page.append([cell(text) if text else None for text in row])
    with atomic_open(path) as file:
        book.save(file)


def _formulas(part: Any) -> dict[int, int]:
    """The first row with a formula of each column, both counted from 0 and 1."""
    found: dict[int, int] = {}
    rest = b""
    while chunk := part.read(1 << 20):
        block = rest + chunk
        for letters, row in _FORMULA_CELL.findall(block):
            column = 0
            for letter in letters:
                column = column * 26 + letter - 64
            found.setdefault(column - 1, int(row))
        rest = block[-200:]
    return found


def _shown(cell: Any) -> str:
    """The text of a cell, with the number formats that inventory numbers and dates use."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(sep=" ")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (int, float)):
        return number_text(value, cell.number_format)
    return str(value)


def number_text(value: int | float, form: str = "General") -> str:
    """A number as a spreadsheet shows it: leading zeros, fixed decimals and percentages as the format says.

    >>> [number_text(7, "00000"), number_text(1913.5, "0.00"), number_text(1913.0), number_text(0.25, "0%")]
    ['00007', '1913.50', '1913', '25%']
    """
    plain = form.split(";")[0].strip('"_() ')
    percent = plain.endswith("%")
    if found := _DECIMALS.fullmatch(plain.removesuffix("%")):
        decimals = len(found[1] or "")
        digits = len(plain.removesuffix("%").split(".")[0].replace(",", "").replace("#", ""))
        text = f"{abs(value) * (100 if percent else 1):.{decimals}f}"
        whole, point, rest = text.partition(".")
        sign = "-" if value < 0 else ""
        return sign + whole.zfill(digits) + point + rest + ("%" if percent else "")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.15g}" if isinstance(value, float) else str(value)
