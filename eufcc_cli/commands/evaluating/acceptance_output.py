"""`eufcc evaluate --decisions`: how often people accepted what models suggested."""

import json
from pathlib import Path

import typer

from eufcc_cli import console
from eufcc_cli.commands.common import is_given
from eufcc_cli.commands.evaluating.evaluation_output import draw_tables
from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import csv_text

_TAKEN = {"decisions", "format_", "html"}


def measure_decisions(ctx: typer.Context, paths: list[Path], format_: str, html: Path | None) -> None:
    """Print the acceptance of every model in the decisions files; needs neither model nor images."""
    if more := [name for name in ctx.params if name not in _TAKEN and is_given(ctx, name)]:
        name = "RUN" if more[0] == "runs" else f"--{more[0].rstrip('_').replace('_', '-')}"
        raise typer.BadParameter(f"--decisions measures what people decided: leave {name} out")
    if format_ == "latex":
        raise typer.BadParameter("--decisions: choose --format table, json, csv or markdown")
    from eufcc_cli.core.evaluation.acceptance import acceptance, to_json
    from eufcc_cli.core.report.acceptance_tables import NOTES, acceptance_tables, write_acceptance_page
    from eufcc_cli.core.report.comparison_files import to_markdown
    from eufcc_cli.core.taxonomy.decisions import read_decisions

    read = read_decisions(paths)
    if not len(read):
        raise EufccError(
            f"{paths[0]}: no decision in it", hint="decide first: `eufcc tag --review SUGGESTIONS`"
        )
    found = acceptance(read)
    if format_ == "json":
        console.line(json.dumps(to_json(found), ensure_ascii=False, indent=2))
    elif format_ == "csv":
        columns = ["model", "digest", "facet", "low", "high", "decided", "accepted", "mean_probability"]
        rows = [
            {"model": one.model, "digest": one.digest, "facet": one.facet or "all"}
            | {**vars(part), "mean_probability": part.mean}
            for one in found
            for part in one.bins
        ]
        console.write(csv_text(columns, rows))
    elif format_ == "markdown":
        console.line(to_markdown(acceptance_tables(found)))
    else:
        draw_tables(acceptance_tables(found))
        for note in NOTES:
            console.note(note)
    if html is not None:
        write_acceptance_page(found, html)
        console.note(f"wrote {html}")
