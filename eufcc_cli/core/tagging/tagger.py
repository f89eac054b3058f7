"""Images in, suggestions out: one model or several, one result for each image, in order, as they come."""

import os
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.files import Root
from eufcc_cli.core.metrics.calibration import Calibration
from eufcc_cli.core.model.inference.prediction import Scored, predict_batches
from eufcc_cli.core.model.model_files import CONFIG
from eufcc_cli.core.tagging.display import Display
from eufcc_cli.core.tagging.inputs import Input
from eufcc_cli.core.tagging.records import Contradiction, fill
from eufcc_cli.core.tagging.selection import Choice, Chooser, Suggestion
from eufcc_cli.core.taxonomy.linked_data.concepts import Uris, read_uris
from eufcc_cli.core.taxonomy.names import Names, names_of_paths

if TYPE_CHECKING:
    from eufcc_cli.core.model.converted_model import ConvertedModel
    from eufcc_cli.core.model.tagging_model import TaggingModel

    Model = TaggingModel | ConvertedModel

Record = Mapping[str, str]
"""What is catalogued of an image: {facet: annotation}."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result for one image: its suggestions per facet, best first, or the reason why it has none."""

    input: Input
    tags: dict[str, list[Suggestion]]
    error: str | None = None
    contradictions: dict[str, list[Contradiction]] = field(default_factory=dict)


