"""Which annotations are probably wrong or missing: confident learning, tag by tag."""

from dataclasses import dataclass

import numpy as np

FEWEST = 5
"""A tag that is annotated on fewer images is left out: its thresholds would mean little."""


@dataclass(frozen=True)
class DoubtfulTags:
    """(row, tag) pairs whose annotation is doubtful.

    rows, tags: [M] int64; missing: [M] bool, True where the tag is not annotated and probably true, False
    where it is annotated and probably wrong; doubt: [M], how improbable the annotation is, from 0 to 1.
    """

    rows: np.ndarray
    tags: np.ndarray
    missing: np.ndarray
    doubt: np.ndarray
    left_out: int
    """Tags that are annotated on fewer than FEWEST images, but on some."""


def doubtful_tags(probabilities: np.ndarray, truth: np.ndarray) -> DoubtfulTags:
    """Confident learning (Northcutt, Jiang and Chuang, JAIR 2021) on each tag against the rest.

    For several labels an image: Thyagarajan et al. 2022 (arXiv 2211.13895). probabilities [N, n] of images
    that the scoring model has not learned from; truth bool [N, n] as annotated. For tag t, the
    threshold of "yes" is the mean of p_t over the images annotated with t, that of "no" the mean of 1 - p_t
    over the others. An annotation is doubtful where the opposite answer reaches its threshold and is the
    more probable one.
    """
    size = truth.shape[1]
    yes, no = truth, ~truth
    counts, others = yes.sum(0), no.sum(0)
    p = probabilities.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        yes_threshold = (p * yes).sum(0) / counts
        no_threshold = ((1 - p) * no).sum(0) / others
    usable = (counts >= FEWEST) & (others >= 1)
    wrong = yes & usable & (1 - p >= no_threshold) & (p < 0.5)
    missing = no & usable & (p >= yes_threshold) & (p > 0.5)
    rows, tags = np.nonzero(wrong | missing)
    absent = missing[rows, tags]
    doubt = np.where(absent, p[rows, tags], 1 - p[rows, tags])
    left_out = int(np.count_nonzero((counts > 0) & ~usable)) if size else 0
    return DoubtfulTags(rows.astype(np.int64), tags.astype(np.int64), absent, doubt, left_out)
