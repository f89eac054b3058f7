"""Reading predictions files: the JSON lines that `eufcc tag` writes; tables see prediction_tables."""

import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eufcc_cli.core.errors import DataError
from eufcc_cli.core.evaluation.scores.prediction_tables import label_vocabulary, read_csv, read_parquet
from eufcc_cli.core.evaluation.scores.predictions import EXTERNAL, ZERO, Line, Predictions
from eufcc_cli.core.files import Root, possible_ids
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Vocabulary

log = logging.getLogger("eufcc")


def read_predictions(path: Path, root: Root) -> Predictions:
    """Read JSON lines (as `eufcc tag` writes them), or a table, CSV or Parquet (see prediction_tables).

    A folder of `tag --shard-size` counts as one file.

    The tags are those of the root's label files. Raises DataError, naming the line, for an invalid file:
    unknown tags or facets, scores that are no probabilities, tags listed twice.
    """
    if path.is_dir():
        parts = parts_of(path)
        read = read_parquet if parts[0].suffix == ".parquet" else _read_lines
        return read(path, root, parts)
    if not path.is_file():
        raise DataError(f"`predictions` {path}: no such file", hint="give JSON lines, CSV or Parquet")
    if path.suffix.lower() == ".parquet":
        return read_parquet(path, root)
    return read_csv(path, root) if path.suffix.lower() == ".csv" else _read_lines(path, root)


def parts_of(folder: Path) -> list[Path]:
    """The files of results in a folder of `tag --shard-size`, in order.

    Raises DataError where there are none; warns where some are not done yet.
    """
    parts = sorted([*folder.glob("part-*.parquet"), *folder.glob("part-*.jsonl")])
    if not parts:
        raise DataError(f"{folder}: no part-00000 in it", hint="give a folder of `eufcc tag --shard-size N`")
    try:
        planned = int(json.loads((folder / "_plan.json").read_bytes())["shards"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}/_plan.json: {error}", hint="give the whole folder") from error
    if len(parts) < planned:
        log.warning("%s: %d of its %d shards are done", folder, len(parts), planned)
    return parts


def _read_lines(path: Path, root: Root, parts: Sequence[Path] = ()) -> Predictions:
    vocabulary = label_vocabulary(root)
    lines: list[Line] = []
    models: set[str] = set()
    seen: set[str] = set()
    for part in parts or [path]:
        with part.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if not raw.strip():
                    continue
                where = f"{part}: line {number}"
                content = _parse(raw, where)
                lines.append(_line(content, number, where, vocabulary))
                if "error" not in content:
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
    if not isinstance(content, dict) or not any(isinstance(content.get(key), str) for key in ("image", "id")):
        raise DataError(f"{where} names no image", hint=hint)
    if not isinstance(content.get("tags"), dict) and "error" not in content:
        raise DataError(f"{where} has neither tags nor an error", hint=hint)
    return content


def _line(content: dict[str, Any], number: int, where: str, vocabulary: Vocabulary) -> Line:
    image, image_id = content.get("image"), content.get("id")
    names = tuple(possible_ids(image)) if isinstance(image, str) else ()
    if isinstance(image_id, str) and image_id not in names:
        names += (image_id,)
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
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise DataError(
            f"{where} is not a list of suggestions", hint='one is {"tag": "bronze", "score": 0.9}'
        )
    scores: dict[int, float] = {}
    for entry in listed:
        tag, score = entry.get("tag"), entry.get("score")
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
                f"{where}: the score of {tag} is {score!r}, not a probability from 0 to 1",
                hint="turn logits or similarities into probabilities first (softmax, sigmoid)",
            )
        scores[number] = math.log(score) if score > 0 else ZERO
    return np.array(list(scores), dtype=np.int64), np.array(list(scores.values()), dtype=np.float64)
