"""The errors of annotation tables: all problems of all tables in one pass, with file, line, column."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from eufcc_cli.core.taxonomy.tables.annotations import (
    CONTROL,
    DATABASE,
    FACET_COLUMNS,
    ID,
    IMAGE_URL,
    PROVIDER,
    canonical,
    factorize,
)
from eufcc_cli.core.taxonomy.tables.source import Places

Severity = Literal["error", "warning"]
_SLASH = re.compile(r"\s/|/\s")
_HTTP = r"(?i)https?://[^/\s]"


@dataclass(frozen=True)
class Problem:
    """A problem at one place of a table; with `strict`, errors stop the command, warnings do not."""

    kind: str
    severity: Severity
    message: str
    path: Path
    place: str
    column: str

    def __str__(self) -> str:
        return f"{self.path}: {self.place}, {self.column}: {self.message}"


Found = tuple[str, Severity, str]


@lru_cache(maxsize=1 << 16)
def _tag_problems(tag: str) -> tuple[tuple[Found, ...], str]:
    """The problems of one path of an annotation, and the path with its spaces corrected."""
    problems: list[Found] = []
    levels = tag.split("|")
    if canonical(tag) and not all(map(canonical, levels)):
        problems.append(("empty-segment", "error", f"an empty path segment in {tag!r}"))
    if _SLASH.search(tag) or ("/" in tag and len(levels) == 1):
        problems.append(("slash", "warning", f"a `/` that looks like a separator in {tag!r}"))
    return tuple(problems), " | ".join(" ".join(name.split()) for name in levels)


def annotation_problems(annotation: str) -> list[Found]:
    """The problems of an annotation's text, as (kind, severity, message).

    >>> for problem in annotation_problems("metall |  | bronze $ "): print(*problem, sep="; ")
    empty-segment; error; an empty path segment in 'metall |  | bronze'
    empty-tag; error; an empty tag in 'metall |  | bronze $ '
    >>> for problem in annotation_problems("metall| bronze $ pell / cuir"): print(*problem, sep="; ")
    slash; warning; a `/` that looks like a separator in 'pell / cuir'
    stray-space; warning; spaces that are doubled, missing or at the ends in 'metall| bronze $ pell / cuir'
    """
    tags = [tag.strip() for tag in annotation.split("$")]
    messages, tidy = zip(*map(_tag_problems, tags), strict=True)
    problems: list[Found] = list(dict.fromkeys(itertools.chain.from_iterable(messages)))
    if len(tags) > 1 and not all(map(canonical, tags)):
        problems.append(("empty-tag", "error", f"an empty tag in {annotation!r}"))
    if CONTROL.search(annotation):
        problems.append(("control-character", "error", f"a control character in {annotation!r}"))
    errors = any(severity == "error" for _, severity, _ in problems)
    if not errors and annotation != " $ ".join(tidy):
        message = f"spaces that are doubled, missing or at the ends in {annotation!r}"
        problems.append(("stray-space", "warning", message))
    return problems


def repeated_ids(tables: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A sentence for each table with ids that occur twice, or that an earlier table has: leakage.

    >>> list(repeated_ids({"train": ["a", "b"], "val": ["b", "c"]}))
    ['val: 1 of its images is also in train, such as b: its figures are too good']
    """
    seen: dict[str, str] = {}
    for name, ids in tables.items():
        distinct = dict.fromkeys(ids)
        if twice := len(ids) - len(distinct):
            yield f"{name}: {twice:,} of its rows {'has' if twice == 1 else 'have'} an id of an earlier row"
        shared = [image_id for image_id in distinct if image_id in seen]
        if shared:
            verb = "is" if len(shared) == 1 else "are"
            where = f"also in {seen[shared[0]]}, such as {shared[0]}"
            yield f"{name}: {len(shared):,} of its images {verb} {where}: its figures are too good"
        seen = dict.fromkeys(distinct, name) | seen


def validate(tables: Mapping[Path, pd.DataFrame]) -> list[Problem]:
    """All problems of tables read with `need_ids=False`, in the order of tables and lines.

    Kinds of errors: missing-id, duplicate-id (within a table), shared-id (in two tables), empty-segment,
    empty-tag, control-character, bad-url. Kinds of warnings: missing-url, stray-space, slash.
    """
    place = Places()
    found = {path: [*_problems_of(table)] for path, table in tables.items()}
    for (first, *others), value in repeats(tables, ID):
        for path, row in others:
            kind = "duplicate-id" if path == first[0] else "shared-id"
            message = f"{value!r} is also the id of {first[0]}, {place(*first)}"
            found[path].append((row, ID, (kind, "error", message)))
    return [
        Problem(*what, path, place(path, row), column)
        for path, problems in found.items()
        for row, column, what in sorted(problems, key=lambda problem: problem[0])
    ]


def _problems_of(table: pd.DataFrame) -> Iterator[tuple[int, str, Found]]:
    """(row, column, problem) of one table by itself."""
    for row in _rows_where(table[ID].str.strip() == ""):
        yield row, ID, ("missing-id", "error", "no id")
    for column in (ID, PROVIDER, DATABASE, IMAGE_URL):
        if column in table:
            for row in _rows_where(table[column].str.contains(CONTROL)):
                text = table[column].iloc[row]
                yield row, column, ("control-character", "error", f"a control character in {text!r}")
    if IMAGE_URL in table:
        urls = table[IMAGE_URL]
        some = bool((urls != "").any())  # a collection of photographs on disk has none
        for row in _rows_where(~urls.str.match(_HTTP)):
            if urls.iloc[row]:
                yield row, IMAGE_URL, ("bad-url", "error", f"not an http(s) URL: {urls.iloc[row]!r}")
            elif some:
                yield row, IMAGE_URL, ("missing-url", "warning", "no URL of an image")
    for column in FACET_COLUMNS:
        if column in table:
            codes, texts = factorize(table[column])
            wrong = {i: found for i, text in enumerate(texts) if (found := annotation_problems(text))}
            for row in _rows_where(np.isin(codes, list(wrong))):
                yield from ((row, column, what) for what in wrong[codes[row]])


def _rows_where(mask: pd.Series | np.ndarray) -> list[int]:
    return np.flatnonzero(np.asarray(mask)).tolist()


def repeats(tables: Mapping[Path, pd.DataFrame], column: str) -> Iterator[tuple[list[tuple[Path, int]], str]]:
    """The values of a column that occur in several rows, each with its rows as (table, row)."""
    having = {path: table[column] for path, table in tables.items() if column in table}
    if not having:
        return
    values = pd.concat(having.values(), ignore_index=True)
    starts = np.cumsum([0, *map(len, having.values())])
    again = np.flatnonzero((values.duplicated(keep=False) & (values != "")).to_numpy())
    if not len(again):
        return
    owner = np.searchsorted(starts, again, side="right") - 1
    paths = list(having)
    places = [(paths[i], row) for i, row in zip(owner, (again - starts[owner]).tolist(), strict=True)]
    codes, texts = factorize(values.iloc[again])
    order = np.argsort(codes, kind="stable")
    for text, group in zip(texts, np.split(order, np.cumsum(np.bincount(codes))[:-1]), strict=True):
        yield [places[i] for i in group], text