class Tagger:
    """Models that look at images together, and the choice of what they suggest.

    Raises ModelError where the models do not score the same tags, or cannot give the coverage asked for.
    """

    def __init__(
        self, models: "Sequence[Model]", choice: Choice, root: Root, display: Display = Display()
    ) -> None:
        self.models = models
        self._root = root
        self.vocabulary = models[0].vocabulary
        calibration = _ensemble_calibration(models, root) if len(models) > 1 else calibration_of(models[0])
        self.calibration = calibration
        if choice.coverage is not None and calibration is None:
            raise ModelError(
                f"`coverage`: {self.name} has no calibration",
                hint=f"make one from the validation split: `eufcc evaluate --calibrate {self.spec}`",
            )
        self.chooser = Chooser(self.vocabulary, calibration, choice)
        self._displayed = display.of(self.vocabulary, self.names, root) if display != Display() else None
        self._choosers = [
            Chooser(self.vocabulary, calibration_of(model), Choice(facets=choice.facets)) for model in models
        ]

    @property
    def name(self) -> str:
        return "+".join(model.name for model in self.models)

    @property
    def short_side(self) -> int:
        """The pixels that an image's shorter side needs to be seen as well as the models can."""
        return max(model.preprocessing.decoded for model in self.models)

    @property
    def spec(self) -> str:
        """What a command calls the models: a run by its name, others by their folder."""
        runs = self._root.runs
        return "+".join(
            str(model.folder) if model.folder and model.folder.parent != runs else model.name
            for model in self.models
        )

    @cached_property
    def uris(self) -> Uris:
        """The concepts of the tags that the training or the root knows."""
        uris: dict[str, dict[str, str]] = {}
        sources = [*(model.config.get("uris", {}) for model in self.models), read_uris(self._root.concepts)]
        for source in sources:
            for facet, tags in source.items():
                uris.setdefault(facet, {}).update(tags)
        return uris

    @property
    def scoring(self) -> dict[str, object]:
        """What the probabilities depend on, besides the image."""
        return {
            "models": self.digest,
            "precision": [str(model.precision) for model in self.models],
            "calibration": self.calibration and self.calibration.to_json(),
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the model, or over those of its members."""
        digests = [model.digest for model in self.models]
        return digests[0] if len(digests) == 1 else sha256("+".join(digests).encode()).hexdigest()

    def tag(self, inputs: Iterable[Input]) -> Iterator[Result]:
        """One result for each input, in order, each as soon as it is there."""
        with closing(self.batches(inputs, eager=True)) as batches:
            for results in batches:
                yield from results

    def batches(
        self,
        inputs: Iterable[Input],
        *,
        record_of: Callable[[Input], Record] | None = None,
        batch_size: int | None = None,
        **options: Any,
    ) -> Generator[list[Result], None, None]:
        """One result for each input, in order, those of a batch together.

        record_of: what is catalogued of an input, whose result is only what fills gaps in that.
        The other options are those of `predict_batches`.
        """
        items = ((item, item.source) for item in inputs)
        with closing(predict_batches(self.models, items, batch_size=batch_size, **options)) as batches:
            for batch in batches:
                yield list(self._results(batch, record_of))

    def _results(self, batch: Scored[Input], record_of: Callable[[Input], Record] | None) -> Iterator[Result]:
        scores = self.combined(batch.tables)
        chosen = iter(self.chooser.batch(scores) if record_of is None and scores else ())
        rows = count()
        for (item, _), error in zip(batch.items, batch.errors, strict=True):
            if error is not None:
                yield Result(item, {}, error)
            elif record_of is None:
                yield Result(item, self._shown(next(chosen)))
            else:
                row = next(rows)
                own = {facet: table[row] for facet, table in scores.items()}
                tags, contradictions = fill(self.chooser, record_of(item), own)
                yield Result(item, self._shown(tags), None, contradictions)

    @cached_property
    def names(self) -> Names:
        """The names of the vocabulary's tags, in every language that they have."""
        facets = self.vocabulary.facets.items()
        paths = {facet: [tags.path(i) for i in range(len(tags))] for facet, tags in facets}
        return names_of_paths(self._root, paths)

    def _shown(self, found: dict[str, list[Suggestion]]) -> dict[str, list[Suggestion]]:
        return found if self._displayed is None else self._displayed(found)

    def combined(self, members: Sequence[Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
        """The log-scores [B, n] of images, from those of each member; empty where there is no image.

        The ensemble's score of a tag is the mean of the members' scores, each normalised to sum 1 over the
        facet, as in evaluation. Without a calibration of its own it becomes a probability by the number
        of tags that the members' probabilities let expect.
        """
        if len(members) < 2:
            return members[0] if members else {}
        together = {}
        for facet in self.chooser.facets:
            tables = [scores[facet] for scores in members]
            shares = [table - np.logaddexp.reduce(table, axis=1, keepdims=True) for table in tables]
            mean = np.logaddexp.reduce(shares) - np.log(len(shares))
            if self.calibration is None:
                choosers = [chooser.facets[facet] for chooser in self._choosers]
                pairs = zip(choosers, tables, strict=True)
                sums = [chooser.scores(table)[1].sum(axis=1) for chooser, table in pairs]
                mean += np.log(np.mean(sums, axis=0))[:, None]
            together[facet] = mean
        return together


def _ensemble_calibration(models: "Sequence[Model]", root: Root) -> Calibration | None:
    """The calibration of models together; raises ModelError where they do not score the same tags."""
    from eufcc_cli.core.evaluation.scores.ensembles import check_same_vocabulary, ensemble_calibration

    for other in models[1:]:
        check_same_vocabulary(models[0], other)
    return ensemble_calibration([model.digest for model in models], root)


def calibration_of(model: "Model") -> Calibration | None:
    """The calibration stored with a model, if there is one."""
    content = model.config.get("calibration")
    try:
        return None if content is None else Calibration.from_json(content)
    except ModelError as error:
        raise ModelError(f"{model.folder}/{CONFIG}: {error}", hint=error.hint) from error


def compile_network(model: "TaggingModel") -> None:
    """Have torch compile a model's network when it is first used; raises ModelError without a compiler."""
    if model.device.type == "cpu" and not any(map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "cl"))):
        raise ModelError("`compile`: there is no C++ compiler", hint="install g++, or leave `compile` out")
    from torch import nn

    from eufcc_cli.core.model.backbone.network import Network

    network: Any = model.network
    seeing = network.backbone if isinstance(network, Network) else network.clip.visual
    cast(nn.Module, seeing).compile()  # in place: names and heads stay as they are
