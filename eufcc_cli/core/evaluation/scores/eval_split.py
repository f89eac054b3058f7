"""A split to evaluate on, and the scores that one model gives its images."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.files import Root
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import ID, PROVIDER, facet_column
from eufcc_cli.core.taxonomy.vocabulary import Targets, Vocabulary


@dataclass(frozen=True)
class TestSplit:
    """A split's annotation table of N rows, images on disk or not."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    name: str
    table: Path
    frame: pd.DataFrame
    _targets: dict[str, dict[str, Targets]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def ids(self) -> list[str]:
        """The idInSource of every row."""
        return self.frame[ID].tolist()

    @cached_property
    def rows_of(self) -> dict[str, list[int]]:
        """The rows of every id, in reading order (more than one where a table repeats an id)."""
        rows: dict[str, list[int]] = {}
        for row, image_id in enumerate(self.ids):
            rows.setdefault(image_id, []).append(row)
        return rows

    @cached_property
    def providers(self) -> np.ndarray:
        """The provider of every row, "" if the table does not name it."""
        return self.frame[PROVIDER].to_numpy(str) if PROVIDER in self.frame else np.full(len(self), "")

    def targets(self, vocabulary: Vocabulary) -> dict[str, Targets]:
        """The rows encoded in a vocabulary, once per vocabulary."""
        if vocabulary.digest not in self._targets:
            self._targets[vocabulary.digest] = vocabulary.encode(self.frame)
        return self._targets[vocabulary.digest]

    def annotated_facets(self, facets: Iterable[str]) -> list[str]:
        """The facets in which some row is annotated."""
        return [
            f for f in facets if facet_column(f) in self.frame and (self.frame[facet_column(f)] != "").any()
        ]


def names_of_tests(root: Root) -> list[str]:
    """The names of a root's test splits; raises DataError where there is none."""
    there = [name for name in root.splits() if name.startswith("test")]
    if not there:
        raise DataError(
            f"{root.data}: there is neither test_id.csv nor test_ood.csv",
            hint="run `eufcc fetch` first, or name a `split`",
        )
    return there


def read_split(root: Root, name: str, setting: str = "split") -> TestSplit:
    """Read data/NAME.csv; raises DataError, naming `setting` and the splits there, if it does not exist."""
    there = sorted(root.splits())
    if not re.fullmatch(r"[\w.-]+", name) or not root.table(name).is_file():
        hint = (
            f"there are: {', '.join(there)}" if there else "run `eufcc fetch` first, or give another `root`"
        )
        raise DataError(f"`{setting}` {name}: no table {root.table(name)}", hint=hint)
    frame = read_table(root.table(name))
    if frame.empty:
        raise DataError(f"{root.table(name)}: no rows", hint="fetch or export it once more")
    return TestSplit(name, root.table(name), frame)


@dataclass(frozen=True)
class Scores:
    """One model's log-scores of a split: of M of its N rows, those that could be scored.

    rows: [M] int64, ascending; facets: {facet: floating [M, n]}; missing: ids without an image on disk (or
    without a line in a predictions file); failed: {id: reason} of images that could not be read.
    """

    rows: np.ndarray
    facets: dict[str, np.ndarray]
    missing: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)


class Tagging(Protocol):
    """Anything with a name and a vocabulary."""

    @property
    def name(self) -> str: ...

    @property
    def vocabulary(self) -> Vocabulary: ...


class Source(Tagging, Protocol):
    """Anything that scores images: a model, a predictions file, an ensemble of both."""

    @property
    def method(self) -> str: ...

    def scores(self, split: TestSplit, progress: Progress = SILENT) -> Scores:
        """Score a split. Raises EufccError where none of its images can be scored."""
