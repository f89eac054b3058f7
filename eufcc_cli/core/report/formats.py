"""A comparison for other programs and for papers: JSON, CSV, Markdown, LaTeX."""

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from eufcc_cli.core.evaluation.bootstrap import OVERALL
from eufcc_cli.core.evaluation.breakdown import per_provider, per_tag
from eufcc_cli.core.evaluation.comparison import Comparison
from eufcc_cli.core.evaluation.paper import PUBLISHED, published_row
from eufcc_cli.core.evaluation.results import Result
from eufcc_cli.core.metrics.belief import Belief
from eufcc_cli.core.report.cells import MISSING, Table, best_cells, label, number
from eufcc_cli.core.report.tables import figures_of, other_metrics, ranking_metrics, scopes


def to_json(comparison: Comparison, *, paper: bool = False) -> str:
    """`{"results": [{"model", "method", "split", "images", …, "overall", "macro", "facets"}], …}`.

    With intervals `"intervals": {scope: {metric: [low, high]}}` in every result, and `"differences"`; with
    `paper` the published figures. What is undefined is null.
    """
    content: dict[str, Any] = {
        "results": [
            {**_result(result), "beside": _beside(comparison.beliefs(result))}
            for result in comparison.results
        ]
    }
    if comparison.bootstrap is not None:
        content["differences"] = [vars(found) for found in comparison.differences]
        content["bootstrap"] = vars(comparison.bootstrap)
    if comparison.weights:
        content["ensemble_weights"] = comparison.weights
    if paper:
        content["paper"] = {"revision": "original", "revision_here": comparison.revision, "rows": PUBLISHED}
        for entry, result in zip(content["results"], comparison.results, strict=True):
            row = published_row(result.method)
            entry["paper"] = {"row": row, **PUBLISHED[row].get(result.split.name, {})} if row else None
    return json.dumps(_defined(content), ensure_ascii=False, indent=2, allow_nan=False)


def _result(result: Result) -> dict[str, Any]:
    intervals: dict[str, dict[str, tuple[float, float]]] = {}
    for (scope, metric), bounds in result.intervals.items():
        intervals.setdefault(scope, {})[metric] = bounds
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
        **({"intervals": intervals} if intervals else {}),
    }


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

    With `paper` the published rows follow, under the model `paper`.
    """
    metrics = [*ranking_metrics(comparison), *other_metrics(comparison)]
    rows = []
    for result in comparison.results:
        about = {key: value for key, value in _result(result).items() if isinstance(value, str | int)}
        for scope in scopes(result, True):
            figures = figures_of(result, scope)
            row = {**about, "scope": scope, "pairs": figures.get("pairs", figures.get("images"))}
            row |= {metric: figures.get(metric) for metric in metrics}
            for metric in metrics if comparison.bootstrap else []:
                low, high = result.intervals.get((scope, metric), (None, None))
                row |= {f"{metric} low": low, f"{metric} high": high}
            rows.append(row)
    for name, published in PUBLISHED.items() if paper else ():
        for split in comparison.splits:
            if split in published:
                about = {"model": "paper", "method": name, "split": split, "scope": OVERALL}
                rows.append(dict.fromkeys(rows[0]) | about | published[split])
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
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return "" if value is None else value


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


def to_latex(comparison: Comparison, *, per_facet: bool = False, paper: bool = False) -> str:
    """One booktabs table as in the paper, the splits side by side, the best figures bold.

    With `paper` the published rows follow below. Needs \\usepackage{booktabs}.
    """
    metrics, splits = ranking_metrics(comparison), comparison.splits
    rows: dict[tuple[str, str], dict[str, Result]] = {}
    for result in comparison.results:
        for scope in scopes(result, per_facet):
            rows.setdefault((result.model, scope), {})[result.split.name] = result
    names, width = (2 if per_facet else 1), len(metrics)
    starts = range(names + 1, names + 1 + width * len(splits), width)
    titles = [f"\\multicolumn{{{width}}}{{c}}{{{_tex(split)}}}" for split in splits]
    columns = [_tex(label(metric)) for metric in metrics] * len(splits)
    lines = [
        f"\\begin{{tabular}}{{{'l' * names}{'r' * width * len(splits)}}}",
        "\\toprule",
        _tex_row([""] * names + titles),
        " ".join(f"\\cmidrule(lr){{{start}-{start + width - 1}}}" for start in starts),
        _tex_row(["Model", "Facet"][:names] + columns),
        "\\midrule",
    ]
    cells: list[list[str]] = [[] for _ in rows]
    for split in splits:
        found = [(scope, rows[model, scope].get(split)) for model, scope in rows]
        values = [
            (scope, [figures_of(result, scope).get(m) if result else None for m in metrics])
            for scope, result in found
        ]
        best = best_cells(values, metrics, 0) if len(comparison.of_split(split)) > 1 else frozenset()
        for i, (_, figures) in enumerate(values):
            for j, (metric, value) in enumerate(zip(metrics, figures, strict=True)):
                text = number(metric, value).replace(MISSING, "--")
                cells[i].append(f"\\textbf{{{text}}}" if (i, j) in best else text)
    for (model, scope), row in zip(rows, cells, strict=True):
        lines.append(_tex_row([_tex(model) if scope == OVERALL else "", _tex(scope)][:names] + row))
    if paper:
        lines.append("\\midrule")
        for name, published in PUBLISHED.items():
            figures = [published.get(split, {}).get(metric) for split in splits for metric in metrics]
            shown = ["--" if value is None else f"{value:g}" for value in figures]
            lines.append(_tex_row([f"{_tex(name)} (paper)", ""][:names] + shown))
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def _tex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


_TEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}  # fmt: skip


def _tex(text: str) -> str:
    """Text that LaTeX prints as it is.

    >>> _tex("50% of a_b")
    '50\\\\% of a\\\\_b'
    """
    return "".join(_TEX.get(sign, sign) for sign in " ".join(text.split()))
