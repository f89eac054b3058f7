"""A museum's export in memory: its cells as text, and the format of the file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

HEADER_HINT = "is its first row the one with the columns' names? Delete the rows above that one"


@dataclass(frozen=True)
class Dialect:
    """The format of a table's file, to write such a file again.

    `format` is csv, xlsx, ods, jsonl, lido or edm. The other fields describe delimited text, except `sheet`
    (the sheet of a workbook) and `lists` (the columns whose JSON values are lists).
    """

    format: str
    encoding: str = "utf-8"
    """utf-8, utf-16-le, utf-16-be or cp1252."""
    bom: bool = False
    separator: str = ","
    newline: str = "\n"
    quote_all: bool = False
    sep_line: bool = False
    """A first line `sep=;`, which Excel reads and writes."""
    sheet: str | None = None
    lists: tuple[str, ...] = ()


@dataclass(frozen=True)
class Export:
    """The rows of one or several export files of one kind.

    `frame` holds text only, "" for an empty cell, its columns named uniquely; `header` holds their names
    exactly as the file has them. `paths` are the files, `starts` the first row of each. `formulas` gives the
    first row with a formula for each column that has any; the cells hold the values saved with formulas.
    `separator` joins several values in a cell if the format defines it (XML, lists of JSON); `uris` gives the
    column of concept URIs for a column of terms.
    """

    paths: tuple[Path, ...]
    frame: pd.DataFrame
    header: tuple[str, ...]
    dialect: Dialect
    starts: tuple[int, ...] = (0,)
    formulas: dict[str, int] = field(default_factory=dict)
    separator: str | None = None
    uris: dict[str, str] = field(default_factory=dict)
    first_line: int = 2
    """The number of a file's first row, counted as a spreadsheet does."""

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def columns(self) -> list[str]:
        """The unique names of the columns."""
        return list(self.frame.columns)

    def place(self, row: int) -> str:
        """The place of a row for an error message: the file, and the row as a spreadsheet numbers it."""
        at = max(i for i, start in enumerate(self.starts) if start <= row)
        word = "record" if self.dialect.format in ("lido", "edm", "jsonl") else "row"
        return f"{self.paths[at]}, {word} {row - self.starts[at] + self.first_line}"


def unique_names(header: Iterable[str]) -> list[str]:
    """Names for columns: trimmed, one space between words, numbered where they repeat or are empty.

    >>> unique_names([" ID", "Notes", "Notes", "", "Object\\n name"])
    ['ID', 'Notes', 'Notes (2)', 'column 4', 'Object name']
    """
    names: list[str] = []
    taken: set[str] = set()
    for number, raw in enumerate(header, start=1):
        name = base = " ".join(raw.split()) or f"column {number}"
        again = 2
        while name in taken:
            name, again = f"{base} ({again})", again + 1
        taken.add(name)
        names.append(name)
    return names


def text_frame(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> pd.DataFrame:
    """A table of text from its columns' cells (one sequence per column)."""
    return pd.DataFrame(
        {name: pd.array(list(values), dtype="str") for name, values in zip(columns, cells, strict=True)},
        columns=list(columns),
    )
