"""Predictions in tables: the long form that pandas writes, and the wide one of `evaluate --save-predictions`.

Long (CSV or Parquet): a row for each image, facet and tag, with columns `id` or `image`, `facet`, `tag` and
`score`; `model` names the system, other columns are ignored. Wide (Parquet): a row for each image, with a
column `facet:tag` of natural logarithms of scores for every tag; and in a column `facet` the true tags.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.evaluation.scores.predictions import EXTERNAL, ZERO, Line, Predictions
from eufcc_cli.core.files import Root, possible_ids
from eufcc_cli.core.taxonomy.hierarchy import Hierarchy
from eufcc_cli.core.taxonomy.tables.annotations import FACETS
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Vocabulary

PARQUET_KEY = b"eufcc"
"""The key of the metadata with the model and its vocabulary."""
_LONG = ("facet", "tag", "score")
_HINT = "give columns id (or image), facet, tag, score; or what `eufcc evaluate --save-predictions` wrote"


def label_vocabulary(root: Root) -> Vocabulary:
    """The vocabulary of the root's label files."""
    there = [facet for facet in FACETS if root.label_file(facet).is_file()]
    if not there:
        raise DataError(
            f"{root.labels}: no label files, so the tags of `predictions` are not known",
            hint="run `eufcc fetch` or `eufcc trees --write labels` first",
        )
    return Vocabulary.from_trees({facet: Hierarchy.read(root.label_file(facet), facet) for facet in there})


def column_of(facet: str, tag: str) -> str:
    """The column of a tag's log-scores.

    >>> column_of("materials", "bronze")
    'materials:bronze'
    """
    return f"{facet}:{tag}"


def read_csv(path: Path, root: Root) -> Predictions:
    """Read the long form from CSV."""
    types = dict.fromkeys(("id", "image", "facet", "tag", "model"), pa.string()) | {"score": pa.float64()}
    options = pa.csv.ConvertOptions(column_types=types, strings_can_be_null=False, null_values=[""])
    try:
        table = pa.csv.read_csv(path, convert_options=options)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}", hint=_HINT) from error
    return _read_long(path, table, root, first=2)


def read_parquet(path: Path, root: Root, parts: Sequence[Path] = ()) -> Predictions:
    """Read the long or the wide form from Parquet; from several files of a folder as from one."""
    try:
        table = pa.concat_tables([pq.read_table(part) for part in parts or [path]])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: no Parquet file: {error}", hint=_HINT) from error
    if set(_LONG) <= set(table.column_names):
        return _read_long(path, table, root, first=1)
    return _read_wide(path, table, root)


