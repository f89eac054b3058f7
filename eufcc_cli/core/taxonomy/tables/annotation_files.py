"""Reading and writing files of annotations: CSV or Parquet, a row for each image."""

import csv
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eufcc_cli.core.errors import DataError, first_of
from eufcc_cli.core.files import atomic_open
from eufcc_cli.core.taxonomy.tables import source
from eufcc_cli.core.taxonomy.tables.annotations import (
    DATABASE,
    FACET_COLUMNS,
    FORMAT_HINT,
    ID,
    IMAGE_URL,
    PROVIDER,
    RECORD,
)
from eufcc_cli.core.taxonomy.tables.csv_blocks import csv_blocks, csv_parts

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_OPTIONAL = frozenset((*FACET_COLUMNS, DATABASE, PROVIDER, RECORD))


def read_table(
    path: Path, columns: Sequence[str] | None = None, *, need_ids: bool = True, as_text: bool = False
) -> "pd.DataFrame":
    """Read an annotation table, CSV or Parquet: one row per image, as text, missing values "".

    `columns` (default: all that the file has, in its order) chooses what is kept, in the order given;
    facets, database, provider and record that the file lacks are then filled with "". Extra columns of a
    Parquet file keep their types, or become text with `as_text` (nested ones JSON). Raises DataError, naming
    file and line, for a missing or empty file, a missing column, a row with more or fewer fields than the
    header, a quote that does not end, text that is not UTF-8 and (with `need_ids`) a row without an id.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not os.path.isfile(path):  # noqa: PTH113  (pathlib's raises for names that cannot be)
        hint = "run `eufcc fetch` first, or give another `root` or file"
        raise DataError(f"{path}: no such file", hint=hint)
    parquet = path.suffix.lower() == ".parquet"
    try:
        header = pq.read_schema(path).names if parquet else source.read_header(path)
        wanted = _wanted(path, header, columns)
        reading = list(dict.fromkeys([ID, *wanted]))
        table = _read_parquet(path, reading, as_text) if parquet else _read_csv(path, reading)
    except pa.ArrowInvalid as error:
        if parquet:
            raise DataError(f"{path}: not a whole Parquet file", hint="fetch or export it again") from error
        raise source.explain(path, str(error)) from error
    except OSError as error:
        raise DataError(f"{path}: cannot read: {error.strerror or error}") from error
    if not table.num_rows:
        raise DataError(f"{path}: no rows below the header", hint="fetch or export it again")
    frame: pd.DataFrame = table.to_pandas()
    if need_ids:
        _check_ids(path, frame[ID])
    if columns is None:
        return frame[wanted]
    for column in set(columns) - set(frame):
        frame[column] = ""
    return frame[list(columns)]


def _wanted(path: Path, header: list[str], columns: Sequence[str] | None) -> list[str]:
    """The columns to read, checked against the file's header."""
    if not any(header):
        raise DataError(f"{path}: the file is empty", hint="fetch or export it again")
    if len(header) == 1 and (separator := next((c for c in ";\t|" if c in header[0]), None)):
        raise DataError(
            f"{path}: the columns are separated by {separator!r}", hint="save the table with commas, in UTF-8"
        )
    if twice := next((name for name in header if header.count(name) > 1), None):
        raise DataError(f"{path}: column {twice!r} occurs twice", hint=FORMAT_HINT)
    must = [ID, *(column for column in columns or () if column not in _OPTIONAL)]
    if missing := next((column for column in must if column not in header), None):
        raise source.missing_column(path, header, missing, FORMAT_HINT)
    if not any(column in header for column in FACET_COLUMNS):
        raise DataError(f"{path}: no facet column ({', '.join(FACET_COLUMNS)})", hint=FORMAT_HINT)
    return [column for column in header if columns is None or column in columns]


def _read_csv(path: Path, columns: list[str]) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.csv as pacsv

    return pacsv.read_csv(
        path,
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            include_columns=columns, column_types=dict.fromkeys(columns, pa.large_string())
        ),
    )


def _read_parquet(path: Path, columns: list[str], as_text: bool) -> "pa.Table":
    """The columns of the published format as text; extra ones keep their type, unless they are to be text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=columns)
    for i, field in enumerate(table.schema):
        if field.name in _OPTIONAL | {ID, IMAGE_URL} or pa.types.is_string(field.type):
            try:
                text = table.column(i).cast(pa.large_string()).fill_null("")
            except pa.ArrowNotImplementedError as error:
                kind = f"column {field.name!r} is of the type {field.type}, not text"
                raise DataError(f"{path}: {kind}", hint='write a cell as "metal | bronze $ wood"') from error
            table = table.set_column(i, field.name, text)
        elif as_text:
            table = table.set_column(i, field.name, pa.array(_texts(table.column(i)), pa.large_string()))
    return table.replace_schema_metadata(None)


def _texts(column: "pa.ChunkedArray") -> list[str]:
    import pyarrow as pa

    if pa.types.is_nested(column.type):
        return [
            "" if value is None else json.dumps(value, ensure_ascii=False, default=str)
            for value in column.to_pylist()
        ]
    try:
        return column.cast(pa.large_string()).fill_null("").to_pylist()
    except pa.ArrowException:  # bytes, or a type without a text of its own
        return ["" if value is None else str(value) for value in column.to_pylist()]


def _check_ids(path: Path, ids: "pd.Series") -> None:
    missing = np.flatnonzero((ids.str.strip() == "").to_numpy())
    if len(missing):
        place = source.Places()
        places = first_of(missing.tolist(), shown=lambda row: place(path, row))
        raise DataError(f"{path}: no {ID} in {places}", hint="give every row an id")


def write_table(frame: "pd.DataFrame", path: Path) -> None:
    """Write an annotation table, CSV or Parquet by the file's ending, whole or not at all."""
    with atomic_open(path) as file:
        if path.suffix.lower() == ".parquet":
            frame.to_parquet(file, index=False)
        elif _is_text(frame):
            file.writelines(csv_blocks(frame))
        elif _holds_carriage_return(frame):
            # It ends a line for some readers, yet Python's writer leaves it unquoted: quote everything.
            frame.to_csv(file, index=False, lineterminator="\n", quoting=csv.QUOTE_ALL)
        else:
            frame.to_csv(file, index=False, lineterminator="\n")


def write_parts(frame: "pd.DataFrame", parts: Mapping[Path, np.ndarray]) -> None:
    """Write rows of an annotation table, by their numbers in ascending order, to each of some CSV files."""
    if not _is_text(frame):
        for path, rows in parts.items():
            write_table(frame.iloc[rows], path)
        return
    with ExitStack() as stack:
        files = [stack.enter_context(atomic_open(path)) for path in parts]
        for blocks in csv_parts(frame, list(parts.values())):
            for file, block in zip(files, blocks, strict=True):
                file.write(block)


def _is_text(frame: "pd.DataFrame") -> bool:
    return len(frame.columns) > 1 and all(str(kind) in ("str", "string") for kind in frame.dtypes)


def _holds_carriage_return(frame: "pd.DataFrame") -> bool:
    texts = frame.select_dtypes(include=["object", "string"])
    return any(texts[name].str.contains("\r", regex=False).any() or "\r" in str(name) for name in texts)
