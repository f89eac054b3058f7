"""Several sources as one: the mean of their normalised probabilities, with equal or fitted weights."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from eufcc_cli.core.errors import DataError, ModelError
from eufcc_cli.core.evaluation.scores.eval_split import Scores, Source, Tagging, TestSplit
from eufcc_cli.core.evaluation.scores.scoring import ModelScorer
from eufcc_cli.core.files import Root
from eufcc_cli.core.metrics.calibration import Calibration
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.vocabulary import Vocabulary

_STEPS = 1000  # of expectation maximisation, at most


@dataclass
class Ensemble:
    """The weighted mean of its members' scores, each normalised to sum 1 over a facet's tags.

    Raises ModelError where the members' vocabularies differ, DataError where only some members can score
    an image.
    """

    members: Sequence[Source]
    weights: Sequence[float] | None = None
    """One weight per member, summing to 1; None for equal weights."""

    def __post_init__(self) -> None:
        for other in self.members[1:]:
            check_same_vocabulary(self.members[0], other)

    @property
    def name(self) -> str:
        return "+".join(member.name for member in self.members)

    @property
    def method(self) -> str:
        return "+".join(member.method for member in self.members)

    @property
    def vocabulary(self) -> Vocabulary:
        return self.members[0].vocabulary

    @property
    def digests(self) -> list[str] | None:
        """Those of the members; None where one is no model."""
        models = [member.model for member in self.members if isinstance(member, ModelScorer)]
        return [model.digest for model in models] if len(models) == len(self.members) else None

    @property
    def calibration(self) -> Calibration | None:
        """That of the models with equal weights, where they were calibrated together."""
        first = self.members[0]
        if self.weights is not None or self.digests is None or not isinstance(first, ModelScorer):
            return None
        return ensemble_calibration(self.digests, first.root)

    def scores(self, split: TestSplit, progress: Progress = SILENT) -> Scores:
        return self.combine([member.scores(split, progress) for member in self.members], split)

    def combine(self, scores: Sequence[Scores], split: TestSplit) -> Scores:
        """The ensemble's scores, from those of its members in their order."""
        first = scores[0]
        for member, other in zip(self.members[1:], scores[1:], strict=True):
            differ = np.setxor1d(first.rows, other.rows)
            if len(differ):
                raise DataError(
                    f"{self.name}: {split.ids[differ[0]]} of {split.name} has scores from only one of "
                    f"{self.members[0].name} and {member.name} ({len(differ):,} such images)",
                    hint="an ensemble needs every member's scores of every image",
                )
        weights = self.weights or [1 / len(self.members)] * len(self.members)
        facets = {}
        for facet in self.vocabulary.facets:
            shares = (
                _normalised(part, facet, member.name, split) + math.log(weight)
                for member, part, weight in zip(self.members, scores, weights, strict=True)
                if weight > 0
            )
            facets[facet] = reduce(torch.logaddexp, shares).numpy()
        return Scores(first.rows, facets, first.missing, first.failed)


def ensemble_calibration(digests: Iterable[str], root: Root) -> Calibration | None:
    """The stored calibration of the ensemble of models with these digests, if there is one."""
    path = ensemble_file(digests, root)
    return Calibration.from_json(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def ensemble_file(digests: Iterable[str], root: Root) -> Path:
    """The file of the calibration of an ensemble of these models, in any order."""
    return root.runs / ".ensembles" / f"{sha256('+'.join(sorted(digests)).encode()).hexdigest()}.json"


def _normalised(scores: Scores, facet: str, name: str, split: TestSplit) -> Tensor:
    """Log-probabilities that sum to 1 over the facet's tags, [M, n]."""
    table = torch.from_numpy(scores.facets[facet])
    whole = table.logsumexp(1, keepdim=True)
    if not bool(whole.isfinite().all()):
        row = int((~whole.isfinite()).nonzero()[0, 0])
        raise DataError(
            f"{name}: {split.ids[scores.rows[row]]} of {split.name} has no tag with a score in {facet}",
            hint="an ensemble normalises the scores of every facet; leave this system out of it",
        )
    return table - whole


def check_same_vocabulary(one: Tagging, other: Tagging) -> None:
    """Raise ModelError, naming the first difference, where two sources score different tags."""
    if one.vocabulary.digest == other.vocabulary.digest:
        return
    ours, theirs = one.vocabulary.facets, other.vocabulary.facets
    difference = "their vocabularies"
    if list(ours) != list(theirs):
        difference = f"facets {', '.join(ours)} against {', '.join(theirs)}"
    else:
        for facet, tags in ours.items():
            if tags != theirs[facet]:
                difference = f"{facet}, {_first_difference(tags.tags, theirs[facet].tags)}"
                break
    raise ModelError(
        f"{one.name} and {other.name} do not score the same tags: {difference}",
        hint="train members of an ensemble with the same label files; `add_tag` is for CLIP models only",
    )


def _first_difference(ours: Sequence[str], theirs: Sequence[str]) -> str:
    for number, (a, b) in enumerate(zip(ours, theirs, strict=False), start=1):
        if a != b:
            return f"tag {number}: {a} against {b}"
    if len(ours) != len(theirs):
        return f"{len(ours):,} tags against {len(theirs):,}"
    return "the same tags under other parents"


def fit_weights(members: Sequence[Source], scores: Sequence[Scores], split: TestSplit) -> list[float]:
    """Weights that maximise the likelihood of a split's true tags under the mixture of the members.

    The likelihood of a pair is the geometric mean of its true tags' mixed probabilities. It is concave in
    the weights, and expectation maximisation climbs to its one maximum (the deleted interpolation of
    Jelinek and Mercer, 1980): no learning rate, no seed. Fit on val, never on a test split.
    """
    ensemble = Ensemble(members)
    ensemble.combine(scores, split)  # raises an error for members that cannot be combined
    targets = split.targets(ensemble.vocabulary)
    columns: list[Tensor] = []  # [members, true tags] log-probabilities
    importance: list[Tensor] = []
    for facet, encoded in targets.items():
        true = [encoded.row(row) for row in scores[0].rows]
        lengths = torch.tensor([len(tags) for tags in true])
        row = torch.arange(len(true)).repeat_interleave(lengths)
        tag = torch.from_numpy(np.concatenate([np.empty(0, dtype=np.int64), *true]))
        pairs = zip(members, scores, strict=True)
        columns.append(
            torch.stack([_normalised(s, facet, m.name, split)[row, tag].double() for m, s in pairs])
        )
        importance.append((1 / lengths.double())[row])
    likelihood, share = torch.cat(columns, dim=1), torch.cat(importance)
    if not len(share):
        raise DataError(f"{split.table}: no true tag to fit weights on", hint="choose `weights_from=equal`")
    log_weights = torch.full((len(members),), -math.log(len(members)), dtype=torch.float64)
    for _ in range(_STEPS):
        joint = log_weights[:, None] + likelihood
        reached = joint.logsumexp(0)
        # A true tag to which no member gives any probability does not depend on the weights.
        responsible = torch.where(reached.isfinite(), (joint - reached).exp(), 0.0)
        new = (responsible * share).sum(1)
        new = (new / new.sum()).log()
        moved = float((new.exp() - log_weights.exp()).abs().max())
        log_weights = new
        if moved < 1e-9:
            break
    weights = log_weights.exp()
    return (weights / weights.sum()).tolist()
