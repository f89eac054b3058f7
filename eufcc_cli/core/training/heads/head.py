"""Heads fitted to the features of a frozen backbone: convex, so that a good optimum is seconds away.

The features of the training images are standardised, x' = (x - mean) / deviation, and for every facet the
mean loss over its annotated images plus strength * ||W'||^2 is minimised, along a path of falling strengths
that each start from the solution before. The validation split chooses one. What comes out absorbs the
standardisation, W = W' / deviation and b = b' - W mean: an ordinary linear head.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eufcc_cli.core.errors import ModelError
from eufcc_cli.core.machine import free_memory
from eufcc_cli.core.model.features import FeatureTable
from eufcc_cli.core.model.methods import Method, Multilabel
from eufcc_cli.core.training.heads.head_scores import Part, measure_heads
from eufcc_cli.core.training.state.history_file import validation_columns

STRENGTHS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4)
"""The regularisation's grid, strongest first."""

_STEPS, _NEXT_STEPS = 25, 15  # of L-BFGS for the first strength, and for those that start near
_IN_MEMORY = 2 << 30  # bytes of float32 features up to which all of them are one batch
_AT_ONCE = 4e9  # features x samples x tags up to which a hundred steps on all of them take seconds
_BATCH = 4096  # images of a step of AdamW, for more than that
_FIRST, _NEXT = (128, 1.0), (48, 0.5)  # such steps, or that share of a pass over all images if it is more
_SHUFFLED = 16  # batches that are read together, in the order of the disk, and then mixed
_RATE = 3e-3


@dataclass
class FittedHeads:
    """The heads of all facets: weights [outputs, D] and biases [outputs] for features as they are."""

    heads: dict[str, tuple[Tensor, Tensor]]
    strength: float
    history: list[dict[str, Any]] = field(default_factory=list)
    """One row for each strength of the path: loss, and the figures of the validation split."""


def fit_heads(
    train: Part,
    validation: Part,
    methods: Mapping[str, Method],
    priors: Mapping[str, Tensor],
    *,
    strengths: tuple[float, ...] = STRENGTHS,
    seed: int = 0,
    in_memory: int = _IN_MEMORY,
    on_strength: Callable[[dict[str, Any]], None] | None = None,
) -> FittedHeads:
    """Fit one linear head for each facet, and choose the regularisation by validation R-Precision.

    Views of one image are training samples of one weight; in validation their log-scores are averaged.
    priors: the biases to start from. The same seed gives the same heads on the same machine: products as
    small as these are computed by one thread, which is faster than several that wait for each other.
    """
    scaling = _Scaling.of(train.features)
    facets = {
        facet: _Facet(method, train, facet, scaling, priors[facet], in_memory)
        for facet, method in methods.items()
        if train.targets[facet].teaching(method.learns_rejections).any()
    }
    best: FittedHeads | None = None
    best_figure, history = -1.0, []
    stream = _Stream({facet: part for facet, part in facets.items() if not part.whole}, train.features, seed)
    for number, strength in enumerate(strengths, start=1):
        losses = {facet: part.fit(strength) for facet, part in facets.items() if part.whole}
        losses |= stream.fit(strength)
        heads = {facet: part.head() for facet, part in facets.items()}
        figures = measure_heads(heads, validation, methods, with_loss=True)
        pairs = {facet: len(part.rows) for facet, part in facets.items()}
        row = {
            "epoch": number,
            "strength": strength,
            "loss": sum(losses[facet] * pairs[facet] for facet in facets) / sum(pairs.values()),
            **validation_columns(figures),
        }
        history.append(row)
        if on_strength is not None:
            on_strength(row)
        if row["r_precision"] > best_figure:  # of equals the strongest
            best_figure, best = row["r_precision"], FittedHeads(heads, strength)
    if best is None:
        raise ModelError("no strength of the regularisation gives finite scores")
    best.history = history
    return best


@dataclass(frozen=True)
class _Scaling:
    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, features: FeatureTable) -> "_Scaling":
        """Mean and deviation of every feature over all images and views; [D] float32 each."""
        _, views, width = features.shape
        total, squares = np.zeros(width), np.zeros(width)
        for rows in features.blocks(_BATCH):
            block = features.take(rows).reshape(-1, width).astype(np.float64)
            total += block.sum(0)
            squares += (block**2).sum(0)
        count = len(features) * views
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
        # A feature that hardly varies would be blown up to noise.
        floor = max(1e-3 * float(np.median(deviation)), 1e-30)
        return cls(mean.astype(np.float32), np.maximum(deviation, floor).astype(np.float32))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        out = features - self.mean
        out /= self.deviation
        return out


