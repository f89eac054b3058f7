"""Annotation tables in the published format: reading, writing, and the text of an annotation.

A row is an image, a cell `metall | bronze $ paper` is a facet's annotation: paths separated by `$`, each
from the general to the specific name, separated by `|`. An empty cell means "not annotated".
"""

import csv
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from eufcc_cli.core.errors import DataError, first_of
from eufcc_cli.core.files import atomic_open
from eufcc_cli.core.taxonomy.tables import source
from eufcc_cli.core.taxonomy.tables.csv_blocks import csv_blocks, csv_parts

if TYPE_CHECKING:
    # Slow to import, and tagging an image, which needs the names above, reads no table.
    import pandas as pd
    import pyarrow as pa

T = TypeVar("T")

PATH_SEPARATOR, TAG_SEPARATOR = " | ", " $ "
FACETS = ("objectTypes", "materials", "classifications", "subjects")
ID = "idInSource"
IMAGE_URL = "#portraitMedia.original"
DATABASE = "database"
PROVIDER = "repository.keeper"
RECORD = "record"
"""The column with the record of an image, for records with several images."""
FORMAT_HINT = "data/README.md describes the format, column by column"

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def facet_column(facet: str) -> str:
    """The column that holds a facet's annotations.

    >>> facet_column("materials")
    'materials.hierarchy'
    """
    return f"{facet}.hierarchy"


FACET_COLUMNS = tuple(map(facet_column, FACETS))
_OPTIONAL = frozenset((*FACET_COLUMNS, DATABASE, PROVIDER, RECORD))


def check_facets(names: Iterable[str], where: str = "") -> tuple[str, ...]:
    """The facets with these names in the usual order (all for no names); DataError for unknown names.

    `where` begins the message.
    """
    asked = set(names)
    for name in asked:
        if name not in FACETS:
            raise DataError(f"{where}unknown facet {name!r}", hint=f"the facets are {', '.join(FACETS)}")
    return tuple(facet for facet in FACETS if not asked or facet in asked)


@lru_cache(maxsize=1 << 16)
def canonical(name: str) -> str:
    """A tag name as it is compared and drawn: NFC, one space between words, no control characters.

    >>> canonical("  teixit\\u0301  de pe\\u0300l\\x1b ")
    'teixit́ de pèl'
    """
    name = unicodedata.normalize("NFC", name)
    return " ".join((name if name.isprintable() else CONTROL.sub(" ", name)).split())


@lru_cache(maxsize=1 << 16)
def _path(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split("|") if (name := canonical(part)))


def paths(annotation: str) -> list[tuple[str, ...]]:
    """Split an annotation into its paths, each from the general to the specific name.

    Names come out as `canonical` makes them; empty ones are left out here and reported by
    `eufcc_cli.core.taxonomy.tables.table_checks`.

    >>> paths("metall | bronze $ paper")
    [('metall', 'bronze'), ('paper',)]
    >>> paths("metall|  bronze $ ")
    [('metall', 'bronze')]
    >>> paths("")
    []
    """
    return [path for text in annotation.split("$") if (path := _path(text))]


def most_specific(tags: Iterable[T], path: Callable[[T], tuple[str, ...]]) -> list[T]:
    """The tags that are no ancestors of others.

    >>> most_specific([("metal",), ("paper",), ("metal", "bronze")], path=tuple)
    [('paper',), ('metal', 'bronze')]
    """
    with_paths = [(path(tag), tag) for tag in tags]
    above = {of[:depth] for of, _ in with_paths for depth in range(1, len(of))}
    return [tag for of, tag in with_paths if of not in above]


def joined(found: Iterable[tuple[str, ...]]) -> str:
    """Paths as one annotation, each once, without the beginnings of other paths.

    >>> joined([("metal",), ("wood",), ("metal", "bronze"), ("wood",)])
    'wood $ metal | bronze'
    """
    distinct = list(dict.fromkeys(found))
    if len(distinct) < 2:
        return PATH_SEPARATOR.join(distinct[0]) if distinct else ""
    return TAG_SEPARATOR.join(map(PATH_SEPARATOR.join, most_specific(distinct, path=tuple)))


def names(annotation: str) -> set[str]:
    """An image's tags in a facet: all the names on its annotated paths.

    >>> sorted(names("metall | bronze $ metall | or"))
    ['bronze', 'metall', 'or']
    """
    return {name for path in paths(annotation) for name in path}


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
        raise DataError(f"{path}: no such file", hint="run `eufcc fetch` first, or give another `root`")
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
            text = table.column(i).cast(pa.large_string()).fill_null("")
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


def factorize(column: "pd.Series") -> tuple[np.ndarray, list[str]]:
    """The distinct texts of a column in order of appearance, and for each row the number of its text."""
    import pandas as pd

    codes, texts = pd.factorize(column.fillna("") if column.hasnans else column)
    return codes, list(map(str, texts.to_numpy(dtype=object)))


def texts_of(column: "pd.Series") -> list[str]:
    """The texts of a column as a list; much faster than its own method."""
    texts: list[str] = column.to_numpy(dtype=object).tolist()
    return texts


def distinct(tables: Iterable["pd.DataFrame"], facets: Iterable[str] = FACETS) -> dict[str, dict[str, int]]:
    """Per facet, the distinct annotations in reading order, with the number of rows that hold each.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"idInSource": ["1", "2", "3"], "materials.hierarchy": ["or", "", "or"]})
    >>> distinct([table], ["materials"])
    {'materials': {'or': 2}}
    """
    counts: dict[str, dict[str, int]] = {facet: {} for facet in facets}
    for table in tables:
        for facet, known in counts.items():
            column = facet_column(facet)
            if column in table:
                codes, texts = factorize(table[column])
                rows = np.bincount(codes, minlength=len(texts)).tolist()
                for text, count in zip(texts, rows, strict=True):
                    known[text] = known.get(text, 0) + count
    for known in counts.values():
        known.pop("", None)
    return counts
