"""Reading the exports of collection systems in any format, and writing such tables."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from eufcc_cli.core.dataset.museum.readers.delimited import read_delimited, write_delimited
from eufcc_cli.core.dataset.museum.readers.edm import RDF, read_edm
from eufcc_cli.core.dataset.museum.readers.export import Dialect, Export
from eufcc_cli.core.dataset.museum.readers.json_lines import read_json, write_json_lines
from eufcc_cli.core.dataset.museum.readers.lido import NAMESPACE, read_lido
from eufcc_cli.core.dataset.museum.readers.ods import read_ods, write_ods
from eufcc_cli.core.dataset.museum.readers.xlsx import read_xlsx, write_xlsx
from eufcc_cli.core.dataset.museum.readers.xml_source import root_tag
from eufcc_cli.core.errors import DataError

__all__ = ["Dialect", "Export", "kind_of", "read_export", "write_export"]

KINDS = "CSV, TSV, .xlsx, .ods, JSON, and LIDO or EDM in XML"
_WRITERS = {"csv": write_delimited, "xlsx": write_xlsx, "ods": write_ods, "jsonl": write_json_lines}
_JSON_ENDINGS = (".json", ".jsonl", ".ndjson")


def read_export(
    paths: Path | Sequence[Path], sheet: str | None = None, language: str | None = None
) -> Export:
    """Read export files as one table of text cells, exactly as they came.

    Several files must have the same columns, in any order; their rows follow each other. `sheet` names the
    sheet of a workbook that has several, `language` the language of terms in XML. Raises DataError, naming
    file and row, for anything else. Formulas are not evaluated, entities not expanded, URLs not opened.
    """
    files = [paths] if isinstance(paths, Path) else list(paths)
    if not files:
        raise DataError("no export file is given", hint=f"give {KINDS}")
    parts = [_read(path, sheet, language) for path in files]
    return parts[0] if len(parts) == 1 else _together(parts)


def write_export(
    frame: pd.DataFrame, path: Path, dialect: Dialect, header: Sequence[str] | None = None
) -> None:
    """Write a table as the dialect says, whole or not at all; `header` are the columns' names in the file.

    Reading it again gives the same cells. DataError for formats that are only read (LIDO, EDM).
    """
    if dialect.format not in _WRITERS:
        raise DataError(
            f"{path}: {dialect.format.upper()} files are read but not written", hint="write .csv or .xlsx"
        )
    names = tuple(frame.columns) if header is None else tuple(header)
    _WRITERS[dialect.format](frame, names, path, dialect)


def kind_of(path: Path) -> str:
    """The format of a file, by its content and not by its name.

    xlsx, ods, zip, xml, jsonl or csv; DataError for a file that is not there, is empty, or is a picture.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
            if head[:2] == b"PK":
                file.seek(0)
                return _kind_of_archive(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file", hint="is its name right?") from None
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror or error}") from error
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise DataError(f"{path}: the file is empty", hint="export it again")
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return "ods" if path.suffix.lower() == ".ods" else "xlsx"  # its reader reports the error
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"%PDF", b"GIF8", b"SQLite format 3")):
        raise DataError(f"{path}: not a table", hint=f"give {KINDS}")
    if path.suffix.lower() in (".xlsx", ".ods", ".zip"):
        return path.suffix.lower()[1:]
    if text.startswith(b"<"):
        return "xml"
    if path.suffix.lower() in _JSON_ENDINGS or (text.startswith(b"{") and path.suffix.lower() != ".csv"):
        return "jsonl"
    return "csv"


def _kind_of_archive(path: Path) -> str:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if "xl/workbook.xml" in names or "[Content_Types].xml" in names:
                return "xlsx"
            if "content.xml" in names and "mimetype" in names:
                return "ods"
    except (zipfile.BadZipFile, EOFError):
        return {".xlsx": "xlsx", ".ods": "ods"}.get(path.suffix.lower(), "zip")
    return "zip"


def _read(path: Path, sheet: str | None, language: str | None) -> Export:
    kind = kind_of(path)
    if sheet is not None and kind not in ("xlsx", "ods"):
        raise DataError(f"{path}: not a workbook, so it has no sheet {sheet!r}", hint="leave the sheet out")
    if kind == "xlsx":
        return read_xlsx(path, sheet)
    if kind == "ods":
        return read_ods(path, sheet)
    if kind == "jsonl":
        return read_json(path)
    if kind == "xml":
        return _read_xml(path, language)
    if kind == "zip":
        raise DataError(f"{path}: a ZIP file, but not a workbook", hint="unpack it, and give the table in it")
    return read_delimited(path)


def _read_xml(path: Path, language: str | None) -> Export:
    root = root_tag(path)
    if root.startswith(f"{{{NAMESPACE}}}"):
        return read_lido(path, language)
    if root.startswith(f"{{{RDF}}}"):
        return read_edm(path, language)
    head = path.read_bytes()[: 1 << 16]  # a wrapper, such as that of OAI-PMH: its content decides
    if NAMESPACE.encode() in head:
        return read_lido(path, language)
    if RDF.encode() in head:
        return read_edm(path, language)
    raise DataError(f"{path}: XML, and neither LIDO nor EDM", hint=f"give {KINDS}")


def _together(parts: list[Export]) -> Export:
    first = parts[0]
    for other in parts[1:]:
        if set(other.columns) != set(first.columns):
            differing = ", ".join(sorted(set(other.columns) ^ set(first.columns))[:5])
            raise DataError(
                f"{other.paths[0]}: its columns are not those of {first.paths[0]}: {differing}",
                hint="give files with the same columns, or import them one after the other",
            )
    starts = [0]
    for part in parts[:-1]:
        starts.append(starts[-1] + len(part))
    formulas = {
        name: starts[i] + row
        for i, part in reversed(list(enumerate(parts)))
        for name, row in part.formulas.items()
    }
    frame = pd.concat([part.frame[first.columns] for part in parts], ignore_index=True)
    return Export(
        tuple(path for part in parts for path in part.paths),
        frame,
        first.header,
        first.dialect,
        tuple(starts),
        formulas,
        first.separator,
        first.uris,
        first.first_line,
    )
