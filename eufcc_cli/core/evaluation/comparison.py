"""Sources x splits -> one result object that every table, file and page is drawn from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from eufcc_cli.core.dataset.published import revision_of
from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.evaluation.bootstrap import Bootstrap, Difference, difference
from eufcc_cli.core.evaluation.results import Measures, Result, measure
from eufcc_cli.core.evaluation.scores import processes
from eufcc_cli.core.evaluation.scores.ensembles import Ensemble, fit_weights
from eufcc_cli.core.evaluation.scores.eval_split import Scores, Source, TestSplit, read_split
from eufcc_cli.core.evaluation.scores.predictions import Predictions
from eufcc_cli.core.evaluation.scores.saved_scores import save_predictions
from eufcc_cli.core.evaluation.scores.score_sources import digest_of
from eufcc_cli.core.evaluation.seed_groups import SeedGroup, seed_groups
from eufcc_cli.core.files import Root
from eufcc_cli.core.metrics.belief import Belief, most_frequent
from eufcc_cli.core.progress import SILENT, Progress
from eufcc_cli.core.taxonomy.tables.annotation_files import read_table
from eufcc_cli.core.taxonomy.tables.annotations import ID


@dataclass(frozen=True)
class Comparison:
    """All results, in the order splits x sources, and the options they were computed with."""

    results: list[Result]
    root: Root
    measures: Measures
    bootstrap: Bootstrap | None = None
    differences: list[Difference] = field(default_factory=list)
    weights: dict[str, dict[str, float]] = field(default_factory=dict)
    """{ensemble: {member: weight}}."""
    groups: list[SeedGroup] = field(default_factory=list)
    """Runs that differ only by seed."""
    means: list[Result] = field(default_factory=list)
    """The means of these groups, on every split."""
    digests: dict[str, str] = field(default_factory=dict)
    """SHA-256 of what decides each model's scores."""

    @property
    def grouped(self) -> "Comparison":
        """The comparison with the means of groups instead of their members: the rows of a table."""
        means = {(mean.model, mean.split.name): mean for mean in self.means}
        found = {member: group.name for group in self.groups for member in group.members}
        rows = [
            means.get((found.get(result.model, ""), result.split.name), result) for result in self.results
        ]
        return replace(self, results=list({id(row): row for row in rows}.values()), means=[], groups=[])

    @property
    def incomplete(self) -> bool:
        """True where an annotated image could not be scored."""
        return any(result.missing or result.failed for result in self.results)

    @property
    def splits(self) -> list[str]:
        return list(dict.fromkeys(result.split.name for result in self.results))

    @property
    def revision(self) -> str:
        """The published revision that the root's splits come from."""
        return revision_of(self.root)

    @cached_property
    def counted(self) -> TestSplit:
        """The split whose images decide which tags are head, middle and tail: train, where there is one."""
        there = self.root.table("train").is_file()
        return read_split(self.root, "train") if there else self.results[0].split

    def tag_counts(self, result: Result) -> dict[str, np.ndarray]:
        """{facet: [n] images of each tag} in that split."""
        targets = self.counted.targets(result.vocabulary)
        return {facet: np.bincount(found.indices, minlength=found.size) for facet, found in targets.items()}

    def beliefs(self, result: Result) -> list[Belief]:
        """A result's facets, compared with always naming the tags that are most frequent in train."""
        known = self.root.table("train").is_file()
        counts = self.tag_counts(result) if known else {}
        targets = result.split.targets(result.vocabulary)
        found = []
        for facet, part in result.facets.items():
            if not len(part.rows):
                continue
            frequent = most_frequent(counts[facet], targets[facet].dense(part.rows)) if known else None
            figure = float(part.values["r_precision"].mean())
            found.append(Belief(facet, len(part.rows), figure, frequent, part.right))
        return found

    def of_split(self, split: str) -> list[Result]:
        return [result for result in self.results if result.split.name == split]


