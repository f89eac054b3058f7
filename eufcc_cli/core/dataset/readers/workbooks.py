"""Workbooks, .xlsx and .ods: a sheet's cells as text, as a spreadsheet shows them; nothing is evaluated."""

import datetime as dt
import io
import itertools
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pandas as pd
from lxml import etree

from eufcc_cli.core.dataset.readers.export import Dialect, Export, text_frame, unique_names
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import atomic_open

_OFFICE = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_MOST_COLUMNS = 2000
_MOST_ROWS = 1 << 20  # of a sheet
_LONGEST_CELL = 32_767
_MOST_BYTES = 4 << 30  # of a sheet, unpacked: beyond any spreadsheet's own limits, a bomb is far above
_FORMULA_CELL = re.compile(rb'<c r="([A-Z]+)(\d+)"[^>]*><f')
_RETURN = {"\r": "&#13;"}
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DECIMALS = re.compile(r"(?:#,##)?0+(?:\.(0+))?")

Rows = Iterator[tuple[int, list[str]]]
"""Row numbers as the spreadsheet counts them, with the cells."""


def read_xlsx(path: Path, sheet: str | None) -> Export:
    """Read a sheet of an .xlsx workbook; DataError for a protected, damaged or empty one, or many sheets."""
    import openpyxl

    _check_archive(path)
    try:
        # By its content: openpyxl looks at the names of files.
        book = openpyxl.load_workbook(
            io.BytesIO(path.read_bytes()), read_only=True, data_only=True, keep_links=False
        )
    except Exception as error:  # openpyxl raises whatever it stumbles over
        raise _damaged(path, error) from error
    try:
        name = _choose(path, [each.title for each in book.worksheets], sheet)
        chosen = book[name]
        chosen.reset_dimensions()

        def rows() -> Rows:
            for number, cells in enumerate(chosen.iter_rows(), start=1):
                yield number, [_shown(cell) for cell in cells]

        try:
            export = _table(path, rows(), Dialect("xlsx", sheet=name))
        except DataError:
            raise
        except Exception as error:
            raise _damaged(path, error) from error
        place = chosen._worksheet_path
    finally:
        book.close()
    with zipfile.ZipFile(path) as archive, archive.open(place) as part:
        return _with_formulas(export, _xlsx_formulas(part))