def _read_long(path: Path, table: pa.Table, root: Root, first: int) -> Predictions:
    """`first` is the number of the first row in messages."""
    names = table.column_names
    key = "id" if "id" in names else "image"
    if absent := [column for column in (key, *_LONG) if column not in names]:
        raise DataError(f"{path}: no column {absent[0]}, but {', '.join(names[:9])}", hint=_HINT)
    vocabulary = label_vocabulary(root)
    if key == "id" and table["id"].null_count:
        key = "image"
    frame = table.select([key, *_LONG]).to_pandas()
    # An image without any tag has one row, with its name only, and perhaps the error.
    bare = frame[["facet", "tag", "score"]].isna().all(axis=1).to_numpy()
    errors = table["error"].to_pandas() if "error" in names else pd.Series([None] * len(frame), dtype=object)
    errors = errors.astype(object).where(errors.notna(), None)
    untagged = pd.DataFrame({"name": frame[key], "error": errors})[bare].dropna(subset="name")
    frame = frame[~bare].reset_index(drop=True)

    def fail(wrong: np.ndarray, message: str, hint: str) -> None:
        if wrong.any():
            row = int(wrong.argmax())
            about = {name: frame[name].iloc[row] for name in frame}
            raise DataError(f"{path}: line {row + first}: {message.format(**about)}", hint=hint)

    empty = frame[[key, "facet", "tag"]].isna().any(axis=1).to_numpy()
    fail(empty, "an empty cell", "every row names an image, a facet and a tag")
    scores = pd.to_numeric(frame["score"], errors="coerce").to_numpy(np.float64)
    fail(
        ~((scores >= 0) & (scores <= 1)),
        "the score of {tag} is {score}, not a probability from 0 to 1",
        "turn logits or similarities into probabilities first (softmax, sigmoid)",
    )
    facets = frame["facet"].to_numpy(object)
    known = list(vocabulary.facets)
    fail(~np.isin(facets, known), "no label file for the facet {facet}", f"facets are: {', '.join(known)}")
    numbers = np.full(len(frame), -1)
    for facet, tags in vocabulary.facets.items():
        there = facets == facet
        numbers[there] = pd.Index(tags.tags).get_indexer(frame["tag"].to_numpy(object)[there])
    fail(
        numbers < 0,
        "{facet}: the tag {tag} is not in the label file",
        "the file was made for another vocabulary: score the tags of the root's label files",
    )
    twice = frame.duplicated([key, "facet", "tag"]).to_numpy()
    fail(twice, "{facet}: the tag {tag} is listed twice", "list every tag of an image once")

    with np.errstate(divide="ignore"):
        logs = np.where(scores > 0, np.log(scores), ZERO)
    images, labels = pd.factorize(frame[key])
    begins = np.full(len(labels), len(frame))
    np.minimum.at(begins, images, np.arange(len(frame)))
    lines = [
        Line(int(begin) + first, (name,) if key == "id" else tuple(possible_ids(name)))
        for begin, name in zip(begins, map(str, labels), strict=True)
    ]
    lines += [
        Line(first, (str(name),) if key == "id" else tuple(possible_ids(str(name))), error=error)
        for name, error in zip(untagged["name"], untagged["error"], strict=True)
    ]
    seen = [facet for facet in known if (facets == facet).any()]
    if not seen:
        raise DataError(f"{path}: no rows", hint=_HINT)
    for facet in seen:
        rows = np.flatnonzero(facets == facet)
        rows = rows[np.argsort(images[rows], kind="stable")]
        cuts = np.flatnonzero(np.diff(images[rows])) + 1
        for part in np.split(rows, cuts):
            lines[images[part[0]]].facets[facet] = (numbers[part], logs[part])
    models = set(table["model"].to_pylist()) if "model" in names else set()
    name = str(models.pop()) if len(models) == 1 else path.stem
    return Predictions(path, name, EXTERNAL, vocabulary.subset(set(seen)), lines)


def _read_wide(path: Path, table: pa.Table, root: Root) -> Predictions:
    """A tag without a column is not in the model's vocabulary."""
    if "image" not in table.column_names:
        raise DataError(f"{path}: no column image, but {', '.join(table.column_names[:9])}", hint=_HINT)
    try:
        about = json.loads((table.schema.metadata or {}).get(PARQUET_KEY, b"{}"))
        vocabulary = Vocabulary.from_json(about["vocabulary"]) if "vocabulary" in about else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: metadata of eufcc: {error}", hint=_HINT) from error
    if vocabulary is None:  # another program has rewritten the table
        vocabulary = label_vocabulary(root)
        there = {name.partition(":")[0] for name in table.column_names if ":" in name}
        vocabulary = vocabulary.subset(there & vocabulary.facets.keys())
        if not vocabulary.facets:
            raise DataError(f"{path}: no scores, but {', '.join(table.column_names[:9])}", hint=_HINT)
    lines = [Line(number, (image,)) for number, image in enumerate(table["image"].to_pylist(), start=1)]
    for facet, tags in vocabulary.facets.items():
        scores = _scores(path, table, facet, tags)
        numbers = np.arange(len(tags))
        for line, values in zip(lines, scores, strict=True):
            line.facets[facet] = (numbers, values)
    return Predictions(
        path, str(about.get("model", path.stem)), str(about.get("method", EXTERNAL)), vocabulary, lines
    )


def _scores(path: Path, table: pa.Table, facet: str, tags: FacetVocabulary) -> np.ndarray:
    columns = [column_of(facet, tag) for tag in tags.tags]
    if absent := [column for column in columns if column not in table.column_names]:
        raise DataError(f"{path}: no column {absent[0]} ({len(absent)} are missing)", hint=_HINT)
    try:
        found = [table[column].to_numpy() for column in columns]
        scores = np.stack(found, axis=1)
        wrong = ~(scores <= 0)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: {facet}: {error}", hint=_HINT) from error
    if wrong.any():
        row = int(wrong.any(1).argmax())
        raise DataError(f"{path}: line {row + 1}: a score of {facet} is no log-probability", hint=_HINT)
    return scores
