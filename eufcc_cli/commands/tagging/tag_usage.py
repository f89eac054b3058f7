"""Which options of `eufcc tag` go together, checked before any work."""

from pathlib import Path
from typing import Any

import typer

from eufcc_cli import console
from eufcc_cli.core.tagging.writers.formats import EMBEDDED, FORMATS, KEYWORDS, OF_ENDING, SUGGESTIONS

TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".xlsx", ".ods", ".jsonl")
"""Of the tables that --accept and --decisions write."""


def form_of(asked: str | None, output: Path | None, accept: float | None, embed: bool) -> str:
    """The format of the results: that of --format, else of the output's ending, else of standard output."""
    if embed:
        if asked is not None or output is not None or accept is not None:
            raise typer.BadParameter("--embed writes into the images: leave --format, --output, --accept out")
        return EMBEDDED
    if asked is not None and asked not in SUGGESTIONS:
        known = asked in FORMATS
        reason = "for what people decided: give --decisions FILE" if known else "not one of"
        raise typer.BadParameter(
            f"{asked} is {reason}" + ("" if known else f" {', '.join(SUGGESTIONS)}"), param_hint="--format"
        )
    if accept is not None:
        if asked not in (None, "csv"):
            raise typer.BadParameter("--accept writes a table: leave --format out", param_hint="--format")
        if output is not None and output.suffix.lower() not in ("", *TABLE_ENDINGS):
            endings = ", ".join(TABLE_ENDINGS)
            raise typer.BadParameter(f"{output}: --accept writes a table: {endings}", param_hint="--output")
        return "additions"
    if asked is not None:
        return asked
    if output is not None:
        ending = output.suffix.lower()
        if ending not in OF_ENDING:
            raise typer.BadParameter(
                f"{output}: its ending names no format: add --format", param_hint="--output"
            )
        return OF_ENDING[ending]
    return "table" if console.on_terminal() else "jsonl"


def check_usage(options: dict[str, Any], arguments: list[str], form: str) -> None:
    """Reject, as wrong usage, options that do not go together."""
    problem = None
    if not arguments and options["table"] is None:
        problem = "name images, or a --table"
    elif (options["fill"] or options["accept"] is not None) and (arguments or options["table"] is None):
        problem = "--fill and --accept compare with a catalogue: give --table FILE and no images"
    elif options["photos"] and options["table"] is None:
        problem = "--photos is where a table's images are: give --table FILE, or name the folder as an image"
    elif options["accept"] is not None and options["threshold"] is not None:
        problem = "--accept P is the threshold: leave --threshold out"
    elif options["accept"] is not None and options["skip_existing"]:
        problem = "--accept writes a whole table: leave --skip-existing out"
    elif options["coverage"] is not None and options["logit_adjustment"]:
        problem = "--coverage needs calibrated scores: leave --logit-adjustment out"
    elif options["skip_existing"] and options["output"] is None and form not in KEYWORDS:
        problem = "--skip-existing needs --output FILE, --format sidecar, or --embed"
    elif options["sidecar_name"] is not None and form != "sidecar":
        problem = "--sidecar-name is for --format sidecar"
    elif options["output"] and options["table"] and _is_same(options["output"], options["table"]):
        problem = f"--output {options['output']} is the --table itself: name another file"
    if problem:
        raise typer.BadParameter(problem)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def batch_size_of(asked: str) -> int | None:
    """--batch-size as a number, None for auto."""
    if asked == "auto":
        return None
    if not asked.isdecimal() or not 1 <= int(asked) <= 4096:
        raise typer.BadParameter(f"{asked} is neither auto nor a number of images", param_hint="--batch-size")
    return int(asked)
