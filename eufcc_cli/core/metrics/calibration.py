"""Calibration of scores: probabilities by Platt's scaling, coverage by conformal risk control.

Both are fitted on validation images, facet by facet, after the scores have been made coherent, and are
stored with the model. What they promise holds for images like the validation images.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from eufcc_cli.core.errors import ModelError

if TYPE_CHECKING:
    from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary, Vocabulary

ALPHAS = (0.05, 0.1, 0.2, 0.3)
"""The risks whose thresholds are stored exactly: coverage 95, 90, 80 and 70 %."""

_POINTS = 256  # of the risk curve, for other risks
_BINS = 4096  # of logits: the fit then costs the same for any number of images
_LOGITS = (-40.0, 15.0)
_SLOPES = (0.05, 20.0)
_FEW = 10  # one in so many scores
_ROWS = 256  # of a table of scores that are made coherent at once


class Coherence:
    """Raises every tag of a facet to the largest score among itself and its descendants.

    No tag then scores above its ancestors (Giunchiglia and Lukasiewicz 2020).

    >>> from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary
    >>> coherent = Coherence(FacetVocabulary(("metal", "bronze", "wood"), (-1, 0, -1)))
    >>> coherent(np.array([-2.0, -1.0, -3.0]))
    array([-1., -1., -3.])
    """

    def __init__(self, vocabulary: "FacetVocabulary") -> None:
        # Where every tag stands right before its descendants, those are a range, whose maximum is one call.
        lineages = [[i for i in line if i >= 0] for line in vocabulary.ancestors[:, ::-1].tolist()]
        self._order = np.array(sorted(range(len(vocabulary)), key=lineages.__getitem__), dtype=np.int64)
        sizes = np.bincount(vocabulary.ancestors.ravel() + 1, minlength=len(vocabulary) + 1)[1:]
        starts = np.flatnonzero(sizes[self._order] > 1)
        self._parents = self._order[starts]
        self._ranges = np.stack([starts, starts + sizes[self._parents]], axis=1).ravel()
        self._order = np.append(self._order, 0)  # no range may begin behind the end
        # Each tag and those above it; the tag itself stands where there is none.
        self._lines = np.where(vocabulary.ancestors < 0, vocabulary.ancestors[:, :1], vocabulary.ancestors)

    def __call__(self, log_scores: np.ndarray) -> np.ndarray:
        """[n] or [B, n] -> the same shape, a new array."""
        if log_scores.ndim > 1 and len(log_scores) > _ROWS:  # large tables are copied only once
            coherent = np.empty_like(log_scores)
            for start in range(0, len(log_scores), _ROWS):
                coherent[start : start + _ROWS] = self(log_scores[start : start + _ROWS])
            return coherent
        coherent = log_scores.copy()
        if len(self._parents):
            ordered = log_scores.take(self._order, axis=-1)
            largest = np.maximum.reduceat(ordered, self._ranges, axis=-1)[..., ::2]
            coherent[..., self._parents] = largest
        return coherent

    def likely(self, log_scores: np.ndarray, floor: float) -> np.ndarray:
        """[B, n] -> what `__call__` gives, as far as that is at least `floor`; the rest is somewhere below.

        Where few scores are that large, raising the tags above them is a tenth of the work.
        """
        places = np.flatnonzero(log_scores >= floor)
        if len(places) * _FEW > log_scores.size:
            return self(log_scores)
        coherent = np.ascontiguousarray(log_scores).copy()
        flat, tags = coherent.reshape(-1), places % log_scores.shape[1]
        lines = self._lines[tags]
        above = lines + (places - tags)[:, None]
        np.maximum.at(flat, above.ravel(), np.repeat(flat[places], lines.shape[1]))
        return coherent


@dataclass(frozen=True)
class FacetCalibration:
    """What the validation images say about a facet's coherent log-scores s.

    images: validation images with annotations in this facet; probability of a tag:
    sigmoid(logit(exp s) / temperature + bias); thresholds: for a risk alpha, the s from which tags are
    suggested; curve: [K, 2], s and the risk of suggesting from there, for all other alphas.
    """

    images: int
    temperature: float
    bias: float
    thresholds: dict[float, float]
    curve: np.ndarray

    def probabilities(self, log_scores: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float64, of coherent log-scores (any shape)."""
        return _sigmoid(_logit(log_scores) / self.temperature + self.bias)

    def log_score(self, probability: float) -> float:
        """The coherent log-score that has this probability: the inverse of `probabilities`."""
        if not 0 < probability < 1:
            return -np.inf if probability <= 0 else np.inf
        logit = (np.log(probability) - np.log1p(-probability) - self.bias) * self.temperature
        return float(-np.logaddexp(0, -logit))

    def threshold(self, coverage: float) -> float:
        """The log-score from which tags are suggested to cover this share of the true tags on average.

        -inf where only all tags keep the promise: too few validation images for so high a coverage.
        """
        alpha = round(1 - coverage, 9)
        if alpha in self.thresholds:
            return self.thresholds[alpha]
        return _largest(self.curve, self.images, alpha)

    def to_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "temperature": self.temperature,
            "bias": self.bias,
            # JSON has no -inf: null stands for it.
            "thresholds": {str(a): t if np.isfinite(t) else None for a, t in self.thresholds.items()},
            "curve": self.curve.tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "FacetCalibration":
        calibration = cls(
            images=int(content["images"]),
            temperature=float(content["temperature"]),
            bias=float(content["bias"]),
            thresholds={
                float(a): -np.inf if t is None else float(t) for a, t in content["thresholds"].items()
            },
            curve=np.array(content["curve"], dtype=np.float64).reshape(-1, 2),
        )
        if not (0 < calibration.temperature < np.inf and np.isfinite(calibration.bias)):
            raise ValueError("temperature and bias have to be finite, the temperature above 0")
        return calibration


