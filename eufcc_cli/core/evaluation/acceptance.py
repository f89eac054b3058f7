"""How often people accepted what a model suggested: whether its probabilities can be trusted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eufcc_cli.core.taxonomy.decisions import ACCEPTED, ADDED, Decision
from eufcc_cli.core.taxonomy.tables.annotations import FACETS

BINS = tuple(i / 10 for i in range(11))
"""The edges of the probability bins; the last one includes 1."""
_Z = 1.959963984540054  # the normal distribution's 97.5 % quantile


@dataclass(frozen=True)
class Bin:
    """The decided suggestions whose probability lies in [low, high)."""

    low: float
    high: float
    decided: int
    accepted: int
    mean: float
    """Their mean probability."""

    @property
    def rate(self) -> float:
        return self.accepted / self.decided

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the true rate (Wilson 1927)."""
        n, p, z2 = self.decided, self.rate, _Z**2
        centre = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = _Z / (1 + z2 / n) * float(np.sqrt(p * (1 - p) / n + z2 / (4 * n * n)))
        return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class Acceptance:
    """The decisions about one model's suggestions, in one facet or (`facet` None) in all."""

    model: str
    digest: str | None
    facet: str | None
    decided: int
    accepted: int
    added: int
    """Tags that people added although no model suggested them for the image."""
    mean: float
    """The mean probability of the decided suggestions."""
    bins: tuple[Bin, ...]
    """The bins that are not empty."""

    @property
    def rate(self) -> float:
        return self.accepted / self.decided if self.decided else float("nan")

    @property
    def calibration_error(self) -> float:
        """The mean distance between probability and acceptance over the bins (expected calibration error)."""
        gaps = sum(part.decided * abs(part.rate - part.mean) for part in self.bins)
        return gaps / self.decided if self.decided else float("nan")


def acceptance(decisions: Iterable[Decision]) -> list[Acceptance]:
    """For each model, its acceptance over all facets, then in each: models in the order of their decisions.

    Models are distinguished by their digest. An added tag counts for the model that made the image's
    suggestions.
    """
    by_model: dict[tuple[str, str | None], list[Decision]] = {}
    for decision in decisions:
        by_model.setdefault((decision.model or "", decision.digest), []).append(decision)
    found = []
    for (model, digest), own in by_model.items():
        facets = sorted({one.facet for one in own}, key=lambda f: (FACETS.index(f) if f in FACETS else 9, f))
        for facet in (None, *facets):
            some = [one for one in own if facet in (None, one.facet)]
            found.append(_measured(model, digest, facet, some))
    return found


def _measured(model: str, digest: str | None, facet: str | None, decisions: Sequence[Decision]) -> Acceptance:
    scored = [one for one in decisions if one.score is not None and one.verdict != ADDED]
    scores = np.array([one.score for one in scored], dtype=np.float64)
    accepted = np.array([one.verdict == ACCEPTED for one in scored], dtype=bool)
    number = np.minimum(np.searchsorted(BINS, scores, side="right") - 1, len(BINS) - 2)
    bins = [
        Bin(
            BINS[i], BINS[i + 1], int(chosen.sum()), int(accepted[chosen].sum()), float(scores[chosen].mean())
        )
        for i in range(len(BINS) - 1)
        if (chosen := number == i).any()
    ]
    return Acceptance(
        model,
        digest,
        facet,
        len(scored),
        int(accepted.sum()),
        sum(one.verdict == ADDED for one in decisions),
        float(scores.mean()) if len(scores) else float("nan"),
        tuple(bins),
    )


def to_json(found: Sequence[Acceptance]) -> dict[str, Any]:
    """`{"decisions": [{"model", "digest", "facet", "decided", "accepted", "rate", …, "bins": […]}]}`."""
    return {
        "decisions": [
            {
                "model": one.model,
                "digest": one.digest,
                "facet": one.facet,
                "decided": one.decided,
                "accepted": one.accepted,
                "added": one.added,
                "rate": one.rate if one.decided else None,
                "mean_probability": one.mean if one.decided else None,
                "ece": one.calibration_error if one.decided else None,
                "bins": [{**vars(part), "rate": part.rate, "interval": part.interval} for part in one.bins],
            }
            for one in found
        ]
    }
