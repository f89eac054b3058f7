"""Probabilities of training images from heads that have not learned them: folds on frozen features."""

from typing import TYPE_CHECKING

import numpy as np

from eufcc_cli.core.files import Root
from eufcc_cli.core.metrics.calibration import Coherence
from eufcc_cli.core.model.backbone.network import Network
from eufcc_cli.core.model.features import FeatureStore, FeatureTable
from eufcc_cli.core.model.methods import Multilabel
from eufcc_cli.core.model.tagging_model import TaggingModel
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.tables.annotations import ID
from eufcc_cli.core.taxonomy.vocabulary import Targets
from eufcc_cli.core.training.heads.head import fit_heads
from eufcc_cli.core.training.heads.head_run import collect_features
from eufcc_cli.core.training.heads.head_scores import Part, score_heads
from eufcc_cli.core.training.loading.data import load_split

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 5
_STRENGTH = 1e-2
_FEATURES_LIMIT = 20.0  # GB


def cross_validated(
    model: TaggingModel,
    root: Root,
    frame: "pd.DataFrame",
    progress: Progress = SILENT,
    workers: int | None = None,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Rows of the training table, and the probabilities of their tags {facet: [rows, n]}.

    The images are cut into five folds. For each, multilabel heads are fitted to the features of the others,
    as the model's backbone sees them. If the backbone itself was trained on these images, it may remember
    some of their annotations: fewer are then found doubtful.
    """
    split = load_split(root, "train", model.vocabulary, frame)
    network = model.network
    assert isinstance(network, Network)
    network.eval()
    model.store = FeatureStore.of(root, network, model.preprocessing, model.precision, limit=_FEATURES_LIMIT)
    digests, bad = collect_features(model, split.files, "train", progress, workers)
    there = split.without(bad)
    table = model.store.table([digest for row, digest in enumerate(digests) if row not in bad])
    fold = np.random.default_rng(0).permutation(len(there)) % FOLDS
    facets = model.vocabulary.facets
    found = {facet: np.zeros((len(there), len(tags)), np.float32) for facet, tags in facets.items()}
    with progress.task("cross-validation", FOLDS) as task:
        for number in range(FOLDS):
            inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            train, held = (_part(table, there.targets, rows) for rows in (inside, outside))
            methods = {facet: Multilabel.for_facet(tags) for facet, tags in facets.items()}
            priors = {
                facet: method.prior_bias(
                    train.targets[facet].counts(), int(train.targets[facet].annotated.sum())
                )
                for facet, method in methods.items()
            }
            heads = fit_heads(train, held, methods, priors, strengths=(_STRENGTH,)).heads
            for rows, scores in score_heads(heads, held.features, methods):
                for facet, log_scores in scores.items():
                    coherent = Coherence(facets[facet])(log_scores.numpy())
                    found[facet][outside[rows]] = np.exp(coherent)
            task.advance()
    numbers = {image_id: row for row, image_id in enumerate(frame[ID])}
    rows = np.array([numbers[image_id] for image_id in there.frame[ID]], dtype=np.int64)
    return rows, {facet: scores for facet, scores in found.items() if scores.any()}


def _part(table: FeatureTable, targets: dict[str, Targets], rows: np.ndarray) -> Part:
    features = FeatureTable(table.parts, table.where[rows])
    return Part(features, {facet: found.take(rows) for facet, found in targets.items()})
