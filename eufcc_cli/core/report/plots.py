"""Plots of a comparison as SVG: readable without colours, and the same bytes for the same figures."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eufcc_cli.core.evaluation.breakdown import groups, per_provider
from eufcc_cli.core.evaluation.comparison import Comparison
from eufcc_cli.core.evaluation.results import Result

# Okabe and Ito's colours, which the colour-blind can distinguish; hatches, markers and lines need none.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
_HATCHES = ("", "//", "..", "xx", "\\\\", "++", "--", "oo")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":")
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text remains text: browsers have fonts for every script
    "svg.hashsalt": "eufcc",
    "text.parse_math": False,  # a provider may be called $5 & Co.
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_MOST_PROVIDERS = 25


def facets_plot(comparison: Comparison) -> str:
    """R-Precision of every model in every facet, one panel per split, with intervals if there are any."""
    splits = comparison.splits
    with rc_context(STYLE):
        figure = Figure(figsize=(7.5, 2.9 * len(splits)), layout="constrained")
        panels = figure.subplots(len(splits), 1, squeeze=False)[:, 0]
        for axes, split in zip(panels, splits, strict=True):
            results = comparison.of_split(split)
            facets = list(dict.fromkeys(facet for result in results for facet in result.facets))
            width = 0.8 / len(results)
            for i, result in enumerate(results):
                _bars(axes, result, facets, i, width)
            axes.set_xticks(np.arange(len(facets)) + 0.4 - width / 2, facets)
            axes.set(title=split, ylabel="R-Precision", ylim=(0, 1.02))
            axes.grid(axis="y", alpha=0.3)
        figure_legend(figure, panels[0])
        return svg(figure)


def _bars(axes: Axes, result: Result, facets: Sequence[str], i: int, width: float) -> None:
    figures = result.figures["facets"]
    heights = [figures.get(facet, {}).get("r_precision", np.nan) for facet in facets]
    bounds = [result.intervals.get((facet, "r_precision"), (np.nan, np.nan)) for facet in facets]
    errors = np.abs(np.array(bounds).T - np.array(heights)) if result.intervals else None
    axes.bar(
        np.arange(len(facets)) + i * width,
        heights,
        width * 0.9,
        label=result.model,
        color=COLOURS[i % len(COLOURS)],
        hatch=_HATCHES[i % len(_HATCHES)],
        edgecolor="white",
        yerr=errors,
        capsize=3,
    )


def depths_plot(comparison: Comparison) -> str:
    """The share of the right tags that were found, by depth, one panel per split."""
    splits = comparison.splits
    with rc_context(STYLE):
        figure = Figure(figsize=(7.5, 2.9), layout="constrained")
        panels = figure.subplots(1, len(splits), squeeze=False, sharey=True)[0]
        for axes, split in zip(panels, splits, strict=True):
            for i, result in enumerate(comparison.of_split(split)):
                rows = groups(result, comparison.tag_counts(result), comparison.counted.name)
                found = [row["r_precision"] for row in rows if row["group"].startswith("depth ")]
                axes.plot(np.arange(1, len(found) + 1), found, label=result.model, **marked(i))
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.set(title=split, xlabel="depth of the tag", ylim=(0, 1.02))
            axes.grid(alpha=0.3)
        panels[0].set_ylabel("right tags found")
        figure_legend(figure, panels[0])
        return svg(figure)


def providers_plot(results: Sequence[Result]) -> str:
    """R-Precision of one model per provider, marked by split: the largest providers, best first."""
    rows = [row for result in results for row in per_provider(result)]
    rows = sorted(rows, key=lambda row: -row["pairs"])[:_MOST_PROVIDERS]
    rows = sorted(rows, key=lambda row: row["r_precision"])
    splits = [result.split.name for result in results]
    with rc_context(STYLE):
        figure = Figure(figsize=(7.5, 1.3 + 0.28 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for i, split in enumerate(splits):
            places = [place for place, row in enumerate(rows) if row["split"] == split]
            figures = [rows[place]["r_precision"] for place in places]
            axes.plot(figures, places, MARKERS[i], markersize=8, color=COLOURS[i], label=split)
        names = [f"{_short(row['provider'])} ({row['pairs']:,})" for row in rows]
        axes.set_yticks(range(len(rows)), names)
        axes.set(xlabel="R-Precision (pairs in brackets)", xlim=(-0.02, 1.02), ylim=(-0.7, len(rows) - 0.3))
        axes.grid(alpha=0.3)
        figure_legend(figure, axes)
        return svg(figure)


def marked(number: int) -> dict[str, Any]:
    """Marker and colour of a model, by its number."""
    return {"marker": MARKERS[number % len(MARKERS)], "color": COLOURS[number % len(COLOURS)]}


def _short(name: str) -> str:
    name = " ".join(name.split()) or "(no provider)"
    return name if len(name) <= 40 else f"{name[:39]}…"


def figure_legend(figure: Figure, axes: Axes) -> None:
    """A legend below the panels."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False)


def svg(figure: Figure) -> str:
    """A figure as the text of an SVG file."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
