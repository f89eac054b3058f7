"""A comparison as tables of text, for the terminal, Markdown, LaTeX and HTML."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eufcc_cli.core.errors import number_of
from eufcc_cli.core.evaluation.breakdown import groups
from eufcc_cli.core.evaluation.comparison import Comparison
from eufcc_cli.core.evaluation.paper import METRICS, PUBLISHED, published_row
from eufcc_cli.core.evaluation.results import MACRO, OVERALL, Result
from eufcc_cli.core.metrics.belief import overall
from eufcc_cli.core.report.cells import MEANINGS, MISSING, Table, best_cells, label, number


def comparison_tables(
    comparison: Comparison, *, per_facet: bool = False, all_metrics: bool = False
) -> list[Table]:
    """One table per split with models, figures, intervals and counts; then the figures of whole facets, and
    differences.
    """
    tables = [_split_table(comparison, split, per_facet) for split in comparison.splits]
    if all_metrics:
        tables.append(other_table(comparison))
    if comparison.differences:
        tables.append(_difference_table(comparison))
    return tables


def scopes(result: Result, per_facet: bool) -> list[str]:
    """The scopes of a result's figures: overall, then macro and each facet."""
    return [OVERALL, *([MACRO, *result.facets] if per_facet else [])]


def figures_of(result: Result, scope: str) -> Mapping[str, Any]:
    """The figures of overall, macro or a facet."""
    return result.figures[scope] if scope in (OVERALL, MACRO) else result.figures["facets"][scope]


def ranking_metrics(comparison: Comparison) -> list[str]:
    """The metrics that are means over pairs, with intervals and an overall figure."""
    return list(next(iter(comparison.results[0].facets.values())).values)


def other_metrics(comparison: Comparison) -> list[str]:
    """The metrics of a whole facet."""
    names = (name for result in comparison.results for f in result.facets.values() for name in f.figures)
    return list(dict.fromkeys(names))


def legend(metrics: Sequence[str]) -> list[str]:
    """The meaning of some metrics, one line each."""
    lines = []
    for keys, meaning in MEANINGS.items():
        names = [label(metric) for metric in metrics if metric in keys or metric[:4] in keys]
        if names:
            lines.append(f"{', '.join(names)}: {meaning}")
    return lines


def judgements(comparison: Comparison) -> list[str]:
    """How reliable each model is on each split, in words: one line overall, and one for each facet."""
    lines = []
    for result in comparison.results:
        beliefs = comparison.beliefs(result)
        named = f"{result.model} on {result.split.name}"
        lines += [f"{named}: {line}" for line in overall(beliefs)]
        if result.split.name == "train":
            lines.append(f"{named}: a model that was trained on these images is less good on others")
        else:
            lines += [f"{named}: {belief.sentence()}" for belief in beliefs]
    return lines


def _split_table(comparison: Comparison, split: str, per_facet: bool) -> Table:
    results = comparison.of_split(split)
    metrics = ranking_metrics(comparison)
    rows, values = [], []
    for result in results:
        for scope in scopes(result, per_facet):
            figures = figures_of(result, scope)
            cells = [number(m, figures.get(m)) + spread(result, scope, m) for m in metrics]
            pairs = figures.get("pairs", figures.get("images"))
            first = result.model if scope == OVERALL else ""
            count = "" if pairs is None else f"{pairs:,}"
            rows.append([first, scope if per_facet else result.method, *cells, count])
            values.append((scope, [figures.get(metric) for metric in metrics]))
    columns = ["Model", "Facet" if per_facet else "Method", *map(label, metrics), "Pairs"]
    return Table(
        title=split,
        columns=columns,
        rows=rows,
        numeric=columns[2:],
        best=best_cells(values, metrics, 2) if len(results) > 1 else frozenset(),
        notes=_notes(comparison, results),
    )


def other_table(comparison: Comparison) -> Table:
    """Precision of the tags, decisions and calibration: per facet, and their macro mean."""
    metrics = other_metrics(comparison)
    rows = [
        [
            result.split.name if scope == MACRO else "",
            result.model if scope == MACRO else "",
            scope,
            *(number(metric, figures_of(result, scope).get(metric)) for metric in metrics),
        ]
        for result in comparison.results
        for scope in scopes(result, True)[1:]
    ]
    columns = ["Split", "Model", "Facet", *map(label, metrics)]
    threshold = comparison.measures.threshold
    notes = [] if threshold is None else [f"decided: a probability of at least {threshold:g}"]
    plain = [r.model for r in comparison.results if not any(facet.right for facet in r.facets.values())]
    if notes and plain:
        notes.append(f"not calibrated, scores count as probabilities: {', '.join(dict.fromkeys(plain))}")
    return Table("tags, decisions and calibration", columns, rows, numeric=columns[3:], notes=notes)


def spread(result: Result, scope: str, metric: str) -> str:
    """What follows a figure: its standard deviation over seeds and its interval, if there are any."""
    deviation, found = result.deviations.get((scope, metric)), result.intervals.get((scope, metric))
    text = "" if deviation is None else f" ± {number(metric, deviation)}"
    return text + (f" [{number(metric, found[0])}, {number(metric, found[1])}]" if found else "")


