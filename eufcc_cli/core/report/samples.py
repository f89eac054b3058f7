"""Sample images with a model's suggestions: the worst, the best, and random ones."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import exp

import numpy as np

from eufcc_cli.core.evaluation.results import FacetResult, Result
from eufcc_cli.core.taxonomy.vocabulary import FacetVocabulary

CORRECT, CONSISTENT, WRONG = "correct", "consistent", "wrong"
Shown = Callable[[str, str], str]
"""The name of a tag, by facet and tag."""
_FEWEST = 5  # predictions shown per facet; more where an image has more true tags


@dataclass(frozen=True)
class Suggested:
    """One predicted tag: `verdict` is correct, consistent (near a true tag in the tree) or wrong.

    `name` and `path` are to be shown.
    """

    tag: str
    name: str
    path: str
    probability: float
    verdict: str


@dataclass(frozen=True)
class SampleFacet:
    """The true tags of an image in a facet, and the predicted ones, best first."""

    facet: str
    true: list[str]
    predicted: list[Suggested]


@dataclass(frozen=True)
class Sample:
    """An image with its facets; `r_precision` is the mean over them."""

    image_id: str
    provider: str
    r_precision: float
    facets: list[SampleFacet]


def verdict(tag: int, true: set[int], tags: FacetVocabulary) -> str:
    """Whether a tag is true, an ancestor, descendant or sibling of a true tag, or wrong.

    Tags at the top level do not count as siblings.

    >>> tags = FacetVocabulary(("metal", "bronze", "silver", "wood"), (-1, 0, 0, -1))
    >>> [verdict(tag, {1}, tags) for tag in range(4)]
    ['consistent', 'correct', 'consistent', 'wrong']
    """
    if tag in true:
        return CORRECT
    for other in true:
        above, below = tags.ancestors[other], tags.ancestors[tag]
        parent = tags.parents[tag]
        if tag in above or other in below or (parent >= 0 and parent == tags.parents[other]):
            return CONSISTENT
    return WRONG


def _by_tag(facet: str, tag: str) -> str:
    return tag


def choose(result: Result, each: int = 6, seed: int = 0, shown: Shown = _by_tag) -> dict[str, list[Sample]]:
    """Samples under `worst`, `best` and `random`, no image twice. Needs a result with `details`.

    Images are ordered by mean R-Precision over the facets, then by the mean rank of their true tags.
    """
    rows = np.concatenate([facet.rows for facet in result.facets.values()])
    found = np.concatenate([facet.values["r_precision"] for facet in result.facets.values()])
    ranks = np.concatenate([facet.values["avg_rp"] for facet in result.facets.values()])
    images, number, pairs = np.unique(rows, return_inverse=True, return_counts=True)
    precision = np.bincount(number, weights=found) / pairs
    rank = np.bincount(number, weights=ranks) / pairs
    each = min(each, -(-len(images) // 3))
    order = np.lexsort((images, -rank, precision)).tolist()
    worst = order[:each]
    best = [i for i in np.lexsort((images, -rank, -precision)).tolist() if i not in worst][:each]
    others = [i for i in range(len(images)) if i not in worst and i not in best]
    drawn = random.Random(seed).sample(others, min(each, len(others)))
    chosen = {"worst": worst, "best": best, "random": drawn}
    return {
        name: [_sample(result, int(images[i]), float(precision[i]), shown) for i in some]
        for name, some in chosen.items()
        if some
    }


def _sample(result: Result, row: int, precision: float, shown: Shown) -> Sample:
    split = result.split
    facets = list(_sample_facets(result, row, shown))
    return Sample(split.ids[row], str(split.providers[row]), precision, facets)


def _sample_facets(result: Result, row: int, shown: Shown) -> Iterator[SampleFacet]:
    for name, facet in result.facets.items():
        pair = int(np.searchsorted(facet.rows, row))
        if pair < len(facet.rows) and facet.rows[pair] == row:
            true = facet.true_tag[facet.true_pair == pair].tolist()
            called = partial(shown, name)
            yield SampleFacet(
                name,
                [called(facet.tags.tags[tag]) for tag in true],
                list(_predicted(facet, pair, true, called)),
            )


def _predicted(
    facet: FacetResult, pair: int, true: list[int], called: Callable[[str], str]
) -> Iterator[Suggested]:
    assert facet.best is not None and facet.best_scores is not None, "measured without details"
    known, count = set(true), max(_FEWEST, len(true))
    best = zip(facet.best[pair, :count].tolist(), facet.best_scores[pair, :count].tolist(), strict=True)
    # Probabilities are coherent along the tree, scores are not: the order may differ from the ranking.
    for number, score in sorted(best, key=lambda found: -found[1]):
        tag, path = facet.tags.tags[number], " › ".join(map(called, facet.tags.path(number)))
        yield Suggested(tag, called(tag), path, exp(score), verdict(number, known, facet.tags))
