"""Annotations in the published format: the columns of a table, and the text in a cell.

A row is an image, a cell `metall | bronze $ paper` is a facet's annotation: paths separated by `$`, each
from the general to the specific name, separated by `|`. An empty cell means "not annotated".
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from eufcc_cli.core.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

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