@dataclass(frozen=True)
class Calibration:
    """The calibration of every facet, kept in a model's config.json."""

    facets: dict[str, FacetCalibration]
    precision: str | None = None
    """The arithmetic of the scores that it was fitted on: fp32, bf16 or fp16."""

    def to_json(self) -> dict[str, Any]:
        facets = {facet: calibration.to_json() for facet, calibration in self.facets.items()}
        return {"precision": self.precision, "facets": facets}

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Calibration | None":
        """That in a model's configuration, None where it has none; raises as `from_json`."""
        content = config.get("calibration")
        return None if content is None else cls.from_json(content)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Calibration":
        """Raises ModelError for impossible values in a model file."""
        try:
            facets = content.get("facets", content)  # as version 0.1 wrote it
            precision = content.get("precision") if facets is not content else None
            read = {facet: FacetCalibration.from_json(values) for facet, values in facets.items()}
            return cls(read, precision)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            hint = "repeat it: `eufcc evaluate --calibrate RUN`"
            raise ModelError(f"its calibration: {type(error).__name__}: {error}", hint) from error


def log_probabilities(
    log_scores: np.ndarray, tags: "FacetVocabulary", calibration: FacetCalibration | None
) -> np.ndarray:
    """Logarithms [N, n] of the probabilities that `tag` shows: coherent, calibrated where that is known."""
    coherent = Coherence(tags)(log_scores)
    if calibration is None:
        return coherent
    with np.errstate(divide="ignore"):
        return np.log(calibration.probabilities(coherent))


def fit_calibration(
    log_scores: Mapping[str, np.ndarray],
    truth: Mapping[str, np.ndarray],
    vocabulary: "Vocabulary",
    precision: str | None = None,
) -> Calibration:
    """Fit both parts on validation images, on scores of this precision.

    log_scores: per facet, float [m, n], as the method gives them (not yet coherent); truth: per facet,
    bool [m, n]. Images without a true tag in a facet say nothing about it and may be among the m.
    """
    return Calibration(
        {
            facet: _fit_facet(log_scores[facet], truth[facet], vocabulary.facets[facet])
            for facet in vocabulary.facets
        },
        precision,
    )


def _fit_facet(log_scores: np.ndarray, truth: np.ndarray, vocabulary: "FacetVocabulary") -> FacetCalibration:
    annotated = truth.any(axis=1)
    truth = truth[annotated]
    scores = Coherence(vocabulary)(log_scores[annotated])
    if np.isnan(scores).any():
        raise ModelError("validation scores are NaN", hint="train again with a lower `lr`")
    images = len(truth)
    temperature, bias = _fit_platt(scores, truth) if images else (1.0, 0.0)
    curve = _risk_curve(scores, truth)
    thresholds = {alpha: _largest(curve, images, alpha) for alpha in ALPHAS}
    # Points of the curve that are left out only make a threshold lower, the promise stays.
    kept = np.searchsorted(curve[:, 1], np.linspace(0, 1, _POINTS), side="right") - 1
    if images:
        curve = curve[np.unique(kept)]
    return FacetCalibration(images, temperature, bias, thresholds, curve)


def _risk_curve(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[K, 2]: every score of a true tag, ascending, and the mean share of true tags that score below it."""
    rows, tags = np.nonzero(truth)
    shares = 1.0 / (truth.sum(axis=1)[rows] * max(len(truth), 1))
    true_scores = np.maximum(scores[rows, tags].astype(np.float64), -1e30)  # JSON has no -inf
    levels, level = np.unique(true_scores, return_inverse=True)
    lost = np.cumsum(np.bincount(level, weights=shares, minlength=len(levels)))
    return np.column_stack([levels, np.concatenate([[0.0], lost[:-1]]) if len(levels) else lost])


def _largest(curve: np.ndarray, images: int, alpha: float) -> float:
    """The largest lambda with (m L(lambda) + 1) / (m + 1) <= alpha (Angelopoulos et al. 2022)."""
    bound = (images * curve[:, 1] + 1) / (images + 1)
    allowed = int(np.searchsorted(bound, alpha + 1e-12, side="right"))
    return float(curve[allowed - 1, 0]) if allowed else -np.inf


def _fit_platt(scores: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Temperature and bias that make the true tags most likely (Platt 1999, with his softened targets)."""
    from scipy.optimize import minimize

    low, high = _LOGITS
    bins = ((_logit(scores) - low) * ((_BINS - 1) / (high - low))).astype(np.int64).ravel()
    all_of_bin = np.bincount(bins, minlength=_BINS)
    true_of_bin = np.bincount(bins, weights=truth.ravel(), minlength=_BINS)
    filled = np.flatnonzero(all_of_bin)
    x = low + (filled + 0.5) * ((high - low) / (_BINS - 1))
    count, true = all_of_bin[filled], true_of_bin[filled]
    positives, negatives = true.sum(), (count - true).sum()
    target = true * (positives + 1) / (positives + 2) + (count - true) / (negatives + 2)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        z = parameters[0] * x + parameters[1]
        error = count * _sigmoid(z) - target
        value = (count * np.logaddexp(0, z) - target * z).sum()
        return value / count.sum(), np.array([(error * x).sum(), error.sum()]) / count.sum()

    slope, bias = minimize(loss, [1.0, 0.0], jac=True, bounds=[_SLOPES, (-50, 50)], tol=1e-10).x
    return float(1 / slope), float(bias)


def _logit(log_scores: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities -> logits, clipped to the resolution of a float32 score."""
    log_scores = np.minimum(np.asarray(log_scores, dtype=np.float64), -1e-9)
    return np.clip(log_scores - np.log(-np.expm1(log_scores)), *_LOGITS)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * z))
