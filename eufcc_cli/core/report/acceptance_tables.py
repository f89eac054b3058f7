"""Accepted suggestions as tables, as a reliability diagram, and as a page."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from eufcc_cli.core.errors import number_of
from eufcc_cli.core.evaluation.acceptance import Acceptance
from eufcc_cli.core.files import write_text
from eufcc_cli.core.report.cells import MISSING, Table
from eufcc_cli.core.report.html import template
from eufcc_cli.core.report.plots import STYLE, figure_legend, marked, svg

NOTES = (
    "accepted: share of the decided suggestions that people accepted",
    "probability: the model's mean probability for them; reliable if it is close to accepted",
    "ECE: expected calibration error, the mean distance between the two over ten bins",
    "added: tags that people added, which were not suggested",
)
_SHOWN = 8  # digits of a model's digest, where a name stands for several models


def _names(found: Sequence[Acceptance]) -> dict[tuple[str, str | None], str]:
    models = {(one.model, one.digest): one.model or "(unknown model)" for one in found}
    names = list(models.values())
    return {
        key: f"{name} {(key[1] or '')[:_SHOWN]}".rstrip() if names.count(name) > 1 else name
        for key, name in models.items()
    }


def acceptance_tables(found: Sequence[Acceptance]) -> list[Table]:
    """One table of models and facets, and for each model one of its probability bins."""
    names = _names(found)
    columns = ("model", "facet", "decided", "accepted", "probability", "ECE", "added")
    rows = [
        (
            names[one.model, one.digest],
            one.facet or "all",
            f"{one.decided:,}",
            _share(one.rate, one.decided),
            _share(one.mean, one.decided),
            f"{one.calibration_error:.3f}" if one.decided else MISSING,
            f"{one.added:,}",
        )
        for one in found
    ]
    tables = [Table("Accepted suggestions", columns, rows, numeric=columns[2:])]
    for one in found:
        if one.facet is None and one.bins:
            tables.append(_bins_table(names[one.model, one.digest], one))
    return tables


def _bins_table(name: str, one: Acceptance) -> Table:
    columns = ("probability", "decided", "accepted", "95 % interval", "mean probability")
    rows = [
        (
            f"{part.low:.0%} to {part.high:.0%}",
            f"{part.decided:,}",
            f"{part.rate:.0%}",
            f"{part.interval[0]:.0%} to {part.interval[1]:.0%}",
            f"{part.mean:.0%}",
        )
        for part in one.bins
    ]
    return Table(f"Reliability of {name}", columns, rows, numeric=columns)


def _share(value: float, count: int) -> str:
    return f"{value:.1%}" if count else MISSING


def reliability_plot(found: Sequence[Acceptance]) -> str:
    """The reliability diagram as SVG: acceptance against probability, with 95 % intervals, by model."""
    names = _names(found)
    with rc_context(STYLE):
        figure = Figure(figsize=(5.5, 5.2), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="#888888", linestyle=":", label="perfectly calibrated")
        for i, one in enumerate(one for one in found if one.facet is None and one.bins):
            rates = [part.rate for part in one.bins]
            errors = [
                [max(0.0, part.rate - part.interval[0]) for part in one.bins],
                [max(0.0, part.interval[1] - part.rate) for part in one.bins],
            ]
            means, name = [part.mean for part in one.bins], names[one.model, one.digest]
            axes.errorbar(means, rates, yerr=errors, capsize=3, label=name, **marked(i))
        axes.set(xlabel="probability", ylabel="accepted", xlim=(0, 1.02), ylim=(0, 1.02))
        axes.grid(alpha=0.3)
        figure_legend(figure, axes)
        return svg(figure)


def write_acceptance_page(found: Sequence[Acceptance], path: Path) -> None:
    """Write tables and diagram as one self-contained page."""
    decided = sum(one.decided for one in found if one.facet is None)
    page = template("evaluation.html.j2").render(
        models=list(_names(found).values()),
        splits=[number_of(decided, "decision")],
        tables=acceptance_tables(found),
        legend=NOTES,
        appendix=None,
        plots={"Reliability: how often suggestions were accepted": reliability_plot(found)},
        judgements=[],
        samples=[],
        marks={},
        doubtful={},
        doubtful_link=None,
    )
    write_text(path, page)
