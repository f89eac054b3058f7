"""`eufcc tag --review`: the review page, from its URL to Ctrl-C."""

import getpass
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import typer

from eufcc_cli import console
from eufcc_cli.core.errors import first_of, number_of
from eufcc_cli.core.files import Root


def check_review_usage(options: dict[str, Any]) -> None:
    """Reject, as wrong usage, what does not go with --review."""
    problem = None
    if options["output"] is not None or options["format_"] not in (None, "jsonl"):
        problem = "--review writes its own file of JSON lines: leave --output and --format out"
    elif options["accept"] is not None:
        problem = "--accept writes a table: leave --review out"
    if problem:
        raise typer.BadParameter(problem)


def is_tagged(suggestions: Path, images: list[str], table: Path | None, root: Root) -> bool:
    """True where a finished file of suggestions has a line for every image that was named."""
    from eufcc_cli.core.tagging.inputs import listed
    from eufcc_cli.core.tagging.own_table import open_catalogue
    from eufcc_cli.core.tagging.writers.lines import JsonLines

    unfinished = suggestions.with_name(f".{suggestions.name}.unfinished").exists()
    if unfinished or not suggestions.is_file() or "-" in images:
        return False
    known = JsonLines("").existing(suggestions)
    catalogued = open_catalogue(table, root)[0].inputs() if table else ()
    return all(item.name in known for item in chain(listed(images), catalogued))


def serve_review(
    suggestions: Path,
    root: Root,
    decisions: Path | None,
    reviewer: str | None,
    table: Path | None,
    *,
    browser: bool,
) -> None:
    """Serve the page until Ctrl-C; its URL is the one line on standard output."""
    from eufcc_cli.core.tagging.own_table import open_catalogue
    from eufcc_cli.core.tagging.review.opening import open_review

    frame = None if table is None else open_catalogue(table, root)[0].frame
    review, server = open_review(suggestions, root, reviewer or _user(), decisions, frame)
    _note_leftovers(review.path, [f"{d.image}: {d.facet}: {d.tag}" for d in review.orphans.values()])
    before = review.decided
    console.line(server.url)
    console.note(f"decisions go to {review.path}; Ctrl-C ends the review")
    with suppress(KeyboardInterrupt):
        server.serve(browser=browser)
    review.refresh()
    left = review.suggested - review.decided
    console.note(f"{review.decided - before:,} decided now, {review.decided:,} in all, {left:,} left")


def _note_leftovers(path: str, names: list[str]) -> None:
    if names:
        console.warn(
            f"{path}: {number_of(len(names), 'decision')} about what the suggestions no "
            f"longer have stay in the file: {first_of(names)}"
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a system without user names
        return "unknown"
