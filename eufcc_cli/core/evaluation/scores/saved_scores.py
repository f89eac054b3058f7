"""Scores written to files that `--predictions` reads: Parquet, exact, or the JSON lines that `tag` writes."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.evaluation.scores.eval_split import Scores, Source, TestSplit
from eufcc_cli.core.evaluation.scores.prediction_tables import PARQUET_KEY, column_of
from eufcc_cli.core.files import atomic_open, image_stem
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Targets

_ROWS = 1024  # images to a group of rows in Parquet


def save_predictions(path: Path, source: Source, scored: Iterable[tuple[TestSplit, Scores]]) -> None:
    """Write a model's scores, whole or not at all: Parquet (exact) or JSON lines, by the file's ending.

    Both can be read by `--predictions`. JSON lines list every tag with its probability, which below 1e-308
    is 0; Parquet holds, for each image, the log-scores of every tag in a column of its own, and the true tags
    of every facet (see prediction_tables).
    """
    write = {".parquet": _write_parquet, ".jsonl": _write_lines}.get(path.suffix.lower())
    if write is None:
        raise DataError(f"`save_predictions` {path}: unknown ending", hint="choose .parquet or .jsonl")
    write(path, source, scored)


def _write_parquet(path: Path, source: Source, scored: Iterable[tuple[TestSplit, Scores]]) -> None:
    about = {"model": source.name, "method": source.method, "vocabulary": source.vocabulary.to_json()}
    writer = None
    with atomic_open(path) as file:
        for split, scores in scored:
            columns: dict[str, pa.Array] = {
                "image": pa.array([split.ids[row] for row in scores.rows], pa.string()),
                "split": pa.array([split.name] * len(scores.rows), pa.string()),
            }
            for facet, targets in split.targets(source.vocabulary).items():
                columns[facet] = _true_tags(targets, source.vocabulary.facets[facet], scores.rows)
            for facet, table in scores.facets.items():
                for tag, values in zip(source.vocabulary.facets[facet].tags, table.T, strict=True):
                    columns[column_of(facet, tag)] = pa.array(np.ascontiguousarray(values))
            batch = pa.table(columns).replace_schema_metadata({PARQUET_KEY: json.dumps(about).encode()})
            writer = writer or pq.ParquetWriter(file, batch.schema, compression="zstd")
            writer.write_table(batch.cast(writer.schema), row_group_size=_ROWS)
        if writer is not None:
            writer.close()


def _true_tags(targets: Targets, tags: FacetVocabulary, rows: np.ndarray) -> pa.Array:
    """The names of the true tags of some rows, null where a row is not annotated in the facet."""
    named = [
        [tags.tags[i] for i in targets.row(row)] if targets.annotated[row] else None for row in rows.tolist()
    ]
    return pa.array(named, pa.list_(pa.string()))


def _write_lines(path: Path, source: Source, scored: Iterable[tuple[TestSplit, Scores]]) -> None:
    facets = source.vocabulary.facets
    with atomic_open(path, "w") as file:
        for split, scores in scored:
            for i, row in enumerate(scores.rows):
                line = {
                    "image": image_stem(split.ids[row]).as_posix(),
                    "model": source.name,
                    "tags": {facet: _suggestions(scores.facets[facet][i], facets[facet]) for facet in facets},
                }
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _suggestions(scores: np.ndarray, tags: FacetVocabulary) -> list[dict[str, Any]]:
    probabilities = np.exp(scores.astype(np.float64))
    order = np.argsort(-probabilities, kind="stable")
    return [
        {"tag": tags.tags[i], "path": list(tags.path(i)), "score": float(probabilities[i])} for i in order
    ]
