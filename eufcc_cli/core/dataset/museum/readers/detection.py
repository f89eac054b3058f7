"""The dialect of a delimited text file: its encoding, separator, line ends and quotes."""

import codecs
import csv
import io
import re
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np

from eufcc_cli.core.dataset.museum.readers.export import Dialect
from eufcc_cli.core.errors import DataError

_SEPARATORS = (",", ";", "\t", "|")
_SAMPLE = 1 << 18  # characters, in which the separator is detected
_CHUNK = 1 << 20
_SEP_LINE = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)


def detect(path: Path) -> tuple[Dialect, tuple[str, ...], int]:
    """The dialect of a file, its header, and the number of blank lines above that.

    Raises DataError for an unknown encoding, binary data, and a header that cannot be read.
    """
    encoding, bom = _encoding(path)
    with path.open(encoding=codec_of(Dialect("csv", encoding, bom)), newline="") as file:
        sample = file.read(_SAMPLE)
    if "\0" in sample:
        raise _binary(path)
    sep_line = _SEP_LINE.match(sample)
    body = sample[sep_line.end() :] if sep_line else sample
    separator = sep_line[1] if sep_line else _separator(body, path.suffix.lower() in (".tsv", ".tab"))
    header = _header(path, body, separator)
    quote_all = _quotes_everything(body, separator)
    dialect = Dialect("csv", encoding, bom, separator, _newline(body), quote_all, sep_line is not None)
    blank = len(re.findall(r"\r\n|\n|\r", re.match(r"[\r\n]*", body)[0]))  # type: ignore[index]
    return dialect, tuple(header), blank


def codec_of(dialect: Dialect) -> str:
    """The codec for reading, which removes a byte-order mark."""
    if not dialect.bom:
        return dialect.encoding
    return "utf-8-sig" if dialect.encoding == "utf-8" else "utf-16"


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


def _separator(text: str, prefers_tab: bool) -> str:
    """The separator that gives most rows as many fields as the header, two at least; then most fields."""
    best, found = (0.0, 0), "\t" if prefers_tab else ","
    order = ("\t", *_SEPARATORS) if prefers_tab else _SEPARATORS
    for separator in dict.fromkeys(order):
        rows = _sample_rows(text, separator) if separator in text else []
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
