"""Calibrations of trained models and of ensembles: fitted on the validation split, saved in the root."""

import json
from pathlib import Path

import numpy as np

from eufcc_cli.core.devices import precision_name
from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.evaluation.scores import processes
from eufcc_cli.core.evaluation.scores.ensembles import Ensemble, ensemble_file
from eufcc_cli.core.evaluation.scores.eval_split import Scores, Source, TestSplit
from eufcc_cli.core.evaluation.scores.scoring import ModelScorer
from eufcc_cli.core.files import Root, write_text
from eufcc_cli.core.metrics.calibration import Calibration, Coherence, fit_calibration
from eufcc_cli.core.model.model_files import read_config, save_config
from eufcc_cli.core.model.zero_shot import calibration_file
from eufcc_cli.core.progress import SILENT, Progress


def calibrate(source: Source, split: TestSplit, root: Root, progress: Progress = SILENT) -> dict[str, float]:
    """Fit a model's or an ensemble's calibration on a split and store it where `tag` finds it.

    A model's goes into its config.json, a published CLIP model's into ROOT/runs/.calibrations, an ensemble's
    into ROOT/runs/.ensembles. Returns for each facet
    how many tags it takes, on average over the split's images, to cover 90 % of the true ones (nothing
    on processes other than the first). Raises ModelError for sources that cannot keep one: predictions
    and other weights.
    """
    keep = _place(source, root)
    scores = source.scores(split, progress)
    if processes.join()[0] != 0:
        return {}
    truth = {facet: targets.dense(scores.rows) for facet, targets in split.targets(source.vocabulary).items()}
    calibration = fit_calibration(scores.facets, truth, source.vocabulary, _precision(source))
    if keep.name == "config.json":
        config = read_config(keep.parent)
        config.pop("eufcc_format")
        save_config(keep.parent, {**config, "calibration": calibration.to_json()})
    else:
        write_text(keep, json.dumps(calibration.to_json()) + "\n")
    return _tags_needed(source, scores, calibration, 0.9)


def _place(source: Source, root: Root) -> Path:
    if isinstance(source, ModelScorer):
        folder = source.model.folder
        return calibration_file(source.model, root) if folder is None else folder / "config.json"
    if isinstance(source, Ensemble) and source.weights is None and source.digests is not None:
        return ensemble_file(source.digests, root)
    raise ModelError(
        f"`calibrate`: {source.name} has no folder in which to save a calibration",
        hint="name runs, model folders, or ensembles of them with equal weights",
    )


def _precision(source: Source) -> str:
    """That of a model's scores; an ensemble's members are loaded alike."""
    first = source.members[0] if isinstance(source, Ensemble) else source
    assert isinstance(first, ModelScorer)
    return precision_name(first.model.precision)


def _tags_needed(
    source: Source, scores: Scores, calibration: Calibration, coverage: float
) -> dict[str, float]:
    needed = {}
    for facet, tags in source.vocabulary.facets.items():
        coherent = Coherence(tags)(scores.facets[facet])
        threshold = calibration.facets[facet].threshold(coverage)
        needed[facet] = float(np.mean((coherent >= threshold).sum(axis=1)))
    return needed
