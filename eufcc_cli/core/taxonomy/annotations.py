"""Annotation tables in the published format: reading, splitting annotations into paths, writing."""

import csv
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import atomic_open

FACETS = ("objectTypes", "materials", "classifications", "subjects")
ID = "idInSource"
IMAGE_URL = "#portraitMedia.original"
DATABASE = "database"
PROVIDER = "repository.keeper"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def facet_column(facet: str) -> str:
    """The column that holds a facet's annotations.

    >>> facet_column("materials")
    'materials.hierarchy'
    """
    return f"{facet}.hierarchy"


FACET_COLUMNS = tuple(map(facet_column, FACETS))
_OPTIONAL = (*FACET_COLUMNS, DATABASE, PROVIDER)


def paths(annotation: str) -> list[tuple[str, ...]]:
    """Split an annotation into its paths: tags are separated by `$`, levels by `|`, general to specific.

    Names are NFC-normalised, and spaces around them, doubled or replaced by control characters, do not
    count. Empty segments are left out here; `problems` reports them.

    >>> paths("metall | bronze $ paper")
    [('metall', 'bronze'), ('paper',)]
    >>> paths("metall|  bronze $ ")
    [('metall', 'bronze')]
    >>> paths("")
    []
    """
    text = unicodedata.normalize("NFC", annotation)
    if not text.isprintable():
        text = _CONTROL.sub(" ", text)
    split = (
        tuple(name for part in tag.split("|") if (name := " ".join(part.split()))) for tag in text.split("$")
    )
    return [path for path in split if path]


def read_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read an annotation table, CSV or Parquet: one row per image, text only, missing values "".

    `columns` (default all) chooses what is kept in memory; optional ones that the file lacks are "".
    Raises DataError, naming file and line, for a missing or empty file, a missing column, a row without
    id, a row with more or fewer fields than the header, text that is not UTF-8.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file", hint="run `eufcc fetch` first, or give another --root")
    parquet = path.suffix.lower() == ".parquet"
    header = _parquet_header(path) if parquet else _csv_header(path)
    wanted = _wanted(path, header, columns)
    try:
        table = pq.read_table(path, columns=wanted) if parquet else _read_csv(path, wanted)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: {error}", hint="see data/README.md for the format") from error
    frame: pd.DataFrame = table.to_pandas()
    if ID in frame and (frame[ID] == "").any():
        row = int((frame[ID] == "").to_numpy().argmax())
        raise DataError(f"{path}: line {row + 2} has no id", hint=f"fill the column {ID}")
    return frame


def _parquet_header(path: Path) -> list[str]:
    try:
        return pq.read_schema(path).names
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: not a Parquet file", hint="give a table in the published format") from error


def _csv_header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: line 1 is not UTF-8 text", hint="save the table as CSV in UTF-8") from error


def _wanted(path: Path, header: list[str], columns: Sequence[str] | None) -> list[str]:
    if not header:
        raise DataError(f"{path}: the file is empty", hint="fetch or export it again")
    if ID not in header:
        raise DataError(f"{path}: column {ID} is missing", hint="see data/README.md for the format")
    if not any(column in header for column in FACET_COLUMNS):
        raise DataError(f"{path}: no facet column ({', '.join(FACET_COLUMNS)})", hint="see data/README.md")
    return header if columns is None else [column for column in header if column in columns]


def _read_csv(path: Path, columns: list[str]) -> pa.Table:
    return pacsv.read_csv(
        path,
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            include_columns=columns, column_types=dict.fromkeys(columns, pa.large_string())
        ),
    )


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write an annotation table, CSV or Parquet by the file's ending, whole or not at all."""
    with atomic_open(path) as file:
        if path.suffix.lower() == ".parquet":
            frame.to_parquet(file, index=False)
        else:
            frame.to_csv(file, index=False, lineterminator="\n", encoding="utf-8")


def distinct(frames: Iterable[pd.DataFrame], facets: Iterable[str] = FACETS) -> dict[str, dict[str, int]]:
    """Per facet, the distinct annotations in reading order, with the number of rows that hold each.

    >>> frame = pd.DataFrame({"idInSource": ["1", "2", "3"], "materials.hierarchy": ["b", "a", "b"]})
    >>> distinct([frame], ["materials"])
    {'materials': {'b': 2, 'a': 1}}
    """
    counts: dict[str, dict[str, int]] = {facet: {} for facet in facets}
    for frame in frames:
        for facet, known in counts.items():
            column = facet_column(facet)
            if column in frame:
                for text, count in frame[column].value_counts(sort=False).items():
                    known[str(text)] = known.get(str(text), 0) + int(count)
    for known in counts.values():
        known.pop("", None)
    return counts
