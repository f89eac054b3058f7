"""What linear heads score on saved features: log-scores of tags, and rank metrics."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eufcc_cli.core.metrics.ranking import RankMeans, rank_metrics
from eufcc_cli.core.model.features import FeatureTable
from eufcc_cli.core.model.methods import Method
from eufcc_cli.core.taxonomy.vocabulary import Targets

_ROWS = 2048  # validation images that are scored at once


@dataclass(frozen=True)
class Part:
    """A split's features and targets, row by row."""

    features: FeatureTable
    targets: Mapping[str, Targets]


def score_heads(
    heads: Mapping[str, tuple[Tensor, Tensor]], features: FeatureTable, methods: Mapping[str, Method]
) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
    """Rows, and their log-scores {facet: float32 [rows, tags]}: the mean over the views."""
    for rows, logits in _logits(heads, features):
        yield rows, {facet: _log_scores(methods[facet], table) for facet, table in logits.items()}


def measure_heads(
    heads: Mapping[str, tuple[Tensor, Tensor]],
    part: Part,
    methods: Mapping[str, Method],
    *,
    with_loss: bool = False,
) -> dict[str, Any]:
    """The rank metrics of heads on a split, and their loss."""
    means = RankMeans()
    for rows, logits in _logits(heads, part.features):
        for facet, table in logits.items():
            truth = torch.from_numpy(part.targets[facet].dense(rows))
            annotated = truth.any(1)
            if annotated.any():
                table, truth = table[annotated], truth[annotated]
                loss = {"loss": _losses(methods[facet], table, truth)} if with_loss else {}
                means.update(facet, loss | dict(rank_metrics(_log_scores(methods[facet], table), truth)))
    return means.compute()


def _logits(
    heads: Mapping[str, tuple[Tensor, Tensor]], features: FeatureTable
) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
    """Rows, and what the heads make of them: {facet: float32 [rows, views, outputs]}."""
    for rows in features.blocks(_ROWS):
        x = torch.from_numpy(features.take(rows))
        with torch.inference_mode():
            yield rows, {facet: x @ weight.T + bias for facet, (weight, bias) in heads.items()}


@torch.inference_mode()
def _log_scores(method: Method, logits: Tensor) -> Tensor:
    return method.log_scores(logits.flatten(0, 1)).unflatten(0, logits.shape[:2]).mean(1)


@torch.inference_mode()
def _losses(method: Method, logits: Tensor, truth: Tensor) -> Tensor:
    """The loss of each row, [rows]: the mean over its views."""
    views = logits.shape[1]
    losses = method.loss(logits.flatten(0, 1), truth.repeat_interleave(views, dim=0))
    return losses.unflatten(0, (len(logits), views)).mean(1)
