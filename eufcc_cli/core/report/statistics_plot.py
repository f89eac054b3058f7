"""The published statistics figure: tags per image and images per tag, for each facet."""

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
# Okabe and Ito's colours, told apart by the colour-blind; line styles tell them apart in grey print.
_STYLES = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."), ("#000000", ":"))


def check_plot_file(path: Path) -> None:
    """EufccError where the file's ending names no format that plots are written in."""
    if path.suffix.lower() not in _FORMATS:
        raise EufccError(
            f"{path}: plots are written as {', '.join(ending[1:].upper() for ending in _FORMATS)}",
            hint=f"give the file one of the endings {', '.join(_FORMATS)}",
        )


def plot_statistics(statistics: Statistics, path: Path) -> None:
    """Draw two panels, as in the dataset's paper: histograms of the tags per image in each facet, and the
    images per tag in descending order, both with a logarithmic count; PNG, SVG or PDF by the ending.
    """
    check_plot_file(path)
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (facet, numbers), (colour, style) in zip(statistics.facets.items(), _STYLES, strict=False):
        look: dict[str, Any] = {"color": colour, "linestyle": style, "linewidth": 1.8}
        if numbers.tags_per_image:
            widest = max(numbers.tags_per_image)
            heights = [numbers.tags_per_image.get(tags, 0) for tags in range(1, widest + 1)]
            edges = [tags + 0.5 for tags in range(widest + 1)]
            name = f"{facet} ({statistics.coverage(facet):.0%} of images)"
            # Down to half an image, so that a single one is seen on a logarithmic axis.
            left.stairs(heights, edges, baseline=0.5, label=name, **look)
        if numbers.images_per_tag:
            ranks = range(1, len(numbers.images_per_tag) + 1)
            right.plot(ranks, numbers.images_per_tag, label=f"{facet} ({len(ranks):,} tags)", **look)
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
