"""The figures of a network on the validation split during training, over all processes."""

import dataclasses
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from eufcc_cli.core.devices import precision_name
from eufcc_cli.core.metrics.belief import Belief, beliefs_of
from eufcc_cli.core.metrics.calibration import Calibration, fit_calibration
from eufcc_cli.core.metrics.ranking import RankMeans, rank_metrics
from eufcc_cli.core.model.inference.prediction import predict
from eufcc_cli.core.model.tagging_model import TaggingModel
from eufcc_cli.core.training.loading.data import ImageLoader, Split


@dataclasses.dataclass(frozen=True)
class Validation:
    """The validation images of a training; each process scores its share of them."""

    model: TaggingModel
    split: Split
    loader: ImageLoader
    accelerator: Accelerator
    batch_size: int

    def measure(self, network: nn.Module) -> dict[str, Any]:
        """The rank metrics of a network with the model's heads, and its loss.

        The loss is that of the model's scores: a CLIP model's is the cross-entropy over the tags, not the
        comparison of a batch with its captions.
        """
        means = RankMeans()
        for batch in self._scored(network):
            _rank(means, batch.scores, batch.truths, batch.losses)
        return RankMeans().merge(self._gathered([means])).compute()

    def calibrate(
        self, network: nn.Module, counts: dict[str, np.ndarray]
    ) -> tuple[dict[str, Any], Calibration, list[Belief]]:
        """In one pass: the rank metrics, the scores fitted to probabilities and coverage, what to believe.

        counts: {facet: the training images of each tag}. The scores are the very ones that `tag` gives here,
        of all views of an image, and on a processor by its engine.
        """
        parts = self._gathered(self._as_tagged(network))
        means = RankMeans()
        for scores, truths in parts:
            _rank(means, scores, truths)
        facets = self.model.vocabulary.facets
        log_scores = {facet: torch.cat([scores[facet] for scores, _ in parts]).numpy() for facet in facets}
        truth = {facet: torch.cat([truths[facet] for _, truths in parts]).numpy() for facet in facets}
        precision = precision_name(self.model.precision)
        calibration = fit_calibration(log_scores, truth, self.model.vocabulary, precision)
        beliefs = beliefs_of(log_scores, truth, counts, self.model.vocabulary, calibration)
        return means.compute(), calibration, beliefs

    def trial_seconds(self, network: nn.Module, images: int) -> float:
        """Seconds that one pass takes, from a few grey images."""
        network.eval()
        model, side = dataclasses.replace(self.model, network=network), self.model.preprocessing.stored
        grey = torch.full((images, 3, side, side), 127, dtype=torch.uint8)
        seconds = []
        for _ in range(2):  # only the first one encodes the texts of a CLIP model
            began = time.monotonic()
            for table in model.log_scores(grey).values():
                table.cpu()
            seconds.append(time.monotonic() - began)
        once, again = seconds
        own = len(self.split) / self.accelerator.num_processes
        return max(0.0, once - again) + again / images * own

    def _own_rows(self) -> np.ndarray:
        return np.arange(len(self.split))[self.accelerator.process_index :: self.accelerator.num_processes]

    def _scored(self, network: nn.Module) -> Iterator["_Scored"]:
        """Log-scores of the image's first view, true tags and losses, batch by batch."""
        network.eval()
        model = dataclasses.replace(self.model, network=network)
        rows = self._own_rows()
        shares = [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        for share, (images, kept) in zip(shares, self.loader.batches(iter(shares)), strict=True):
            if not len(kept):  # none of them can be read
                continue
            features = model.features(model.preprocessing.middle(images).unsqueeze(1))
            truths = self.split.truth(share[kept])
            scores = {facet: table.cpu() for facet, table in model.scores_of(features).items()}
            losses = model.losses_of(features, truths)
            yield _Scored(scores, truths, {facet: values.cpu() for facet, values in losses.items()})

    def _as_tagged(self, network: nn.Module) -> list[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        """Log-scores as `tag` computes them, and true tags, of the images that can be read."""
        network.eval()
        model = dataclasses.replace(self.model, network=network)
        images = ((str(row), self.split.files[row]) for row in self._own_rows())
        found = {int(one.key): one.scores for one in predict(model, images) if one.scores is not None}
        if not found:
            return []
        scores = {
            facet: torch.from_numpy(np.stack([one[facet] for one in found.values()]))
            for facet in self.model.vocabulary.facets
        }
        return [(scores, self.split.truth(np.array([*found])))]

    def _gathered(self, parts: list[Any]) -> list[Any]:
        return parts if self.accelerator.num_processes == 1 else gather_object(parts)


@dataclasses.dataclass(frozen=True)
class _Scored:
    """A batch: {facet: log-scores [B, tags]}, {facet: true tags [B, tags]}, {facet: losses [B]}."""

    scores: dict[str, Tensor]
    truths: dict[str, Tensor]
    losses: dict[str, Tensor]


def _rank(
    means: RankMeans, scores: dict[str, Tensor], truths: dict[str, Tensor], losses: Mapping[str, Tensor] = {}
) -> None:
    for facet, truth in truths.items():
        annotated = truth.any(1)
        if annotated.any():
            own = {"loss": losses[facet][annotated]} if losses else {}
            means.update(facet, own | dict(rank_metrics(scores[facet][annotated], truth[annotated])))
