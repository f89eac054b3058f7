"""Predictions from files: those of any system, in the lines that `tag` writes, and our own, kept whole."""

import json
import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.evaluation.eval_split import Scores, TestSplit
from eufcc_cli.core.files import Root, possible_ids
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.annotations import FACETS
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Vocabulary

EXTERNAL = "external"
"""The method of predictions whose file does not name one."""
_ZERO = -1e30  # the log of a listed tag's score 0: below every other, above what a line does not list
PARQUET_KEY = b"eufcc"  # of the metadata that names the model and its vocabulary


@dataclass
class Line:
    """What a file says about one image: the numbers and log-scores of the tags it lists, by facet."""

    number: int
    names: tuple[str, ...]
    """The ids that may be meant, the likeliest first."""
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

    def speaks_of(self, split: TestSplit) -> bool:
        """Whether there is a line for any image of a split."""
        return bool(self._lines_of(split.rows_of))

    def refuse_strange(self, splits: Sequence[TestSplit]) -> None:
        """Raise DataError, naming the line, for an image of no split, or one that two lines speak of; and for
        a split that no line speaks of.
        """
        known = {image_id for split in splits for image_id in split.ids}
        found = self._lines_of(known)
        for line in self.lines:
            image_id = _id_of(line, known)
            if image_id is None:
                raise DataError(
                    f"{self.path}: line {line.number}: {line.names[0]} is an image of no split asked for",
                    hint="the file name without its ending must be an idInSource; or add its `split`",
                )
            if found[image_id] is not line:
                twice = f"line {found[image_id].number}: {image_id} stands already in line {line.number}"
                raise DataError(f"{self.path}: {twice}", hint="keep one line per image")
        for split in splits:
            if not self.speaks_of(split):
                raise self._silent_on(split)

    def _silent_on(self, split: TestSplit) -> DataError:
        return DataError(
            f"{self.path}: no prediction for any of the {len(split):,} images of {split.name}",
            hint="choose the `split` that the file speaks of",
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
            raise self._silent_on(split)
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


def read_predictions(path: Path, root: Root) -> Predictions:
    """Read JSON lines (as `tag --format jsonl` writes them) or Parquet (as `--save-predictions` does).

    JSON lines speak of the tags of the root's label files. Raises DataError, naming the line, for what is
    not such a file: unknown tags or facets, scores that are no probabilities, tags listed twice.
    """
    if not path.is_file():
        raise DataError(
            f"`predictions` {path}: no such file", hint="give a file of `tag --format jsonl` lines"
        )
    return _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_lines(path, root)


def label_vocabulary(root: Root) -> Vocabulary:
    """The vocabulary of the root's label files."""
    there = [facet for facet in FACETS if root.label_file(facet).is_file()]
    if not there:
        raise DataError(
            f"{root.labels}: no label files, so the tags of `predictions` mean nothing",
            hint="run `eufcc fetch` or `eufcc trees --write labels` first",
        )
    return Vocabulary.from_trees({facet: Hierarchy.read(root.label_file(facet), facet) for facet in there})


def _read_lines(path: Path, root: Root) -> Predictions:
    vocabulary = label_vocabulary(root)
    lines: list[Line] = []
    models: set[str] = set()
    seen: set[str] = set()
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            where = f"{path}: line {number}"
            content = _parse(raw, where)
            lines.append(_line(content, number, where, vocabulary))
            models.add(str(content.get("model", "")))
            seen |= lines[-1].facets.keys()
    if not seen:
        raise DataError(f"{path}: no tags in any line", hint="the file needs `tag --format jsonl` lines")
    name = next(iter(models)) if len(models) == 1 else ""
    return Predictions(path, name or path.stem, EXTERNAL, vocabulary.subset(seen), lines)


def _parse(raw: bytes, where: str) -> dict[str, Any]:
    hint = 'a line is {"image": "ID.jpg", "tags": {"materials": [{"tag": "bronze", "score": 0.9}]}}'
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON: {error}", hint=hint) from error
    if not isinstance(content, dict) or not isinstance(content.get("image"), str):
        raise DataError(f"{where} names no image", hint=hint)
    if not isinstance(content.get("tags"), dict) and "error" not in content:
        raise DataError(f"{where} has neither tags nor an error", hint=hint)
    return content


def _line(content: dict[str, Any], number: int, where: str, vocabulary: Vocabulary) -> Line:
    names = tuple(possible_ids(content["image"]))
    if "error" in content:
        return Line(number, names, error=str(content["error"]))
    facets = {}
    for facet, listed in content["tags"].items():
        if facet not in vocabulary.facets:
            known = ", ".join(vocabulary.facets)
            raise DataError(f"{where}: no label file for the facet {facet}", hint=f"facets are: {known}")
        facets[facet] = _listed(listed, f"{where}: {facet}", vocabulary.facets[facet])
    return Line(number, names, facets)


def _listed(listed: Any, where: str, tags: FacetVocabulary) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(listed, list):
        raise DataError(
            f"{where} is not a list of suggestions", hint='one is {"tag": "bronze", "score": 0.9}'
        )
    scores: dict[int, float] = {}
    for entry in listed:
        tag, score = (entry.get("tag"), entry.get("score")) if isinstance(entry, dict) else (None, None)
        number = tags.index.get(tag) if isinstance(tag, str) else None
        if number is None:
            raise DataError(
                f"{where}: the tag {tag} is not in the label file",
                hint="the file was made for another vocabulary: score the tags of the root's label files",
            )
        if number in scores:
            raise DataError(f"{where}: the tag {tag} is listed twice", hint="list every tag once")
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise DataError(
                f"{where}: the score of {tag} is {score}, not a probability from 0 to 1",
                hint="turn logits or similarities into probabilities first (softmax, sigmoid)",
            )
        scores[number] = math.log(score) if score > 0 else _ZERO
    return np.array(list(scores), dtype=np.int64), np.array(list(scores.values()), dtype=np.float64)


def _read_parquet(path: Path) -> Predictions:
    hint = "give a file that `evaluate --save-predictions FILE.parquet` wrote"
    try:
        table = pq.read_table(path)
        about = json.loads((table.schema.metadata or {})[PARQUET_KEY])
        vocabulary = Vocabulary.from_json(about["vocabulary"])
        images = table["image"].to_pylist()
        columns = {facet: table[facet].combine_chunks() for facet in vocabulary.facets}
        name, method = str(about["model"]), str(about["method"])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: no predictions of eufcc: {error}", hint=hint) from error
    lines = [Line(number, (image,)) for number, image in enumerate(images, start=1)]
    for facet, column in columns.items():
        size = len(vocabulary.facets[facet])
        if not pa.types.is_fixed_size_list(column.type) or column.type.list_size != size:
            raise DataError(f"{path}: {facet} does not hold {size} scores per image", hint=hint)
        scores = column.flatten().to_numpy().reshape(len(lines), size)
        wrong = ~(scores <= 0)
        if wrong.any():
            row = int(wrong.any(1).argmax())
            raise DataError(f"{path}: line {row + 1}: a score of {facet} is no log-probability", hint=hint)
        numbers = np.arange(size)
        for line, values in zip(lines, scores, strict=True):
            line.facets[facet] = (numbers, values)
    return Predictions(path, name, method, vocabulary, lines)
