"""Runs that differ only by their seed, as one row of the table: mean and standard deviation."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eufcc_cli.core.evaluation.results import MACRO, OVERALL, FacetResult, Figure, Result
from eufcc_cli.core.evaluation.scores.ensembles import Ensemble
from eufcc_cli.core.evaluation.scores.eval_split import Source
from eufcc_cli.core.evaluation.scores.scoring import ModelScorer
from eufcc_cli.core.metrics.belief import Right

_MACHINE = ("seed", "device", "threads", "workers", "cache", "save_every", "features_limit")
"""Settings of a training that may differ between runs of one group."""


@dataclass(frozen=True)
class SeedGroup:
    """Two runs or more of the same settings, data and tags; or ensembles of such."""

    name: str
    members: tuple[str, ...]
    seeds: tuple[int, ...]

    def mean(self, results: Sequence[Result]) -> Result | None:
        """The members' results on one split as one: each pair's values are their mean.

        So are then all means over pairs, their intervals and differences. None where the members did not
        score the same images.
        """
        first = results[0]
        if any(not _same_pairs(first, other) for other in results[1:]):
            return None
        facets = {facet: _mean([result.facets[facet] for result in results]) for facet in first.facets}
        return replace(
            first, model=self.name, facets=facets, deviations=_deviations(results), seeds=self.seeds
        )


def seed_groups(sources: Iterable[Source]) -> list[SeedGroup]:
    """The groups among sources, in the order of their first members; single runs are in none."""
    alike: dict[str, dict[int, str]] = {}
    for source in sources:
        if (known := _settings_of(source)) is not None:
            settings, seed = known
            alike.setdefault(settings, {}).setdefault(seed, source.name)
    return [
        SeedGroup(_name(members), tuple(members.values()), tuple(members))
        for members in alike.values()
        if len(members) > 1
    ]


def _settings_of(source: Source) -> tuple[str, int] | None:
    """As `_settings`; those of an ensemble are its members', where all have the same seed."""
    if isinstance(source, ModelScorer):
        return _settings(source.model.config)
    if not isinstance(source, Ensemble):
        return None
    known = [_settings_of(member) for member in source.members]
    found = [one for one in known if one is not None]
    seeds = {seed for _, seed in found}
    if len(found) < len(known) or len(seeds) > 1:
        return None
    return json.dumps([settings for settings, _ in found]), seeds.pop()


def _settings(config: dict[str, Any]) -> tuple[str, int] | None:
    """All that determines what a run learns except its seed, and the seed; None for other models."""
    training = config.get("training")
    if not isinstance(training, dict) or not isinstance(training.get("seed"), int):
        return None
    about = {key: value for key, value in training.items() if key not in _MACHINE}
    digests = config.get("digests") or {}
    data = [digests.get("tables"), digests.get("images"), config["vocabulary"].get("digest")]
    content = [about, config.get("method_options"), config.get("decisions"), config.get("finished"), *data]
    return json.dumps(content, sort_keys=True), training["seed"]


def _name(members: dict[int, str]) -> str:
    """The common part of the members' names, with {seed} instead of the seed; else all names.

    >>> _name({0: "softmax-0", 1: "softmax-1"}), _name({0: "a", 1: "b"}), _name({0: "a-0+b-0", 1: "a-1+b-1"})
    ('softmax-{seed}', 'a, b', 'a-{seed}+b-{seed}')
    """
    patterns = {
        "+".join("{seed}".join(part.rsplit(str(seed), 1)) for part in name.split("+"))
        for seed, name in members.items()
    }
    return patterns.pop() if len(patterns) == 1 else ", ".join(members.values())


def _same_pairs(one: Result, other: Result) -> bool:
    return one.facets.keys() == other.facets.keys() and all(
        np.array_equal(facet.rows, other.facets[name].rows) for name, facet in one.facets.items()
    )


def _mean(facets: Sequence[FacetResult]) -> FacetResult:
    first = facets[0]
    values = {name: np.mean([facet.values[name] for facet in facets], axis=0) for name in first.values}
    figures = {name: statistics.fmean(facet.figures[name] for facet in facets) for name in first.figures}
    known = [facet.average_precision for facet in facets if facet.average_precision is not None]
    return replace(
        first,
        values=values,
        figures=figures,
        rank=np.mean([facet.rank for facet in facets], axis=0),
        found=np.mean([facet.found for facet in facets], axis=0),
        average_precision=np.mean(known, axis=0) if known else None,
        right=_mean_right([facet.right for facet in facets]),
    )


def _mean_right(members: Sequence[Right]) -> Right:
    """The members' mean numbers of suggestions; {} where one of them has no probabilities."""
    levels = [level for level in members[0] if all(level in right for right in members)]
    means = {level: np.mean([right[level] for right in members], axis=0) for level in levels}
    return {level: (round(right), round(all_)) for level, (right, all_) in means.items()}


def _deviations(results: Sequence[Result]) -> dict[Figure, float]:
    """The sample standard deviation of every figure over the members."""
    all_figures = [result.figures for result in results]
    scopes = {scope: [figures[scope] for figures in all_figures] for scope in (OVERALL, MACRO)}
    for facet in results[0].facets:
        scopes[facet] = [figures["facets"][facet] for figures in all_figures]
    return {
        (scope, metric): float(np.std([figures[metric] for figures in some], ddof=1))
        for scope, some in scopes.items()
        for metric in some[0]
        if metric not in ("pairs", "images", "tags")
    }
