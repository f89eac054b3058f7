"""A comparison as tables for papers: LaTeX with booktabs."""

from collections.abc import Sequence

from eufcc_cli.core.evaluation.comparison import Comparison
from eufcc_cli.core.evaluation.paper import PUBLISHED
from eufcc_cli.core.evaluation.results import OVERALL, Result
from eufcc_cli.core.report.cells import MISSING, best_cells, label, number
from eufcc_cli.core.report.tables import (
    figures_of,
    ranking_metrics,
    revision_notes,
    scopes,
    seed_notes,
    signed,
)


def to_latex(comparison: Comparison, *, per_facet: bool = False, paper: bool = False) -> str:
    """A booktabs table as in the paper, the splits side by side, the best figures bold; then differences.

    With `paper`, the published rows follow, figures are rounded as in the paper, and notes name the revision
    of the splits on both sides. Needs \\usepackage{booktabs}.
    """
    metrics, splits = ranking_metrics(comparison), comparison.splits
    rows: dict[tuple[str, str], dict[str, Result]] = {}
    for result in comparison.results:
        for scope in scopes(result, per_facet):
            rows.setdefault((result.model, scope), {})[result.split.name] = result
    names, width = (2 if per_facet else 1), len(metrics)
    columns = _tex_row(["Model", "Facet"][:names] + [_tex(label(metric)) for metric in metrics] * len(splits))
    lines = [*_head(names, width, splits), columns, "\\midrule"]
    cells: list[list[str]] = [[] for _ in rows]
    for split in splits:
        found = [(scope, rows[model, scope].get(split)) for model, scope in rows]
        values = [
            (scope, [figures_of(result, scope).get(m) if result else None for m in metrics])
            for scope, result in found
        ]
        several = len(comparison.of_split(split)) > 1
        best = best_cells(values, metrics, 0, as_published=paper) if several else frozenset()
        for i, (scope, each) in enumerate(found):
            for j, metric in enumerate(metrics):
                text = _figure(metric, values[i][1][j], paper)
                text = f"\\textbf{{{text}}}" if (i, j) in best else text
                cells[i].append(text + (_spread(each, scope, metric, paper) if each else ""))
    for (model, scope), row in zip(rows, cells, strict=True):
        lines.append(_tex_row([_tex(model) if scope == OVERALL else "", _tex(scope)][:names] + row))
    notes = seed_notes(comparison.of_split(splits[0]))
    if paper:
        lines.append("\\midrule")
        for name, published in PUBLISHED.items():
            figures = [
                _figure(metric, published.get(split, {}).get(metric), paper)
                for split in splits
                for metric in metrics
            ]
            lines.append(_tex_row([f"{_tex(name)} (paper)", ""][:names] + figures))
        notes += revision_notes(comparison)
    if comparison.bootstrap is not None:
        level = f"{comparison.bootstrap.level:.0%}"
        notes.append(f"[low, high]: {level} intervals over {comparison.bootstrap.by}s")
    lines += ["\\bottomrule", *_notes(notes, names + width * len(splits)), "\\end{tabular}"]
    if comparison.differences:
        lines += ["", *_differences(comparison, metrics)]
    return "\n".join(lines)


def _head(names: int, width: int, splits: Sequence[str]) -> list[str]:
    starts = range(names + 1, names + 1 + width * len(splits), width)
    titles = [f"\\multicolumn{{{width}}}{{c}}{{{_tex(split)}}}" for split in splits]
    return [
        f"\\begin{{tabular}}{{{'l' * names}{'r' * width * len(splits)}}}",
        "\\toprule",
        _tex_row([""] * names + titles),
        " ".join(f"\\cmidrule(lr){{{start}-{start + width - 1}}}" for start in starts),
    ]


def _differences(comparison: Comparison, metrics: Sequence[str]) -> list[str]:
    """The paired differences as a separate table, with a block of columns for each split."""
    splits = comparison.splits
    found = {(each.model, each.against, each.split): each for each in comparison.differences}
    lines = [*_head(1, len(metrics), splits)]
    lines.append(_tex_row(["Difference", *[_tex(label(metric)) for metric in metrics] * len(splits)]))
    lines.append("\\midrule")
    for model, against in dict.fromkeys((model, against) for model, against, _ in found):
        row = [f"{_tex(model)} $-$ {_tex(against)}"]
        for split in splits:
            each = found.get((model, against, split))
            for metric in metrics:
                text = MISSING if each is None else signed(metric, each.figures[metric])
                row.append("--" if text == MISSING else f"${text}$")
                if each is not None:
                    row[-1] += _range(metric, each.intervals[metric], False)
        lines.append(_tex_row(row))
    return [*lines, "\\bottomrule", "\\end{tabular}"]


def _figure(metric: str, value: float | None, as_published: bool) -> str:
    return number(metric, value, as_published=as_published).replace(MISSING, "--")


def _spread(result: Result, scope: str, metric: str, as_published: bool) -> str:
    deviation, interval = result.deviations.get((scope, metric)), result.intervals.get((scope, metric))
    text = "" if deviation is None else f" $\\pm$ {_figure(metric, deviation, as_published)}"
    return text + ("" if interval is None else _range(metric, interval, as_published))


def _range(metric: str, interval: tuple[float, float], as_published: bool) -> str:
    low, high = (_figure(metric, bound, as_published) for bound in interval)
    return f" {{\\scriptsize [{low}, {high}]}}"


def _notes(notes: Sequence[str], columns: int) -> list[str]:
    return [_tex_row([f"\\multicolumn{{{columns}}}{{l}}{{\\footnotesize {_tex(note)}}}"]) for note in notes]


def _tex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


_TEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "±": r"$\pm$",
}  # fmt: skip


def _tex(text: str) -> str:
    """Text that LaTeX prints as it is.

    >>> _tex("50% of a_b")
    '50\\\\% of a\\\\_b'
    """
    return "".join(_TEX.get(sign, sign) for sign in " ".join(text.split()))