@contextmanager
def one_thread() -> Iterator[None]:
    """Small products by one thread: several wait for each other longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_Batch = tuple[Tensor, Tensor, Tensor | None]


class _Facet:
    """One facet's head on its way along the path of strengths."""

    def __init__(
        self, method: Method, train: Part, facet: str, scaling: _Scaling, prior: Tensor, in_memory: int
    ) -> None:
        self.method, self.scaling = method, scaling
        self.features, self.targets = train.features, train.targets[facet]
        self.rows = np.flatnonzero(self.targets.teaching(method.learns_rejections))
        _, self.views, width = self.features.shape
        self.weight = torch.zeros(method.outputs, width, requires_grad=True)
        self.bias = prior.detach().clone().float().requires_grad_(True)
        # The mean over n questions pushes a weight n times less than one question does.
        self.share = 1 / self.targets.size if isinstance(method, Multilabel) else 1.0
        size = len(self.rows) * self.views * width * 4
        products = len(self.rows) * self.views * width * method.outputs
        self.whole = size <= min(in_memory, free_memory() // 4) and products <= _AT_ONCE
        self.batch: _Batch | None = None

    def head(self) -> tuple[Tensor, Tensor]:
        """Weight and bias for features that are not standardised."""
        with torch.no_grad():
            weight = self.weight / torch.from_numpy(self.scaling.deviation)
            return weight, self.bias - weight @ torch.from_numpy(self.scaling.mean)

    def targets_of(self, rows: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """The true tags [rows x views, n] of some rows, and which tags are known, if not all."""
        known = self.targets.known(rows) if self.method.learns_rejections else None
        return (
            torch.from_numpy(self.targets.dense(rows)).repeat_interleave(self.views, 0),
            None if known is None else torch.from_numpy(known).repeat_interleave(self.views, 0),
        )

    def losses(self, logits: Tensor, truth: Tensor, known: Tensor | None) -> Tensor:
        """The loss of every sample."""
        return self.method.loss(logits, truth) if known is None else self.method.loss(logits, truth, known)

    def penalty(self, strength: float) -> Tensor:
        return strength * self.share * self.weight.square().sum()

    @one_thread()
    def fit(self, strength: float) -> float:
        """Move to the solution of a strength, from that of the one before; the mean loss there."""
        steps = _STEPS if self.batch is None else _NEXT_STEPS
        if self.batch is None:
            x = torch.from_numpy(self.scaling(self.features.take(self.rows))).flatten(0, 1)
            self.batch = (x, *self.targets_of(self.rows))
        x, truth, known = self.batch
        optimizer = torch.optim.LBFGS(
            [self.weight, self.bias],
            max_iter=steps,
            history_size=10,
            line_search_fn="strong_wolfe",
            tolerance_grad=1e-7,
            tolerance_change=1e-9,
        )
        last = 0.0

        def closure() -> Tensor:
            nonlocal last
            optimizer.zero_grad()
            loss = self.losses(x @ self.weight.T + self.bias, truth, known).mean()
            objective = loss + self.penalty(strength)
            objective.backward()
            last = float(loss.detach())
            return objective

        optimizer.step(closure)
        return last


class _Stream:
    """Facets whose features are too many for one batch: AdamW, each batch read once for all of them."""

    def __init__(self, facets: Mapping[str, _Facet], features: FeatureTable, seed: int) -> None:
        self.facets, self.features, self.seed = facets, features, seed
        learned = [tensor for part in facets.values() for tensor in (part.weight, part.bias)]
        self.optimizer = torch.optim.AdamW(learned, lr=_RATE, weight_decay=0.0) if learned else None
        self.teaching = {facet: np.zeros(len(features), bool) for facet in facets}
        for facet, part in facets.items():
            self.teaching[facet][part.rows] = True
        self.rows = np.flatnonzero(np.any([*self.teaching.values()], 0)) if facets else np.empty(0, np.int64)
        self.batches, self.duration = self._batches(), _FIRST

    def fit(self, strength: float) -> dict[str, float]:
        """As `_Facet.fit`, for all of them; the batches are a function of the seed."""
        if self.optimizer is None:
            return {}
        totals, seen = dict.fromkeys(self.facets, 0.0), dict.fromkeys(self.facets, 0)
        least, passes = self.duration
        steps = max(least, math.ceil(passes * len(self.rows) / _BATCH))
        for done in range(steps):
            for group in self.optimizer.param_groups:
                group["lr"] = _RATE * max(0.02, 1 - done / steps)
            for facet, (loss, count) in self._step(next(self.batches), strength).items():
                totals[facet] += loss * count
                seen[facet] += count
        self.duration = _NEXT
        return {facet: totals[facet] / max(seen[facet], 1) for facet in self.facets}

    def _step(self, rows: np.ndarray, strength: float) -> dict[str, tuple[float, int]]:
        """One step on some rows: each facet's loss, and how many rows it has there."""
        assert self.optimizer is not None
        self.optimizer.zero_grad()
        x = torch.from_numpy(self.features.take(rows))
        losses = {}
        for facet, part in self.facets.items():
            here = self.teaching[facet][rows]
            if not here.any():
                continue
            samples = (x if here.all() else x[torch.from_numpy(here)]).flatten(0, 1)
            # Standardised in the weights, which are few, instead of in the features.
            weight = part.weight / torch.from_numpy(part.scaling.deviation)
            bias = part.bias - weight @ torch.from_numpy(part.scaling.mean)
            logits = torch.addmm(bias, samples, weight.T)
            loss = part.losses(logits, *part.targets_of(rows[here])).mean()
            (loss + part.penalty(strength)).backward()
            losses[facet] = float(loss.detach()), int(here.sum())
        self.optimizer.step()
        return losses

    def _batches(self) -> Iterator[np.ndarray]:
        """Shuffled batches of rows that lie near each other on disk, a group at a time, pass after pass."""
        chunk = _BATCH // 8
        for epoch in itertools.count():
            random = np.random.default_rng([self.seed, epoch])
            starts = random.permutation(np.arange(0, len(self.rows), chunk))
            for i in range(0, len(starts), 8 * _SHUFFLED):
                group = [self.rows[start : start + chunk] for start in starts[i : i + 8 * _SHUFFLED]]
                rows = random.permutation(np.concatenate(group))
                yield from np.array_split(rows, -(-len(rows) // _BATCH))