def read_ods(path: Path, sheet: str | None) -> Export:
    """Read a sheet of an .ods workbook; DataError as `read_xlsx`."""
    _check_archive(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if b"encryption-data" in archive.read("META-INF/manifest.xml"):
                raise _protected(path)
            with archive.open("content.xml") as part:
                name = _choose(path, list(_ods_sheets(part)), sheet)
            formulas: dict[int, int] = {}
            with archive.open("content.xml") as part:
                export = _table(path, _ods_rows(part, name, formulas), Dialect("ods", sheet=name))
    except DataError:
        raise
    except (KeyError, zipfile.BadZipFile, etree.XMLSyntaxError, OSError, EOFError, ValueError) as error:
        raise _damaged(path, error) from error
    return _with_formulas(export, formulas)


def write_xlsx(frame: pd.DataFrame, header: tuple[str, ...], path: Path, dialect: Dialect) -> None:
    """Write cells as a workbook of one sheet, all of them as text: none becomes a number or a formula."""
    import openpyxl
    from openpyxl.cell import WriteOnlyCell

    rows = [header, *zip(*(frame[name].tolist() for name in frame), strict=True)]
    _check_legal(path, rows, _LONGEST_CELL)
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


def write_ods(frame: pd.DataFrame, header: tuple[str, ...], path: Path, dialect: Dialect) -> None:
    """Write cells as an OpenDocument workbook of one sheet, all of them as text."""
    namespaces = (
        f'xmlns:office="{_OFFICE}" xmlns:table="{_TABLE[1:-1]}" '
        f'xmlns:text="{_TEXT[1:-1]}" office:version="1.3"'
    )
    name = quoteattr(dialect.sheet or "Sheet1")
    rows = [header, *zip(*(frame[name].tolist() for name in frame), strict=True)]
    _check_legal(path, rows)
    with atomic_open(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        kind = "application/vnd.oasis.opendocument.spreadsheet"
        archive.writestr(zipfile.ZipInfo("mimetype"), kind)
        archive.writestr(
            "META-INF/manifest.xml",
            '<?xml version="1.0" encoding="UTF-8"?><manifest:manifest '
            'xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.3">'
            f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/>'
            '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/>'
            "</manifest:manifest>",
        )
        with archive.open("content.xml", "w") as part:
            part.write(
                f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {namespaces}><office:body>'
                f"<office:spreadsheet><table:table table:name={name}>".encode()
            )
            for row in rows:
                part.write(b"<table:table-row>" + b"".join(map(_ods_cell, row)) + b"</table:table-row>")
            part.write(b"</table:table></office:spreadsheet></office:body></office:document-content>")


def _check_legal(path: Path, rows: Iterable[Iterable[str]], longest: int | None = None) -> None:
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


def _ods_cell(text: str) -> bytes:
    if not text:
        return b"<table:table-cell/>"
    lines = "".join(f"<text:p>{_spaced(escape(line, _RETURN))}</text:p>" for line in text.split("\n"))
    return f'<table:table-cell office:value-type="string">{lines}</table:table-cell>'.encode()


def _spaced(line: str) -> str:
    """OpenDocument drops spaces at the ends, runs of them, and tabs: elements stand for those."""
    line = re.sub(r"^ +| +$|(?<= ) +", lambda run: f'<text:s text:c="{len(run[0])}"/>', line)
    return line.replace("\t", "<text:tab/>")


def _check_archive(path: Path) -> None:
    """DataError for what is no zip file, or a damaged one, or one that unpacks without end."""
    with path.open("rb") as file:
        head = file.read(8)
        if head == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":  # an OLE file: encrypted, or of the last century
            file.seek(0)
            if "EncryptedPackage".encode("utf-16-le") in file.read(1 << 20) or path.suffix.lower() == ".xlsx":
                raise _protected(path)
            raise DataError(f"{path}: a workbook in Excel's old format", hint="save it as .xlsx or CSV")
    try:
        with zipfile.ZipFile(path) as archive:
            if any(info.flag_bits & 1 for info in archive.infolist()):
                raise _protected(path)
            if sum(info.file_size for info in archive.infolist()) > _MOST_BYTES:
                raise DataError(f"{path}: unpacks to more than 4 GB", hint="save the table as CSV")
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise _damaged(path, error) from error


def _protected(path: Path) -> DataError:
    return DataError(
        f"{path}: is protected with a password", hint="open it, save it without a password, and use that file"
    )


def _damaged(path: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(
        f"{path}: not a whole workbook ({reason})", hint="the file may be cut off: copy or export it again"
    )


def _typed(name: str) -> str:
    """A name as it is typed on a command line."""
    return f'"{name}"' if " " in name else name


def _choose(path: Path, sheets: list[str], asked: str | None) -> str:
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


def _table(path: Path, rows: Rows, dialect: Dialect) -> Export:
    """The first row with a cell is the header; empty rows at the end are left out."""
    first, header = next(((number, row) for number, row in rows if any(row)), (0, []))
    while header and not header[-1].strip():
        header.pop()
    if not header:
        raise DataError(
            f"{path}: sheet {dialect.sheet} is empty", hint="name another sheet, or export it again"
        )
    width = len(header)
    if width > _MOST_COLUMNS:
        raise DataError(
            f"{path}: sheet {dialect.sheet} has {width:,} columns", hint="is it a table of records?"
        )
    columns: list[list[str]] = [[] for _ in header]
    blank = 0
    for number, row in rows:
        if not any(row):
            blank += 1  # kept where rows follow, so that each stands where it stood
            continue
        for column in columns:
            column.extend([""] * blank)
        blank = 0
        if any(row[width:]):
            raise DataError(
                f"{path}, row {number}: a cell beyond the last named column", hint="give every column a name"
            )
        for column, cell in zip(columns, row + [""] * (width - len(row)), strict=False):
            column.append(cell)
    if not columns[0]:
        raise DataError(f"{path}: sheet {dialect.sheet} has no rows below the header", hint="export it again")
    frame = text_frame(unique_names(header), columns)
    return Export((path,), frame, tuple(header), dialect, first_line=first + 1)


def _with_formulas(export: Export, formulas: dict[int, int]) -> Export:
    named = {
        export.columns[column]: max(row - export.first_line, 0)
        for column, row in formulas.items()
        if column < len(export.columns)
    }
    return Export(
        export.paths,
        export.frame,
        export.header,
        export.dialect,
        formulas=named,
        first_line=export.first_line,
    )


def _xlsx_formulas(part: Any) -> dict[int, int]:
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
    """The text of a cell, in the number formats that inventory numbers and dates are kept in."""
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


def _parse(part: Any, events: tuple[str, ...], tags: tuple[str, ...]) -> Any:
    return etree.iterparse(
        part, events=events, tag=tags, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True
    )


def _ods_sheets(part: Any) -> Iterator[str]:
    """The names of the sheets that have text in them."""
    named, filled = "", False
    for event, element in _parse(part, ("start", "end"), (f"{_TABLE}table", f"{_TEXT}p")):
        if element.tag == f"{_TEXT}p":
            filled = filled or event == "start"
        elif event == "start":
            named, filled = element.get(f"{_TABLE}name", ""), False
        else:
            if filled:
                yield named
            element.clear()


def _ods_rows(part: Any, sheet: str, formulas: dict[int, int]) -> Rows:
    inside, number = False, 0
    for event, element in _parse(part, ("start", "end"), (f"{_TABLE}table", f"{_TABLE}table-row")):
        if element.tag == f"{_TABLE}table":
            inside = event == "start" and element.get(f"{_TABLE}name", "") == sheet
        elif event == "end":
            if inside:
                cells = _ods_cells(element, number + 1, formulas)
                repeated = int(element.get(f"{_TABLE}number-rows-repeated", "1"))
                if not cells and number + repeated > _MOST_ROWS:
                    repeated = 0  # the empty rest of a sheet
                for _ in range(repeated):
                    number += 1
                    yield number, list(cells)
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]


def _ods_cells(row: Any, number: int, formulas: dict[int, int]) -> list[str]:
    cells: list[str] = []
    gap = 0
    for cell in row:
        repeated = int(cell.get(f"{_TABLE}number-columns-repeated", "1"))
        text = "\n".join(_ods_text(line) for line in cell if line.tag == f"{_TEXT}p")
        if cell.get(f"{_TABLE}formula") is not None:
            formulas.setdefault(len(cells) + gap, number)
        if not text:
            gap += repeated
            continue
        if number > _MOST_ROWS or len(cells) + gap + repeated > _MOST_COLUMNS:
            raise ValueError(f"row {number:,} has more cells than a sheet can hold")
        cells += [""] * gap + [text] * repeated
        gap = 0
    return cells


def _ods_text(element: Any) -> str:
    parts = [element.text or ""]
    for child in element:
        if child.tag == f"{_TEXT}s":
            parts.append(" " * min(int(child.get(f"{_TEXT}c", "1")), 10_000))
        elif child.tag == f"{_TEXT}tab":
            parts.append("\t")
        elif child.tag == f"{_TEXT}line-break":
            parts.append("\n")
        elif isinstance(child.tag, str) and not child.tag.endswith("}annotation"):
            parts.append(_ods_text(child))
        parts.append(child.tail or "")
    return "".join(parts)
