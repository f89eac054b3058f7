"""`eufcc tag --decisions`: what people accepted and added, for other systems."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from eufcc_cli import console
from eufcc_cli.commands.common import SOME_FAILED
from eufcc_cli.core.errors import EufccError, ImageError
from eufcc_cli.core.files import Root, atomic_open

if TYPE_CHECKING:
    from eufcc_cli.core.tagging.decided_images import DecidedImage

FORMATS = ("csv", "webannotation", "sidecar")


def check_decided_usage(options: dict[str, Any]) -> None:
    """Reject, as wrong usage, what does not go with --decisions."""
    problem = None
    given = [name for name in ("model", "top", "threshold", "coverage", "only", "exclude") if options[name]]
    if options["format_"] not in FORMATS:
        problem = f"--decisions: add --table EXPORT and --output, or --format, one of {', '.join(FORMATS)}"
    elif given or options["fill"] or options["accept"] is not None:
        problem = "--decisions writes what people decided: leave the options that choose suggestions out"
    elif options["language"] is not None and options["format_"] != "webannotation":
        problem = "--language is for --format webannotation"
    if problem:
        raise typer.BadParameter(problem)


def write_decided(
    decisions: Path,
    form: str,
    images: list[str],
    table: Path | None,
    output: Path | None,
    language: str | None,
    root: Root,
) -> None:
    """Write the accepted and added tags of a decisions file; of all its images, or of those named."""
    from eufcc_cli.core.tagging.decided_images import decided_images, tag_places
    from eufcc_cli.core.tagging.inputs import Input, listed
    from eufcc_cli.core.tagging.own_table import open_catalogue
    from eufcc_cli.core.taxonomy.decisions import read_decisions

    read = read_decisions(decisions)
    if read.torn:
        console.warn(f"{', '.join(read.torn)}: unfinished, as an interrupted program leaves it; not counted")
    inputs: list[Input] | None = None
    if images or table:
        inputs = [*listed(images), *(open_catalogue(table, root)[0].inputs() if table else ())]
    decided = list(decided_images(read, tag_places(read, root), inputs))
    if not decided:
        raise EufccError(
            f"{decisions}: nothing in it is accepted or added" + (" for these images" if inputs else ""),
            hint="decide first: `eufcc tag --review SUGGESTIONS`",
        )
    if form == "sidecar":
        _write_sidecars(decided, output)
        return
    texts = _texts(form, decided, language, root)
    if output is None:
        for text in texts:
            console.write(text)
    else:
        with atomic_open(output, "w") as file:
            file.writelines(texts)
    tags = sum(len(image.tags) for image in decided)
    console.note(f"{tags:,} accepted and added tags of {len(decided):,} images")


def _texts(form: str, decided: "list[DecidedImage]", language: str | None, root: Root) -> Iterator[str]:
    from eufcc_cli.core.tagging.writers.decided_tags import DecidedAnnotations, decided_csv
    from eufcc_cli.core.taxonomy.concepts import read_uris
    from eufcc_cli.core.taxonomy.names import names_of_paths

    if form == "csv":
        return decided_csv(decided)
    date = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    paths: dict[str, set[tuple[str, ...]]] = {}
    for tag in (tag for image in decided for tag in image.tags):
        paths.setdefault(tag.facet, set()).add(tag.path)
    names = names_of_paths(root, paths)
    return DecidedAnnotations(date, read_uris(root.concepts), language, names).texts(decided)


def _write_sidecars(decided: "list[DecidedImage]", folder: Path | None) -> None:
    from eufcc_cli.core.tagging.writers.decided_tags import write_decided_sidecar

    failed = 0
    for image in decided:
        try:
            console.line(str(write_decided_sidecar(image, folder)))
        except ImageError as error:
            failed += 1
            console.warn(f"{image.input.name}: {error}")
    if failed:
        raise typer.Exit(SOME_FAILED)
