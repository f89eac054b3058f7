"""Where a model fails: by tag, provider, depth, and frequency of the tag in training."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from eufcc_cli.core.evaluation.results import FacetResult, Result
from eufcc_cli.core.metrics.ranking import mean

# Many-, medium- and few-shot tags, as in Liu et al. (2019), Large-Scale Long-Tailed Recognition.
_HEAD, _TAIL = 100, 20
BANDS = {
    "head": f"more than {_HEAD} images",
    "middle": f"{_TAIL} to {_HEAD} images",
    "tail": f"fewer than {_TAIL} images",
}

Row = dict[str, Any]


def per_tag(result: Result, counts: Mapping[str, np.ndarray]) -> Iterator[Row]:
    """One row per tag: support, average precision, R-Precision share, mean rank, most frequent confusion.

    The share is how often the tag is among the R best where it is true. The confusion is the wrong tag
    that most often stands among the R best where this one is true and does not. `counts` [n] are the images
    of each tag by which it belongs to head, middle or tail. Needs a result with `details`.
    """
    for name, facet in result.facets.items():
        support, share, rank = _by_tag(facet)
        confused = _confusions(facet)
        assert facet.average_precision is not None or not len(facet.rows), "measured without details"
        for tag, word in enumerate(facet.tags.tags):
            wrong, times = confused[tag].most_common(1)[0] if confused.get(tag) else (None, 0)
            precision = facet.average_precision[tag] if facet.average_precision is not None else math.nan
            yield {
                "model": result.model,
                "split": result.split.name,
                "facet": name,
                "tag": word,
                "path": " | ".join(facet.tags.path(tag)),
                "depth": int(facet.tags.depths[tag]),
                "band": band(int(counts[name][tag])),
                "support": int(support[tag]),
                "average_precision": float(precision),
                "r_precision": float(share[tag]),
                "avg_rp": float(rank[tag]),
                "confused_with": "" if wrong is None else facet.tags.tags[wrong],
                "confusions": times,
            }


def _by_tag(facet: FacetResult) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Support, mean presence among the R best, and mean rank of every tag; NaN without support."""
    n = len(facet.tags)
    support = np.bincount(facet.true_tag, minlength=n)
    with np.errstate(invalid="ignore"):
        share = np.bincount(facet.true_tag, weights=facet.found, minlength=n) / support
        rank = np.bincount(facet.true_tag, weights=facet.rank, minlength=n) / support
    return support, share, rank


def _confusions(facet: FacetResult) -> dict[int, Counter[int]]:
    """For every tag, the wrong tags among the R best of the images where it is true and is not."""
    confused: dict[int, Counter[int]] = {}
    if facet.best is None:
        return confused
    starts = np.flatnonzero(np.diff(facet.true_pair, prepend=-1))
    for pair, true in enumerate(np.split(facet.true_tag, starts[1:])):
        chosen = facet.best[pair, : len(true)].tolist()
        wrong = [tag for tag in chosen if tag not in true]
        if wrong:
            for missed in set(true.tolist()).difference(chosen):
                confused.setdefault(missed, Counter()).update(wrong)
    return confused


def per_provider(result: Result) -> Iterator[Row]:
    """One row per provider: its images and pairs, and the metrics over its pairs; most pairs first."""
    pairs = np.concatenate([facet.rows for facet in result.facets.values()])
    providers = result.split.providers[pairs]
    names, number = np.unique(providers, return_inverse=True)
    sizes = np.bincount(number, minlength=len(names))
    for provider in np.argsort(-sizes, kind="stable"):
        inside = number == provider
        yield {
            "model": result.model,
            "split": result.split.name,
            "provider": str(names[provider]),
            "images": len(np.unique(pairs[inside])),
            "pairs": int(sizes[provider]),
            **{metric: mean([values[inside]]) for metric, values in _over_pairs(result).items()},
        }


def _over_pairs(result: Result) -> dict[str, np.ndarray]:
    facets = list(result.facets.values())
    return {metric: np.concatenate([f.values[metric] for f in facets]) for metric in facets[0].values}


def groups(result: Result, counts: Mapping[str, np.ndarray], counted_in: str) -> Iterator[Row]:
    """Tags by depth, then by frequency: one row per group, over the tags that some image has.

    Rows hold the number of such tags, their support (true tags in all images), the share found among the R
    best, the mean rank, and the mean of their average precisions where the result has `details`.
    """
    facets = result.facets
    depths = {name: facet.tags.depths for name, facet in facets.items()}
    deepest = max(int(values.max(initial=0)) for values in depths.values())
    for depth in range(1, deepest + 1):
        yield _group(result, f"depth {depth}", {name: values == depth for name, values in depths.items()})
    for name, meaning in BANDS.items():
        chosen = {f: np.array([band(int(count)) == name for count in counts[f]], dtype=bool) for f in facets}
        yield _group(result, f"{name}: {meaning} in {counted_in}", chosen)


def _group(result: Result, name: str, chosen: Mapping[str, np.ndarray]) -> Row:
    found, ranks, precisions, tags = [], [], [], 0
    for facet, result_ in result.facets.items():
        inside = chosen[facet][result_.true_tag]
        found.append(result_.found[inside])
        ranks.append(result_.rank[inside])
        supported = chosen[facet] & (np.bincount(result_.true_tag, minlength=len(result_.tags)) > 0)
        tags += int(supported.sum())
        if result_.average_precision is not None:
            precisions.append(result_.average_precision[supported])
    return {
        "model": result.model,
        "split": result.split.name,
        "group": name,
        "tags": tags,
        "support": sum(map(len, found)),
        "r_precision": mean(found),
        "avg_rp": mean(ranks),
        **({"map": mean(precisions)} if precisions else {}),
    }


def band(images: int) -> str:
    """head, middle or tail, by the number of images that have the tag.

    >>> band(101), band(100), band(20), band(19)
    ('head', 'middle', 'middle', 'tail')
    """
    return "head" if images > _HEAD else "middle" if images >= _TAIL else "tail"