def _notes(comparison: Comparison, results: Sequence[Result]) -> list[str]:
    """The counts of images and tags, one line for all models with the same counts."""
    lines: dict[str, list[str]] = {}
    for result in results:
        lines.setdefault(counted(result), []).append(result.model)
    notes = [line if len(lines) == 1 else f"{', '.join(models)}: {line}" for line, models in lines.items()]
    for result in results:
        if found := comparison.weights.get(result.model):
            shares = ", ".join(f"{member} {weight:.3f}" for member, weight in found.items())
            notes.append(f"weights of {result.model}: {shares}")
    notes += seed_notes(results)
    if (bootstrap := comparison.bootstrap) is not None:
        clusters = int(bootstrap.clusters(results[0].split).max()) + 1
        level = f"{bootstrap.level:.0%}"
        notes.append(
            f"[low, high]: {level} intervals, {bootstrap.draws:,} resamples of {clusters:,} {bootstrap.by}s"
        )
        if bootstrap.by == "provider" and clusters < 10:
            notes.append(f"intervals from only {clusters} providers are imprecise")
    return notes


def seed_notes(results: Iterable[Result]) -> list[str]:
    """The rows that are means over seeds, one line each."""
    return [
        f"{result.model}: mean ± standard deviation over {len(result.seeds)} seeds "
        f"({', '.join(map(str, result.seeds))})"
        for result in results
        if result.seeds
    ]


def counted(result: Result) -> str:
    """One line: the images that were scored, and those that were not."""
    total = len(result.split)
    pairs = number_of(result.figures[OVERALL]["pairs"], "pair")
    parts = [f"{result.images:,} of {number_of(total, 'image')}, {pairs}"]
    parts.append(f"{number_of(len(result.missing), 'image')} missing")
    if result.failed:
        parts.append(f"{len(result.failed):,} unreadable")
    parts.append(f"{result.unannotated:,} without a tag of the vocabulary")
    unknown, distinct = result.out_of_vocabulary, sum(map(len, result.unknown.values()))
    distinct_too = f" ({distinct:,} distinct)" if distinct else ""
    parts.append(f"{number_of(unknown, 'true tag')} outside the vocabulary{distinct_too}")
    if result.not_scored:
        parts.append(f"not scored: {', '.join(result.not_scored)}")
    return "; ".join(parts)


def _difference_table(comparison: Comparison) -> Table:
    metrics = list(comparison.differences[0].figures)
    rows = [
        [
            found.split,
            f"{found.model} - {found.against}",
            *(
                f"{signed(m, found.figures[m])} [{signed(m, low)}, {signed(m, high)}]"
                + "*" * (low > 0 or high < 0)
                for m, (low, high) in found.intervals.items()
            ),
        ]
        for found in comparison.differences
    ]
    columns = ["Split", "Difference", *map(label, metrics)]
    return Table(
        "paired differences", columns, rows, numeric=columns[2:], notes=["*: the interval does not contain 0"]
    )


def signed(metric: str, value: float) -> str:
    """A difference as text, with its sign."""
    text = number(metric, value)
    return text if text == MISSING or value < 0 else f"+{text}"


def paper_table(comparison: Comparison, split: str) -> Table | None:
    """The published rows and ours, matched by method; None for a split that the paper does not have."""
    if not any(split in row for row in PUBLISHED.values()):
        return None
    results = comparison.of_split(split)
    beside: dict[str | None, list[Result]] = {}
    for result in results:
        beside.setdefault(published_row(result.method), []).append(result)
    rows: list[list[str]] = []
    for name, published in PUBLISHED.items():
        ours: Sequence[Result | None] = beside.get(name) or [None]
        rows += [[name, *_beside(result, published[split])] for result in ours]
    rows += [[MISSING, *_beside(result, {})] for result in beside.get(None, [])]
    columns = ["Method in the paper", "Model"]
    for metric in METRICS:
        columns += [label(metric), f"paper {label(metric)}"]
    return Table(
        f"{split}, beside the paper", columns, rows, numeric=columns[2:], notes=revision_notes(comparison)
    )


def _beside(result: Result | None, published: Mapping[str, float]) -> Iterable[str]:
    yield result.model if result else MISSING
    for metric in METRICS:
        yield number(metric, result.figures[OVERALL].get(metric)) if result else MISSING
        yield number(metric, published.get(metric), as_published=True)


def revision_notes(comparison: Comparison) -> list[str]:
    """The revision of the splits that the figures of each side belong to."""
    whose = {
        "original": "this root has the original revision too: the figures are comparable",
        "corrected": "this root has the corrected revision, without leakage from train into the test splits: "
        "expect lower figures on test_id",
        "unknown": "this root's training table is not a published revision: the figures are not comparable",
    }[comparison.revision]
    return ["paper: figures of the original revision of the splits (EUFCC-340K, 2025)", whose]


def groups_tables(comparison: Comparison) -> list[Table]:
    """Tags by depth and by frequency (head, middle, tail): a table per split, R-Prec for every model.

    A single model also has its mean rank, and its mean average precision where that is measured.
    """
    tables = []
    for split in comparison.splits:
        results = comparison.of_split(split)
        metrics = ["r_precision"]
        if len(results) == 1:
            metrics += ["avg_rp", *(["map"] if comparison.measures.details else [])]
        found = [
            {row["group"]: row for row in groups(r, comparison.tag_counts(r), comparison.counted.name)}
            for r in results
        ]
        rows = []
        for name in dict.fromkeys(name for rows_of in found for name in rows_of):
            sizes = next(rows_of[name] for rows_of in found if name in rows_of)
            figures = [number(m, rows_of.get(name, {}).get(m)) for rows_of in found for m in metrics]
            if sizes["tags"]:
                rows.append([name, f"{sizes['tags']:,}", f"{sizes['support']:,}", *figures])
        heads = [r.model for r in results] if len(results) > 1 else list(map(label, metrics))
        tables.append(
            Table(
                f"{split}, by depth and frequency",
                columns := ["Tags", "Distinct", "Support", *heads],
                rows,
                numeric=columns[1:],
                notes=[
                    "R-Prec of a group: the share of its true tags that are among the first R suggestions "
                    "of their images, where R is the number of an image's true tags"
                ],
            )
        )
    return tables
