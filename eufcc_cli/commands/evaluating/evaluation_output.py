"""The figures of an evaluation: on the terminal, the best of each column marked, and in files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from eufcc_cli import console
from eufcc_cli.core.errors import first_of, number_of
from eufcc_cli.core.files import write_text

if TYPE_CHECKING:
    from eufcc_cli.core.evaluation.comparison import Comparison
    from eufcc_cli.core.evaluation.suspects import Suspects
    from eufcc_cli.core.report.cells import Table


def draw_tables(tables: "Sequence[Table]") -> None:
    """Draw tables one below the other, with their notes."""
    for table in tables:
        rows = [
            [Text(cell, style="bold green") if (i, j) in table.best else cell for j, cell in enumerate(row)]
            for i, row in enumerate(table.rows)
        ]
        console.table(table.columns, rows, title=table.title, numeric=table.numeric)
        for text in table.notes:
            console.line(text)
        console.line()


def print_comparison(
    comparison: "Comparison", format_: str, per_facet: bool, per_depth: bool, all_metrics: bool, paper: bool
) -> None:
    """Print the figures in a format."""
    from eufcc_cli.core.report import comparison_files, latex, tables

    grouped = comparison.grouped
    if format_ == "json":
        console.line(comparison_files.to_json(comparison, paper=paper))
    elif format_ == "csv":
        console.line(comparison_files.to_csv(comparison, paper=paper).rstrip("\n"))
    elif format_ == "latex":
        console.line(latex.to_latex(grouped, per_facet=per_facet, paper=paper))
    else:
        shown = tables.comparison_tables(grouped, per_facet=per_facet, all_metrics=all_metrics)
        if paper:
            beside = (tables.paper_table(grouped, split) for split in comparison.splits)
            shown += [table for table in beside if table is not None]
        if per_depth:
            shown += tables.groups_tables(grouped)
        if format_ == "markdown":
            console.line(comparison_files.to_markdown(shown))
        else:
            draw_tables(shown)
            metrics = tables.ranking_metrics(comparison)
            metrics += tables.other_metrics(comparison) if all_metrics else []
            for text in [*tables.judgements(grouped), *tables.legend(metrics)]:
                console.note(text)


def write_files(
    comparison: "Comparison",
    per_tag: Path | None,
    per_provider: Path | None,
    html: Path | None,
    doubtful: "tuple[Path, Suspects] | None",
    *,
    paper: bool,
    seed: int,
    language: str | None,
) -> None:
    """Write the files that were asked for."""
    from eufcc_cli.core.report import comparison_files

    if per_tag is not None:
        write_text(per_tag, comparison_files.per_tag_csv(comparison))
    if per_provider is not None:
        write_text(per_provider, comparison_files.per_provider_csv(comparison))
    if html is not None:
        from eufcc_cli.core.report.html import render_page

        write_text(
            html,
            render_page(
                comparison, paper=paper, seed=seed, doubtful=doubtful, folder=html.parent, language=language
            ),
        )
    for path in (per_tag, per_provider, html):
        if path is not None:
            console.note(f"wrote {path}")


def warn_incomplete(comparison: "Comparison") -> None:
    """Ids of several splits, each unreadable image with its reason, and how many are missing."""
    from eufcc_cli.core.taxonomy.tables.table_checks import repeated_ids

    splits = {split.name: split.ids for split in (comparison.counted, *(r.split for r in comparison.results))}
    for leak in repeated_ids(splits):
        console.warn(f"{leak}; `eufcc trees --lint` lists them")
    shown = set()
    for result in comparison.results:
        name = result.split.name
        for image_id, reason in result.failed.items():
            if (name, image_id) not in shown:
                shown.add((name, image_id))
                console.warn(f"{name}: {image_id}: {reason}")
        if result.missing:
            some = first_of(result.missing, 3)
            number = number_of(len(result.missing), "image")
            console.warn(f"{result.model} on {name}: {number} without scores: {some}")


def note_result(comparison: "Comparison") -> None:
    """What was done, in one line."""
    results = comparison.results
    models = len({result.model for result in results})
    images = {result.split.name: result.images for result in results}
    missing = len({(result.split.name, i) for result in results for i in (*result.missing, *result.failed)})
    splits = ", ".join(f"{number_of(count, 'image')} of {split}" for split, count in images.items())
    console.note(
        f"Evaluated {number_of(models, 'model')} on {splits}"
        + (f"; {number_of(missing, 'image')} missing or unreadable" if missing else "")
    )
