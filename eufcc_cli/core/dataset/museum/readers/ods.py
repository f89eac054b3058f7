"""OpenDocument workbooks (.ods): one sheet as text, read as a stream, formulas never evaluated."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pandas as pd
from lxml import etree

from eufcc_cli.core.dataset.museum.readers.export import Dialect, Export
from eufcc_cli.core.dataset.museum.readers.workbooks import (
    MOST_COLUMNS,
    MOST_ROWS,
    Rows,
    check_archive,
    check_legal,
    choose_sheet,
    damaged,
    protected,
    table_of,
    with_formulas,
)
from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import atomic_open

_OFFICE = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_RETURN = {"\r": "&#13;"}


def read_ods(path: Path, sheet: str | None) -> Export:
    """Read a sheet of an .ods workbook; DataError for a protected, damaged or empty one, or many sheets."""
    check_archive(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if b"encryption-data" in archive.read("META-INF/manifest.xml"):
                raise protected(path)
            with archive.open("content.xml") as part:
                name = choose_sheet(path, list(_sheets(part)), sheet)
            formulas: dict[int, int] = {}
            with archive.open("content.xml") as part:
                export = table_of(path, _rows(part, name, formulas), Dialect("ods", sheet=name))
    except DataError:
        raise
    except (KeyError, zipfile.BadZipFile, etree.XMLSyntaxError, OSError, EOFError, ValueError) as error:
        raise damaged(path, error) from error
    return with_formulas(export, formulas)


def write_ods(frame: pd.DataFrame, header: tuple[str, ...], path: Path, dialect: Dialect) -> None:
    """Write cells as an OpenDocument workbook of one sheet, all of them as text."""
    namespaces = (
        f'xmlns:office="{_OFFICE}" xmlns:table="{_TABLE[1:-1]}" '
        f'xmlns:text="{_TEXT[1:-1]}" office:version="1.3"'
    )
    name = quoteattr(dialect.sheet or "Sheet1")
    rows = [header, *zip(*(frame[name].tolist() for name in frame), strict=True)]
    check_legal(path, rows)
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
                part.write(b"<table:table-row>" + b"".join(map(_cell, row)) + b"</table:table-row>")
            part.write(b"</table:table></office:spreadsheet></office:body></office:document-content>")


def _cell(text: str) -> bytes:
    if not text:
        return b"<table:table-cell/>"
    lines = "".join(f"<text:p>{_spaced(escape(line, _RETURN))}</text:p>" for line in text.split("\n"))
    return f'<table:table-cell office:value-type="string">{lines}</table:table-cell>'.encode()


def _spaced(line: str) -> str:
    """OpenDocument drops repeated spaces, spaces at the ends, and tabs: elements replace those."""
    line = re.sub(r"^ +| +$|(?<= ) +", lambda run: f'<text:s text:c="{len(run[0])}"/>', line)
    return line.replace("\t", "<text:tab/>")


def _parse(part: Any, events: tuple[str, ...], tags: tuple[str, ...]) -> Any:
    return etree.iterparse(
        part, events=events, tag=tags, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True
    )


def _sheets(part: Any) -> Iterator[str]:
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


def _rows(part: Any, sheet: str, formulas: dict[int, int]) -> Rows:
    inside, number = False, 0
    for event, element in _parse(part, ("start", "end"), (f"{_TABLE}table", f"{_TABLE}table-row")):
        if element.tag == f"{_TABLE}table":
            inside = event == "start" and element.get(f"{_TABLE}name", "") == sheet
        elif event == "end":
            if inside:
                cells = _cells(element, number + 1, formulas)
                repeated = int(element.get(f"{_TABLE}number-rows-repeated", "1"))
                if not cells and number + repeated > MOST_ROWS:
                    repeated = 0  # the empty rest of a sheet
                for _ in range(repeated):
                    number += 1
                    yield number, list(cells)
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]


def _cells(row: Any, number: int, formulas: dict[int, int]) -> list[str]:
    cells: list[str] = []
    gap = 0
    for cell in row:
        repeated = int(cell.get(f"{_TABLE}number-columns-repeated", "1"))
        text = "\n".join(_text(line) for line in cell if line.tag == f"{_TEXT}p")
        if cell.get(f"{_TABLE}formula") is not None:
            formulas.setdefault(len(cells) + gap, number)
        if not text:
            gap += repeated
            continue
        if number > MOST_ROWS or len(cells) + gap + repeated > MOST_COLUMNS:
            raise ValueError(f"row {number:,} has more cells than a sheet can hold")
        cells += [""] * gap + [text] * repeated
        gap = 0
    return cells


def _text(element: Any) -> str:
    parts = [element.text or ""]
    for child in element:
        if child.tag == f"{_TEXT}s":
            parts.append(" " * min(int(child.get(f"{_TEXT}c", "1")), 10_000))
        elif child.tag == f"{_TEXT}tab":
            parts.append("\t")
        elif child.tag == f"{_TEXT}line-break":
            parts.append("\n")
        elif isinstance(child.tag, str) and not child.tag.endswith("}annotation"):
            parts.append(_text(child))
        parts.append(child.tail or "")
    return "".join(parts)