def compare(
    sources: Sequence[Source],
    splits: Sequence[TestSplit],
    root: Root,
    *,
    measures: Measures = Measures(),
    bootstrap: Bootstrap | None = None,
    against: str | None = None,
    weights_from: TestSplit | None = None,
    save: Path | None = None,
    progress: Progress = SILENT,
) -> Comparison | None:
    """Measure every source on every split; None on all processes of a torchrun but the first.

    Whatever can be checked is checked before the first image is scored. Runs that differ only by seed get
    their mean as another row. With `bootstrap`, results and means have intervals, and every row (a mean, or
    a run in no group) a paired difference to the row or run `against` (None: the first row). `weights_from`
    is the split on which the weights of ensembles are fitted (None: equal). `save` takes every source's
    scores, see `save_predictions`; with several sources its name holds `{model}`.
    """
    _check_inputs(sources, splits, root, bootstrap, save)
    groups = seed_groups(sources)
    rows = [*(source.name for source in sources), *(group.name for group in groups)]
    if against is not None and against not in rows:
        raise EufccError(f"`against` {against}: not evaluated here", hint=f"there are: {', '.join(rows)}")
    first = processes.join()[0] == 0
    weights: dict[str, dict[str, float]] = {}
    if weights_from is not None:
        sources = [_weighted(source, weights_from, progress, weights) for source in sources]
    results: list[Result] = []
    kept: dict[int, list[tuple[TestSplit, Scores]]] = {}
    for split in splits:
        memo: dict[int, Scores] = {}
        for number, source in enumerate(sources):
            scores = _scores(source, split, memo, progress)
            if first:
                results.append(measure(source, split, scores, measures))
                if save is not None:
                    kept.setdefault(number, []).append((split, scores))
    if not first:
        return None
    for number, scored in kept.items():
        source = sources[number]
        save_predictions(_named(save, source.name), source, scored)  # type: ignore[arg-type]
    means = [mean for split in splits for group in groups if (mean := _mean(group, results, split))]
    if bootstrap is not None:
        results = [replace(result, intervals=_intervals(bootstrap, result)) for result in results]
        means = [replace(mean, intervals=_intervals(bootstrap, mean)) for mean in means]
    digests = {source.name: digest_of(source) for source in sources}
    comparison = Comparison(
        results, root, measures, bootstrap, weights=weights, groups=groups, means=means, digests=digests
    )
    if bootstrap is None:
        return comparison
    return replace(comparison, differences=list(_differences(comparison, bootstrap, against)))


def _mean(group: SeedGroup, results: Sequence[Result], split: TestSplit) -> Result | None:
    return group.mean([r for r in results if r.split is split and r.model in group.members])


def _differences(comparison: Comparison, bootstrap: Bootstrap, against: str | None) -> Iterator[Difference]:
    for split in comparison.splits:
        rows = comparison.grouped.of_split(split)
        everything = [*rows, *comparison.of_split(split)]
        baseline = next((row for row in everything if row.model == against), rows[0])
        for row in rows:
            if row.model != baseline.model:
                yield difference(bootstrap, row, baseline)


def _check_inputs(
    sources: Sequence[Source],
    splits: Sequence[TestSplit],
    root: Root,
    bootstrap: Bootstrap | None,
    save: Path | None,
) -> None:
    if not sources or not splits:
        raise EufccError("nothing to evaluate", hint="name at least one run and one split")
    names = [source.name for source in sources]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise EufccError(f"two models are called {repeated}", hint="name each model once")
    for source in sources:
        for member in source.members if isinstance(source, Ensemble) else [source]:
            if isinstance(member, Predictions):
                member.check(splits, partial(_ids_of_others, root, splits))
    if bootstrap is not None:
        for split in splits:
            bootstrap.clusters(split)
    if save is not None:
        if len(sources) > 1 and "{model}" not in save.name:
            raise EufccError(
                f"`save_predictions` {save}: one file for {len(sources)} models",
                hint="put {model} into the file's name",
            )
        if save.suffix.lower() not in (".parquet", ".jsonl"):
            raise EufccError(f"`save_predictions` {save}: unknown ending", hint="choose .parquet or .jsonl")


def _ids_of_others(root: Root, splits: Sequence[TestSplit]) -> set[str]:
    """The ids of the root's tables that are not evaluated."""
    there = {split.name for split in splits}
    return {
        image_id
        for name in root.splits()
        if name not in there
        for image_id in read_table(root.table(name), [ID])[ID]
    }


def _named(path: Path, model: str) -> Path:
    """The file of one model: its name takes the place of {model}, without what would leave the folder."""
    safe = "".join(sign if sign.isalnum() or sign in "+-_." else "-" for sign in model)
    return path.with_name(path.name.replace("{model}", safe))


def _scores(source: Source, split: TestSplit, memo: dict[int, Scores], progress: Progress) -> Scores:
    """A source's scores, of which those of an ensemble's members are computed once."""
    if id(source) not in memo:
        if isinstance(source, Ensemble):
            parts = [_scores(member, split, memo, progress) for member in source.members]
            return source.combine(parts, split)
        memo[id(source)] = source.scores(split, progress)
    return memo[id(source)]


def _weighted(
    source: Source, split: TestSplit, progress: Progress, weights: dict[str, dict[str, float]]
) -> Source:
    """An ensemble with weights fitted on a split; any other source as it is."""
    if not isinstance(source, Ensemble):
        return source
    memo: dict[int, Scores] = {}
    parts = [_scores(member, split, memo, progress) for member in source.members]
    fitted = processes.share(fit_weights(source.members, parts, split) if processes.join()[0] == 0 else [])
    names = [member.name for member in source.members]
    weights[source.name] = dict(zip(names, fitted, strict=True))
    return Ensemble(source.members, fitted)


def _intervals(bootstrap: Bootstrap, result: Result) -> dict[tuple[str, str], tuple[float, float]]:
    replicates = bootstrap.replicates(result)
    return {figure: bootstrap.interval(values) for figure, values in replicates.items()}
