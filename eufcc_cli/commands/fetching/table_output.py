"""How `eufcc fetch table` reports what became of an export."""

from pathlib import Path
from typing import TYPE_CHECKING

from eufcc_cli import console
from eufcc_cli.commands.common import propose
from eufcc_cli.commands.fetching.splits_output import show_splits
from eufcc_cli.core.errors import first_of, number_of
from eufcc_cli.core.files import Root, csv_text, write_text

if TYPE_CHECKING:
    from eufcc_cli.core.dataset.museum.importing import Imported, Problem

_MOST_LISTED = 20


def shortened(text: str) -> str:
    """A text for a cell of a table."""
    return text if len(text) <= 40 else f"{text[:39]}…"


def write_report(done: "Imported", path: Path) -> None:
    """Write what was not found, or cannot be used, as CSV."""
    write_text(path, csv_text(["kind", "record", "file", "reason"], map(vars, done.problems)))


def _shown(problem: "Problem") -> str:
    name = shortened(problem.record or Path(problem.file).name)
    return f"{name}: {problem.reason}" if problem.kind == "unreadable" else name


def show_import(done: "Imported", root: Root, report: Path | None) -> None:
    """The summary: coverage, splits, words without a term, rare terms, what was not found, what is next."""
    console.line(f"{number_of(done.records, 'record')}, {number_of(done.images, 'image')}")
    console.table(
        ["facet", "records with a term", "share"],
        [(facet, f"{count:,}", f"{count / done.records:.0%}") for facet, count in done.facets.items()],
        numeric=["records with a term", "share"],
    )
    language = done.language or "not recognized, so the tags are in English"
    console.note(f"language of the words: {language} (`lang=CODE` names another)")
    show_splits(done.division)
    rare = [tag for tag in done.division.dropped if tag.instead]
    if rare:
        some = first_of([f"{tag.tag} → {tag.instead} ({tag.images})" for tag in rare], _MOST_LISTED)
        console.note(f"Too rare, and replaced by a broader term: {some}")
    if others := [f"{tag.tag} ({tag.images})" for tag in done.division.dropped if not tag.instead]:
        console.note(f"Too rare, and left out: {first_of(others, _MOST_LISTED)}")
    if done.unmatched:
        words = ", ".join(f"{row.text} ({row.count})" for row in done.unmatched[:_MOST_LISTED])
        console.note(f"The most frequent words that name no known term: {words}")
        console.note(f"Fill in the column `term` of {root.terms} and run this command again.")
    for kind, count in done.counts.items():
        of_kind = [_shown(each) for each in done.problems if each.kind == kind]
        console.note(f"{kind}: {count:,} ({first_of(of_kind)})")
    if done.problems and report:
        console.note(f"{report} lists them all.")
    elif done.problems:
        console.note("`report=FILE` lists them all.")
    divided = sum(size.images for size in done.division.splits.values())
    problems = "".join(f"; {kind}: {count:,}" for kind, count in done.counts.items())
    console.note(
        f"{number_of(done.records, 'record')}: {done.annotated:,} with terms; "
        f"{number_of(divided, 'image')} in {', '.join(done.division.splits)}{problems}"
    )
    if done.pictures or done.urls:
        propose(root.path, "train" if done.pictures else "download")
    else:
        console.note("No photograph was found: run this command again with their folder, `photos=DIR`")
