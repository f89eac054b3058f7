"""A comparison as JSON, CSV and Markdown."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from eufcc_cli import __version__
from eufcc_cli.core.evaluation.breakdown import per_provider, per_tag
from eufcc_cli.core.evaluation.comparison import Comparison
from eufcc_cli.core.evaluation.paper import PUBLISHED, published_row
from eufcc_cli.core.evaluation.results import OVERALL, Figure, Result
from eufcc_cli.core.files import csv_text, sha256
from eufcc_cli.core.metrics.belief import Belief
from eufcc_cli.core.report.cells import Table
from eufcc_cli.core.report.tables import figures_of, other_metrics, ranking_metrics, scopes
from eufcc_cli.core.training.model_provenance import code_revision

SCHEMA_VERSION = 1
"""The version of the JSON of `to_json`: increased when a field is removed or changes its meaning."""


def to_json(comparison: Comparison, *, paper: bool = False) -> str:
    """`{"results": [{"model", "method", "split", "images", …, "overall", "macro", "facets"}], …}`.

    Means over seeds are in `"seed_groups"`. With intervals, `"intervals": {scope: {metric: [low, high]}}` in
    every result, and `"differences"`; with `paper` the published figures. Undefined figures are null. The
    schema is docs/reference/schemas/evaluation.schema.json.
    """
    splits = {result.split.name: result.split.table for result in comparison.results}
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "eufcc", "version": __version__, "code_revision": code_revision()},
        "dataset_revision": comparison.revision,
        "tables": {split: sha256(table) for split, table in splits.items()},
        "results": [
            {
                **_result(result),
                "model_digest": comparison.digests.get(result.model),
                "beside": _beside(comparison.beliefs(result)),
            }
            for result in comparison.results
        ],
    }
    if comparison.means:
        members = {group.name: list(group.members) for group in comparison.groups}
        content["seed_groups"] = [
            {
                **_result(mean),
                "members": members[mean.model],
                "seeds": list(mean.seeds),
                "standard_deviation": _by_scope(mean.deviations),
            }
            for mean in comparison.means
        ]
    if comparison.bootstrap is not None:
        content["differences"] = [vars(found) for found in comparison.differences]
        content["bootstrap"] = vars(comparison.bootstrap)
    if comparison.weights:
        content["ensemble_weights"] = comparison.weights
    if paper:
        content["paper"] = {"dataset_revision": "original", "rows": PUBLISHED}
        for entry, result in zip(content["results"], comparison.results, strict=True):
            row = published_row(result.method)
            entry["paper"] = {"row": row, **PUBLISHED[row].get(result.split.name, {})} if row else None
    return json.dumps(_defined(content), ensure_ascii=False, indent=2, allow_nan=False)


def _result(result: Result) -> dict[str, Any]:
    return {
        "model": result.model,
        "method": result.method,
        "split": result.split.name,
        "images": result.images,
        "images_in_split": len(result.split),
        "images_missing": len(result.missing),
        "images_failed": len(result.failed),
        "images_unannotated": result.unannotated,
        "tags_out_of_vocabulary": result.out_of_vocabulary,
        "facets_not_scored": list(result.not_scored),
        **result.figures,
        **({"intervals": _by_scope(result.intervals)} if result.intervals else {}),
    }


def _by_scope(values: Mapping[Figure, Any]) -> dict[str, dict[str, Any]]:
    """{(scope, metric): value} as {scope: {metric: value}}."""
    found: dict[str, dict[str, Any]] = {}
    for (scope, metric), value in values.items():
        found.setdefault(scope, {})[metric] = value
    return found


def _beside(beliefs: list[Belief]) -> dict[str, Any]:
    """{facet: what always naming the most frequent tags reaches, and how many suggestions were right}."""
    return {
        belief.facet: {
            "most_frequent_r_precision": belief.most_frequent,
            "right_above": {
                f"{level:g}": {"right": right, "suggested": suggested}
                for level, (right, suggested) in belief.right.items()
            },
        }
        for belief in beliefs
    }


def _defined(value: Any) -> Any:
    """The same with null for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _defined(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def to_csv(comparison: Comparison, *, paper: bool = False) -> str:
    """One row per model, split and scope (overall, macro, every facet); intervals as columns.

    `kind` is `run`; `seeds` for the mean of runs that differ only by seed, with standard deviations as
    columns; `difference` for a paired difference, whose model is `A - B`; `paper` for a published row, whose
    model is `paper`.
    """
    metrics = [*ranking_metrics(comparison), *other_metrics(comparison)]
    rows: list[dict[str, Any]] = []
    for result in [*comparison.results, *comparison.means]:
        about = {key: value for key, value in _result(result).items() if isinstance(value, str | int)}
        for scope in scopes(result, True):
            figures = figures_of(result, scope)
            row: dict[str, Any] = {"kind": "seeds" if result.seeds else "run"}
            row |= {**about, "scope": scope, "pairs": figures.get("pairs", figures.get("images"))}
            row |= {metric: figures.get(metric) for metric in metrics}
            for metric in metrics if comparison.means else []:
                row[f"{metric} deviation"] = result.deviations.get((scope, metric))
            for metric in metrics if comparison.bootstrap else []:
                low, high = result.intervals.get((scope, metric), (None, None))
                row |= {f"{metric} low": low, f"{metric} high": high}
            rows.append(row)
    empty: dict[str, Any] = dict.fromkeys(rows[0])
    for found in comparison.differences:
        about = {"kind": "difference", "model": f"{found.model} - {found.against}", "split": found.split}
        row = empty | about | {"scope": OVERALL} | found.figures
        for metric, (low, high) in found.intervals.items():
            row |= {f"{metric} low": low, f"{metric} high": high}
        rows.append(row)
    for name, published in PUBLISHED.items() if paper else ():
        for split in comparison.splits:
            if split in published:
                about = {"kind": "paper", "model": "paper", "method": name, "split": split, "scope": OVERALL}
                rows.append(empty | about | published[split])
    return rows_to_csv(rows)


def per_tag_csv(comparison: Comparison) -> str:
    """Every tag's figures for every model and split (see `breakdown.per_tag`)."""
    results = comparison.results
    return rows_to_csv([row for r in results for row in per_tag(r, comparison.tag_counts(r))])


def per_provider_csv(comparison: Comparison) -> str:
    """Every provider's figures for every model and split (see `breakdown.per_provider`)."""
    return rows_to_csv([row for result in comparison.results for row in per_provider(result)])


def rows_to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows with the same keys as CSV with a header; what is undefined is empty."""
    return csv_text(list(rows[0]) if rows else [], (_defined(row) for row in rows))


def to_markdown(tables: Sequence[Table]) -> str:
    """Tables as GitHub's Markdown, the best figures bold."""
    return "\n\n".join(_markdown(table) for table in tables)


def _markdown(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    numeric = set(table.numeric)
    lines = [f"### {_markdown_text(table.title)}", "", line([_markdown_text(c) for c in table.columns])]
    lines.append(line(["---:" if column in numeric else "---" for column in table.columns]))
    for i, row in enumerate(table.rows):
        cells = [_markdown_text(cell) for cell in row]
        lines.append(line([f"**{cell}**" if (i, j) in table.best else cell for j, cell in enumerate(cells)]))
    return "\n".join([*lines, "", *(f"- {_markdown_text(note)}" for note in table.notes)]).rstrip()


def _markdown_text(text: str) -> str:
    """Text that Markdown and HTML leave as it is, on one line.

    >>> _markdown_text("a|b <i> *c*")
    'a\\\\|b &lt;i> \\\\*c\\\\*'
    """
    text = " ".join(text.split()).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    for sign in "|*_`[]":
        text = text.replace(sign, f"\\{sign}")
    return text
