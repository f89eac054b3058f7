"""Images in, suggestions out: one model or several, one result for each image, in order, as they come."""

import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import cast

import numpy as np
import torch
from torch import nn

from eufcc_cli.core.calibration import Calibration
from eufcc_cli.core.catalogue import Contradiction, fill
from eufcc_cli.core.collect.inputs import Input
from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.model.checkpoint import TaggingModel
from eufcc_cli.core.model.prediction import predict_together
from eufcc_cli.core.suggestions import Choice, Chooser, Suggestion

Record = Mapping[str, str]
"""What is catalogued of an image: {facet: annotation}."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one image: its suggestions per facet, best first, or the reason why it has none."""

    input: Input
    tags: dict[str, list[Suggestion]]
    error: str | None = None
    contradictions: dict[str, list[Contradiction]] = field(default_factory=dict)


class Tagger:
    """Models that look at images together, and the choice of what they suggest.

    Raises ModelError where the models do not score the same tags, or cannot give the coverage asked for.
    """

    def __init__(self, models: Sequence[TaggingModel], choice: Choice) -> None:
        for other in models[1:]:
            from eufcc_cli.core.evaluation.ensembles import refuse_other_vocabulary

            refuse_other_vocabulary(models[0], other)
        if len(models) > 1 and choice.coverage is not None:
            raise ModelError(
                "--coverage: an ensemble has no calibration", hint="give one --model, or use --threshold"
            )
        self.models = models
        self.vocabulary = models[0].vocabulary
        everything = Choice(threshold=0.0, facets=choice.facets)
        self._members = [Chooser(self.vocabulary, calibration_of(model), everything) for model in models]
        own = calibration_of(models[0]) if len(models) == 1 else None
        self.calibrated = len(models) > 1 or own is not None
        self.chooser = Chooser(self.vocabulary, own, choice)

    @property
    def name(self) -> str:
        return "+".join(model.name for model in self.models)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the model, or over those of its members."""
        digests = [model.digest for model in self.models]
        return digests[0] if len(digests) == 1 else sha256("+".join(digests).encode()).hexdigest()

    def tag(
        self,
        inputs: Iterable[Input],
        *,
        batch_size: int | None = None,
        workers: int | None = None,
        record_of: Callable[[Input], Record] | None = None,
        smallest_batch: int = 1,
    ) -> Iterator[Result]:
        """One result for each input, in order; with `record_of`, only what fills gaps in its record."""
        asked: deque[Input] = deque()

        def items() -> Iterator[tuple[str, object]]:
            for item in inputs:
                asked.append(item)
                yield item.name, item.source

        predictions = predict_together(
            self.models,
            items(),  # type: ignore[arg-type]
            batch_size=batch_size,
            workers=workers,
            eager=True,
            smallest_batch=smallest_batch,
        )
        for members in predictions:
            item = asked.popleft()
            if members[0].error is not None:
                yield Result(item, {}, members[0].error)
                continue
            scores = self._together([member.scores or {} for member in members])
            if record_of is None:
                yield Result(item, self.chooser(scores))
            else:
                filled = fill(self.chooser, record_of(item), scores)
                yield Result(item, filled.tags, None, filled.contradictions)

    def _together(self, members: Sequence[Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
        """The log-scores of one image, from those of each member.

        The ensemble's share of a tag is the mean of the members' scores, each normalised to sum 1 over
        the facet, as in evaluation. Times the number of tags that the members' probabilities let expect,
        it is a probability.
        """
        if len(members) == 1:
            return members[0]
        together = {}
        for facet in self.chooser.facets:
            shares = [scores[facet] - np.logaddexp.reduce(scores[facet]) for scores in members]
            expected = np.mean(
                [
                    chooser.facets[facet].scores(scores[facet])[1].sum()
                    for chooser, scores in zip(self._members, members, strict=True)
                ]
            )
            mean = np.logaddexp.reduce(shares) - np.log(len(shares))
            together[facet] = (mean + np.log(expected)).astype(np.float32)
        return together


def calibration_of(model: TaggingModel) -> Calibration | None:
    """The calibration stored with a model, if there is one."""
    content = model.config.get("calibration")
    return None if content is None else Calibration.from_json(content)


def compile_network(model: TaggingModel) -> None:
    """Have torch compile a model's network when it is first used; raises ModelError without a compiler."""
    if model.device.type == "cpu" and not any(map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "cl"))):
        raise ModelError("--compile: there is no C++ compiler", hint="install g++, or leave --compile out")
    model.network = cast(nn.Module, torch.compile(model.network))
