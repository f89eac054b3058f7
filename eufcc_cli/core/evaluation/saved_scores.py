"""Scores written to files that `--predictions` reads: Parquet, exact, or the JSON lines that `tag` writes."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.evaluation.eval_split import Scores, Source, TestSplit
from eufcc_cli.core.evaluation.predictions import PARQUET_KEY
from eufcc_cli.core.files import atomic_open, image_stem
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary

_ROWS = 1024  # images to a group of rows in Parquet


def save_predictions(path: Path, source: Source, scored: Iterable[tuple[TestSplit, Scores]]) -> None:
    """Write a model's scores, whole or not at all: Parquet (exact) or JSON lines, by the file's ending.

    Both can be read by `--predictions`. JSON lines list every tag with its probability, which below 1e-308
    is 0; Parquet holds the log-scores and the vocabulary.
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
            for facet, table in scores.facets.items():
                columns[facet] = pa.FixedSizeListArray.from_arrays(pa.array(table.ravel()), table.shape[1])
            batch = pa.table(columns).replace_schema_metadata({PARQUET_KEY: json.dumps(about).encode()})
            writer = writer or pq.ParquetWriter(file, batch.schema, compression="zstd")
            writer.write_table(batch.cast(writer.schema), row_group_size=_ROWS)
        if writer is not None:
            writer.close()


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
