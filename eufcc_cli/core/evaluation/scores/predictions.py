"""Predictions from a file, as a source of scores."""

import logging
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eufcc_cli.core.errors import DataError, number_of
from eufcc_cli.core.evaluation.scores.eval_split import Scores, TestSplit
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary

EXTERNAL = "external"
"""The method of predictions whose file does not name one."""
ZERO = -1e30
"""The log of a listed tag's score 0: below every other, above what a line does not list."""

log = logging.getLogger("eufcc")


@dataclass
class Line:
    """A file's predictions for one image: the numbers and log-scores of the tags it lists, by facet."""

    number: int
    names: tuple[str, ...]
    """The possible ids, the likeliest first."""
    facets: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    error: str | None = None


@dataclass
class Predictions:
    """A predictions file, as a source of scores. Tags that a line does not list rank last, all tied."""

    path: Path
    name: str
    method: str
    vocabulary: Vocabulary
    lines: list[Line]

    def covers(self, split: TestSplit) -> bool:
        """Whether there is a line for any image of a split."""
        return bool(self._lines_of(split.rows_of))

    def check(self, splits: Sequence[TestSplit], others: Callable[[], Container[str]] = frozenset) -> None:
        """Raise DataError for an image of a split with two lines, naming them, and for a split without any.

        Images of other splits are left out: silently if they are among the ids of `others`, with a
        warning if they are in no table at all.
        """
        known = {image_id for split in splits for image_id in split.ids}
        found = self._lines_of(known)
        left_out = []
        for line in self.lines:
            image_id = _id_of(line, known)
            if image_id is None:
                left_out.append(line)
            elif found[image_id] is not line:
                twice = f"line {found[image_id].number}: {image_id} is already in line {line.number}"
                raise DataError(f"{self.path}: {twice}", hint="keep one line per image")
        for split in splits:
            if not self.covers(split):
                raise self._no_lines(split)
        elsewhere = others() if left_out else ()
        if strange := [line for line in left_out if _id_of(line, elsewhere) is None]:
            log.warning(
                "%s: %s left out, in no table of the root; the first is %s in line %d",
                self.path, number_of(len(strange), "image"), strange[0].names[0], strange[0].number,
            )  # fmt: skip

    def _no_lines(self, split: TestSplit) -> DataError:
        return DataError(
            f"{self.path}: no prediction for any of the {len(split):,} images of {split.name}",
            hint=f"choose the `split` of the file's images: its first is {self.lines[0].names[0]}, "
            f"that of {split.name} is {split.ids[0]}",
        )

    def _lines_of(self, known: Container[str]) -> dict[str, Line]:
        return {found: line for line in self.lines if (found := _id_of(line, known)) is not None}

    def scores(self, split: TestSplit, progress: Progress = SILENT) -> Scores:
        """The scores of a split's images; those without a line are `missing`."""
        lines = self._lines_of(split.rows_of)
        scored = [
            (row, lines[image_id])
            for row, image_id in enumerate(split.ids)
            if image_id in lines and lines[image_id].error is None
        ]
        if not scored:
            raise self._no_lines(split)
        return Scores(
            rows=np.array([row for row, _ in scored], dtype=np.int64),
            facets={
                facet: _table([line.facets.get(facet) for _, line in scored], len(tags))
                for facet, tags in self.vocabulary.facets.items()
            },
            missing=tuple(image_id for image_id in split.rows_of if image_id not in lines),
            failed={image_id: line.error for image_id, line in lines.items() if line.error is not None},
        )


def _table(listed: list[tuple[np.ndarray, np.ndarray] | None], tags: int) -> np.ndarray:
    """Log-scores [M, n] from what each image lists; -inf for what it does not."""
    dtypes = {scores.dtype for _, scores in filter(None, listed)}
    table = np.full((len(listed), tags), -np.inf, np.result_type(*dtypes) if dtypes else np.float32)
    for row, found in zip(table, listed, strict=True):
        if found is not None:
            numbers, scores = found
            row[numbers] = scores
    return table


def _id_of(line: Line, known: Container[str]) -> str | None:
    return next((name for name in line.names if name in known), None)
