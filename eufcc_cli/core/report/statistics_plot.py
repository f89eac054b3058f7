"""The statistics figure of the dataset's paper (tags per image, images per tag), and frequent tags."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import atomic_open
from eufcc_cli.core.taxonomy.statistics import Statistics

# Without a date in it, the same data make the same file.
_FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"dpi": 200},
    ".svg": {"metadata": {"Date": None}},
    ".pdf": {"metadata": {"CreationDate": None}},
}
_LONGEST_NAME = 28


def check_plot_file(path: Path) -> None:
    """Raise EufccError for a file ending that is not a format of plots."""
    if path.suffix.lower() not in _FORMATS:
        raise EufccError(
            f"{path}: plots are written as {', '.join(ending[1:].upper() for ending in _FORMATS)}",
            hint=f"give the file one of the endings {', '.join(_FORMATS)}",
        )


def plot_statistics(statistics: Statistics, path: Path) -> None:
    """Draw three panels: as in the dataset's paper, histograms of the tags per image in each facet and the
    images per tag in descending order, both with a logarithmic count; and the 25 most frequent tags of each
    facet by name. PNG, SVG or PDF by the ending.
    """
    check_plot_file(path)
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from eufcc_cli.core.report.plots import COLOURS, LINES

    named = {
        facet: numbers.most_frequent for facet, numbers in statistics.facets.items() if numbers.most_frequent
    }
    longest = max(map(len, named.values()), default=0)
    below = 0.8 + 0.19 * longest if named else 0.0
    figure = Figure(figsize=(max(10.0, 3.2 * len(named)), 4 + below), layout="constrained")
    panels: Any = figure
    if named:
        halves: Any = figure.subfigures(2, 1, height_ratios=(4, below))
        panels, under = halves
        _draw_names(under, named, COLOURS)
    left, right = panels.subplots(1, 2)
    for (facet, numbers), colour, line in zip(statistics.facets.items(), COLOURS, LINES, strict=False):
        style_of: dict[str, Any] = {"color": colour, "linestyle": line, "linewidth": 1.8}
        if numbers.tags_per_image:
            widest = max(numbers.tags_per_image)
            heights = [numbers.tags_per_image.get(tags, 0) for tags in range(1, widest + 1)]
            edges = [tags + 0.5 for tags in range(widest + 1)]
            name = f"{facet} ({statistics.coverage(facet):.0%} of images)"
            # From half an image, so that a single one is visible on a logarithmic axis.
            left.stairs(heights, edges, baseline=0.5, label=name, **style_of)
        if numbers.images_per_tag:
            ranks = range(1, len(numbers.images_per_tag) + 1)
            right.plot(ranks, numbers.images_per_tag, label=f"{facet} ({len(ranks):,} tags)", **style_of)
    left.set(
        title="Tags per image", xlabel="tags of an image in the facet", ylabel="images", xlim=(0.5, None)
    )
    right.set(title="Images per tag", xlabel="tags, most frequent first", ylabel="images", xlim=(0, None))
    left.xaxis.get_major_locator().set_params(integer=True)
    for axes in (left, right):
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.5)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")
    ending = path.suffix.lower()
    with rc_context({"svg.hashsalt": "eufcc"}), atomic_open(path) as file:
        figure.savefig(file, format=ending[1:], **_FORMATS[ending])


def _draw_names(figure: Any, named: dict[str, list[tuple[str, int]]], colours: Sequence[str]) -> None:
    """Horizontal bars: the images of each facet's most frequent tags, the first one on top."""
    longest = max(map(len, named.values()))
    panels = figure.subplots(1, len(named), squeeze=False)[0]
    for axes, (facet, tags), colour in zip(panels, named.items(), colours, strict=False):
        names = [name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name, _ in tags]
        axes.barh(range(len(tags)), [images for _, images in tags], color=colour)
        axes.set_yticks(range(len(tags)), names, fontsize="x-small", parse_math=False)
        axes.set_ylim(longest - 0.5, -0.5)  # bars of one width in all facets
        axes.set_title(f"Most frequent {facet}", fontsize="medium")
        axes.set_xlabel("images")
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
