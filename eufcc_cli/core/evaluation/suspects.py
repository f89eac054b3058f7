"""Doubtful annotations of a collection, from the scores of images that the scoring model has not learned."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eufcc_cli.core.download.image_locations import find_images
from eufcc_cli.core.evaluation.cross_validation import cross_validated
from eufcc_cli.core.evaluation.scores.eval_split import read_split
from eufcc_cli.core.evaluation.scores.scoring import ModelScorer
from eufcc_cli.core.files import Root, csv_text, write_text
from eufcc_cli.core.metrics.calibration import Calibration, log_probabilities
from eufcc_cli.core.metrics.confident_learning import doubtful_tags
from eufcc_cli.core.model.tagging_model import TaggingModel
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.tables.annotations import facet_column

TRAIN = "train"
_COLUMNS = ("image", "id", "split", "facet", "tag", "path", "suspect", "score", "doubt", "record")


@dataclass(frozen=True)
class Suspect:
    """An annotation that is probably wrong, or a tag that is probably missing."""

    image: str
    id: str
    split: str
    facet: str
    path: tuple[str, ...]
    missing: bool
    score: float
    """The probability of the tag."""
    doubt: float
    """How improbable the annotation is."""
    record: str
    """What the facet is annotated with today."""

    @property
    def tag(self) -> str:
        return self.path[-1]


@dataclass(frozen=True)
class Suspects:
    """All doubtful annotations, most doubtful first, and what could not be judged."""

    found: list[Suspect]
    annotations: int
    """The (image, facet, tag) triples that are annotated and were judged."""
    rare: int
    """Tags of so few images that they were left out, counted in each split."""


def find_suspects(
    model: TaggingModel,
    root: Root,
    splits: Sequence[str],
    progress: Progress = SILENT,
    *,
    batch_size: int = 64,
    workers: int | None = None,
) -> Suspects:
    """The doubtful annotations of some splits.

    The model scores the splits that it has not learned; the images of train are scored by heads that are
    fitted to frozen features of the other folds. Raises EufccError where a split has no images.
    """
    found: list[Suspect] = []
    annotations = rare = 0
    for name in splits:
        split = read_split(root, name)
        if name == TRAIN:
            rows, tables = cross_validated(model, root, split.frame, progress, workers)
        else:
            scored = ModelScorer(model, root, model.name, batch_size, workers).scores(split, progress)
            rows, tables = scored.rows, _probabilities(model, scored.facets)
        files = find_images(root, [split.ids[row] for row in rows])
        for facet, probabilities in tables.items():
            tags = model.vocabulary.facets[facet]
            truth = split.targets(model.vocabulary)[facet].dense(rows)
            annotated = truth.any(1)
            if not annotated.any():
                continue
            doubtful = doubtful_tags(probabilities[annotated], truth[annotated])
            annotations += int(truth.sum())
            rare += doubtful.left_out
            records = split.frame[facet_column(facet)].tolist()
            columns = (rows[annotated][doubtful.rows], doubtful.tags, doubtful.missing, doubtful.doubt)
            for row, tag, missing, doubt in zip(*(column.tolist() for column in columns), strict=True):
                image_id, score = split.ids[row], round(doubt if missing else 1 - doubt, 6)
                about = (str(files[image_id]), image_id, name, facet, tags.path(tag), missing, score)
                found.append(Suspect(*about, round(doubt, 6), records[row]))
    found.sort(key=lambda one: -one.doubt)
    return Suspects(found, annotations, rare)


def _probabilities(model: TaggingModel, tables: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Calibrated probabilities where the model has a calibration, else its scores, made coherent."""
    calibration, facets = Calibration.of(model.config), model.vocabulary.facets
    fitted = {} if calibration is None else calibration.facets
    return {f: np.exp(log_probabilities(table, facets[f], fitted.get(f))) for f, table in tables.items()}


def write_suspects(suspects: Suspects, path: Path, model: TaggingModel) -> None:
    """Write the list as CSV, or as the JSON lines that `tag --review` opens, by the file's ending."""
    rows = [
        {
            "image": one.image,
            "id": one.id,
            "split": one.split,
            "facet": one.facet,
            "tag": one.tag,
            "path": one.path,
            "suspect": "missing" if one.missing else "wrong",
            "score": one.score,
            "doubt": one.doubt,
            "record": one.record,
        }
        for one in suspects.found
    ]
    if path.suffix.lower() == ".csv":
        cells = [{**row, "path": " | ".join(one.path)} for row, one in zip(rows, suspects.found, strict=True)]
        write_text(path, csv_text(_COLUMNS, cells))
    else:
        source = {"model": model.name, "digest": model.digest}
        write_text(path, "".join(json.dumps(row | source, ensure_ascii=False) + "\n" for row in rows))
