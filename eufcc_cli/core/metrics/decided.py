"""How good decided tags and probabilities are: average precision, F1, hierarchical F1, calibration.

Beside the rankings of `metrics`, these look at the tags whose probability reaches a threshold, and at the
probabilities themselves. Counts of batches add up, so that a facet of any size passes through in parts.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

BINS = 15  # of the reliability diagram, as in Guo et al. (2017)

Probabilities = Callable[[np.ndarray], np.ndarray]
"""Log-scores [B, n] -> log-probabilities [B, n]."""


def average_precisions(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Average precision of each tag over the images: [N, n] floating and bool -> float64 [n].

    The mean, over the images that have the tag, of the precision among all that score at least as high;
    equal scores are one threshold, as in scikit-learn. NaN for a tag that no image has.

    >>> average_precisions(np.array([[0.9], [0.8], [0.7]]), np.array([[True], [False], [True]])).round(3)
    array([0.833])
    """
    return np.array([_average_precision(scores[:, tag], truth[:, tag]) for tag in range(truth.shape[1])])


def micro_average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    """Average precision over all (image, tag) decisions together; NaN if nothing is true."""
    return _average_precision(scores.ravel(), truth.ravel())


def _average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    true = np.sort(scores[truth])
    if not len(true):
        return math.nan
    at_least = len(scores) - np.searchsorted(np.sort(scores), true, "left")
    true_at_least = len(true) - np.searchsorted(true, true, "left")
    return math.fsum((true_at_least / at_least).tolist()) / len(true)


@dataclass
class Decisions:
    """Counts of one facet's decisions; those of several batches add up with `+`.

    `correct`, `decided`, `true` int64 [n] count images per tag; `closed_*` count tags after both sides are
    closed under ancestors; `deepest` adds, over the images, the depth of the deepest correct tag (0 for
    none); `incoherent` and `coherent` count the tags below the top that score above an ancestor, and the
    others; `bin_*` [15] count decisions by their probability.
    """

    images: Tensor
    correct: Tensor
    decided: Tensor
    true: Tensor
    closed_correct: Tensor
    closed_decided: Tensor
    closed_true: Tensor
    deepest: Tensor
    incoherent: Tensor
    coherent: Tensor
    bin_size: Tensor
    bin_true: Tensor
    bin_probability: Tensor

    def __add__(self, other: "Decisions") -> "Decisions":
        return Decisions(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def metrics(self) -> dict[str, float]:
        """The figures; NaN where nothing was decided or true.

        `f1_micro` counts all (image, tag) decisions alike, `f1_macro` is the mean over the tags that some
        image has; `h_precision`, `h_recall`, `h_f1` are those of Kiritchenko et al. (2006), over all images
        together; `deepest` is the mean depth; `incoherent` the share of tags below the top that score above
        an ancestor; `ece` the expected calibration error of the decisions.
        """
        supported = self.true > 0
        per_tag = 2 * self.correct / (self.decided + self.true).clamp(min=1).double()
        precision = _ratio(self.closed_correct, self.closed_decided)
        recall = _ratio(self.closed_correct, self.closed_true)
        filled = self.bin_size > 0
        gaps = (self.bin_probability - self.bin_true.double())[filled].abs()
        return {
            "f1_micro": _ratio(2 * self.correct.sum(), (self.decided + self.true).sum()),
            "f1_macro": float(per_tag[supported].mean()),
            "h_precision": precision,
            "h_recall": recall,
            "h_f1": _ratio(2 * self.closed_correct, self.closed_decided + self.closed_true),
            "deepest": _ratio(self.deepest, self.images),
            "incoherent": _ratio(self.incoherent, self.incoherent + self.coherent),
            "ece": _ratio(gaps.sum(), self.bin_size.sum()),
        }


def _ratio(part: Tensor, whole: Tensor) -> float:
    return float(part) / float(whole) if whole else math.nan


def decisions(
    log_scores: Tensor,
    truth: Tensor,
    ancestors: np.ndarray,
    threshold: float,
    probabilities: Probabilities | None = None,
) -> Decisions:
    """Count one batch: `log_scores` [B, n] are log-probabilities, `truth` [B, n] bool.

    A tag is decided where its probability is at least `threshold`. `ancestors` [n, depth] is that of
    `FacetVocabulary`: row t holds t, its parent, its grandparent, …, padded with -1. `probabilities` makes
    log-probabilities of scores that are none; only coherence is then counted on the scores themselves.
    """
    chains = torch.as_tensor(ancestors, device=log_scores.device)
    depths = (chains >= 0).sum(1)
    likely = log_scores if probabilities is None else torch.from_numpy(probabilities(log_scores.numpy()))
    decided = likely >= math.log(threshold)
    closed_decided, closed_true = _closed(decided, chains, depths), _closed(truth, chains, depths)
    correct = decided & truth

    above = torch.zeros_like(decided)
    for level in range(1, chains.shape[1]):
        below = (chains[:, level] >= 0).nonzero()[:, 0]
        above[:, below] |= log_scores[:, below] > log_scores[:, chains[below, level]]
    below_top = len(log_scores) * (depths > 1).sum()
    incoherent = above.sum()

    probability = likely.double().exp().clamp(max=1).flatten()
    edges = torch.linspace(0, 1, BINS + 1, device=log_scores.device, dtype=torch.float64)
    bins = (torch.bucketize(probability, edges) - 1).clamp(min=0)
    return Decisions(
        images=torch.tensor(len(log_scores)),
        correct=correct.sum(0),
        decided=decided.sum(0),
        true=truth.sum(0),
        closed_correct=(closed_decided & closed_true).sum(),
        closed_decided=closed_decided.sum(),
        closed_true=closed_true.sum(),
        deepest=(correct * depths).amax(1).sum() if log_scores.numel() else torch.tensor(0),
        incoherent=incoherent,
        coherent=below_top - incoherent,
        bin_size=torch.bincount(bins, minlength=BINS),
        bin_true=torch.bincount(bins[truth.flatten()], minlength=BINS),
        bin_probability=torch.bincount(bins, weights=probability, minlength=BINS),
    )


def _closed(tags: Tensor, chains: Tensor, depths: Tensor) -> Tensor:
    """Adds the ancestors of every tag: [B, n] bool, level by level from the deepest."""
    below = tags.int()  # how many tags at or below each one
    for depth in range(chains.shape[1], 1, -1):
        level = (depths == depth).nonzero()[:, 0]
        below.index_add_(1, chains[level, 1], below[:, level])
    return below > 0


def decisions_in_parts(
    log_scores: Tensor,
    truth: Tensor,
    ancestors: np.ndarray,
    threshold: float,
    probabilities: Probabilities | None = None,
    rows: int = 2048,
) -> Decisions:
    """`decisions` of a whole split, in parts that bound the memory it takes."""
    return total(
        decisions(log_scores[i : i + rows], truth[i : i + rows], ancestors, threshold, probabilities)
        for i in range(0, max(1, len(log_scores)), rows)
    )


def total(parts: Iterable[Decisions]) -> Decisions:
    """The sum of several batches' counts."""
    first, *others = parts
    for other in others:
        first = first + other
    return first
