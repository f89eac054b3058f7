"""`eufcc fetch table`: a museum's own export and photographs in, a collection out."""

import csv
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eufcc_cli import console
from eufcc_cli.commands.common import SOME_FAILED
from eufcc_cli.commands.splits_output import show_splits
from eufcc_cli.core.errors import EufccError
from eufcc_cli.core.files import Root, atomic_open

if TYPE_CHECKING:
    from eufcc_cli.core.dataset.columns import Guess
    from eufcc_cli.core.dataset.importing import Imported
    from eufcc_cli.core.dataset.profile import Profile
    from eufcc_cli.core.dataset.readers.export import Export

_COLUMNS, _PHOTOS, _SPLITS = "Columns", "Photographs", "Splits"
_MOST_LISTED = 20


def table(
    ctx: typer.Context,
    exports: Annotated[
        list[Path],
        typer.Argument(
            metavar="EXPORT…",
            help="What a collection system exports: CSV, TSV, .xlsx, .ods, .jsonl, LIDO or EDM in XML; "
            "or ZIP files of EDM, as in Europeana's weekly dumps.",
        ),
    ],
    photos: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="A folder with the photographs, in it or anywhere below it (repeatable). They stay there.",
            show_default="that of the last time",
            rich_help_panel=_PHOTOS,
        ),
    ] = None,
    copy: Annotated[
        bool,
        typer.Option("--copy", help="Copy the photographs into data/images.", rich_help_panel=_PHOTOS),
    ] = False,
    id_: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="The ids.", rich_help_panel=_COLUMNS)
    ] = None,
    photo: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The photographs' file names or URLs; where it names none, a file named by the id counts.",
            rich_help_panel=_COLUMNS,
        ),
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="The institution that keeps the object. With a ZIP file: only this institution's records "
            "(repeatable).",
            rich_help_panel=_COLUMNS,
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The objects' titles.", rich_help_panel=_COLUMNS)
    ] = None,
    facet: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FACET=COLUMN[,COLUMN]",
            help="Where the terms of a facet stand, such as materials=Medium (repeatable). The facets are "
            "objectTypes, materials, classifications and subjects.",
            rich_help_panel=_COLUMNS,
        ),
    ] = None,
    separator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="What stands between several terms in one cell (repeatable).",
            show_default="; and |",
            rich_help_panel=_COLUMNS,
        ),
    ] = None,
    single: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FACET", help="A facet with one value per record (repeatable).", rich_help_panel=_COLUMNS
        ),
    ] = None,
    lang: Annotated[
        str | None,
        typer.Option(
            metavar="CODE",
            help="The language of the terms, such as de.",
            show_default="found out",
            rich_help_panel=_COLUMNS,
        ),
    ] = None,
    sheet: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The sheet of a workbook that has several.", rich_help_panel=_COLUMNS
        ),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="All of these in a file; what is given here goes before it.",
            show_default="data/profile.toml, which this command writes",
            rich_help_panel=_COLUMNS,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Use guessed columns without a question.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="List as CSV: records without photographs, photographs without records, what is unreadable.",
        ),
    ] = None,
    val: Annotated[float, typer.Option(help="Share of the images for val.", rich_help_panel=_SPLITS)] = 0.1,
    test: Annotated[
        float,
        typer.Option(help="Share for test_id, of the same providers as train.", rich_help_panel=_SPLITS),
    ] = 0.1,
    ood: Annotated[
        float, typer.Option(help="Share for test_ood, of providers held out whole.", rich_help_panel=_SPLITS)
    ] = 0.1,
    min_count: Annotated[
        int,
        typer.Option(
            min=1,
            help="Records that a term of your own needs, and images of train that any term needs; rarer ones "
            "fall back to a broader one.",
            rich_help_panel=_SPLITS,
        ),
    ] = 3,
    seed: Annotated[
        int,
        typer.Option(min=0, help="The same table and seed give the same splits.", rich_help_panel=_SPLITS),
    ] = 0,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Replace tables that this command did not write.", rich_help_panel=_SPLITS
        ),
    ] = False,
    anew: Annotated[
        bool,
        typer.Option(
            "--anew",
            help="Forget earlier splits: images that were tested on may become training.",
            rich_help_panel=_SPLITS,
        ),
    ] = False,
) -> None:
    """Make a collection of a museum's own export and photographs.

    Free text becomes terms; data/terms.csv lists what became of each word: edit its column `term` in a
    spreadsheet, and give the command again. A new export needs no options: data/profile.toml keeps them, and
    an image that was in a test split stays there.
    """
    from eufcc_cli.core.dataset.columns import ROLES, complete
    from eufcc_cli.core.dataset.division import Shares
    from eufcc_cli.core.dataset.export_file import read_export
    from eufcc_cli.core.dataset.importing import import_table
    from eufcc_cli.core.dataset.profile import Profile, parse_facets, profile_file
    from eufcc_cli.core.taxonomy.annotations import check_facets

    root: Root = ctx.obj
    shares = Shares(val, test, ood, min_count, seed)
    if provider is not None and len(provider) > 1:
        raise EufccError("`provider` names several columns", hint="several names are for ZIP files of EDM")
    kept = profile or profile_file(root)
    known = Profile.read(kept) if profile or kept.is_file() else None
    asked = {
        "id": id_,
        "photo": photo,
        "provider": provider[0] if provider else None,
        "title": title,
        "facets": parse_facets(facet) if facet else None,
        "separators": tuple(separator) if separator else None,
        "single": check_facets(single) if single else None,
        "language": lang,
        "sheet": sheet,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    mapping = replace(known or Profile(), **given)  # type: ignore[arg-type]
    export = read_export(exports, mapping.sheet or None, mapping.language or None)
    mapping.check(export.columns, exports[0])
    if known is None:
        completed, guesses = complete(mapping, export, [role for role in ROLES if role in given])
        if guesses and _accepted(guesses, export, mapping, yes):
            mapping = completed
    done = import_table(
        root,
        export,
        mapping,
        shares,
        photos=photos or (),
        copy=copy,
        force=force,
        anew=anew,
        progress=console.progress(),
    )
    if report:
        _write_report(done, report)
    _show(done, root, report)
    if done.counts["unreadable"]:
        raise typer.Exit(SOME_FAILED)


def _accepted(guesses: "list[Guess]", export: "Export", mapping: "Profile", yes: bool) -> bool:
    """Show what the columns seem to hold; True if that is to be used. EufccError where it has to be."""
    console.note(f"{export.paths[0]}: {len(export):,} rows. Its columns seem to hold:")
    console.table(
        ["what", "column", "for example"],
        [(guess.role, guess.column, "; ".join(map(_short, guess.examples))) for guess in guesses],
        to=console.err,
    )
    if yes:
        return True
    if sys.stdin.isatty() and sys.stderr.isatty():
        if typer.confirm("Is that right?", err=True):
            return True
        raise EufccError("no columns were chosen", hint="name them: `id`, `facet=materials=COLUMN` …")
    if mapping.id and mapping.facets:
        console.note("Not used without `yes`: only the columns that you named count.")
        return False
    raise EufccError(
        "these columns are guessed, and nobody has confirmed them",
        hint="give `yes` to use them, or name the right ones: `id`, `facet=materials=COLUMN` …",
    )


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


def _write_report(done: "Imported", path: Path) -> None:
    with atomic_open(path, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["kind", "record", "file", "reason"])
        writer.writerows((each.kind, each.record, each.file, each.reason) for each in done.problems)


def _show(done: "Imported", root: Root, report: Path | None) -> None:
    """The summary: coverage, splits, words without a term, rare terms, what was not found, what is next."""
    console.line(f"{done.records:,} records, {done.images:,} images")
    console.table(
        ["facet", "records with a term", "share"],
        [(facet, f"{count:,}", f"{count / done.records:.0%}") for facet, count in done.facets.items()],
        numeric=["records with a term", "share"],
    )
    show_splits(done.division)
    rare = [tag for tag in done.division.dropped if tag.instead]
    if rare:
        some = ", ".join(f"{tag.tag} → {tag.instead} ({tag.images})" for tag in rare[:_MOST_LISTED])
        console.note(f"Too rare, and replaced by a broader term: {some}{_more(rare)}")
    if done.unmatched:
        words = ", ".join(f"{row.text} ({row.count})" for row in done.unmatched[:_MOST_LISTED])
        console.note(f"The most frequent words that name no known term: {words}")
        console.note(f"Give them terms in {root.terms} (column `term`), and give this command again.")
    for kind, count in done.counts.items():
        of_kind = [each.record or each.file for each in done.problems if each.kind == kind]
        console.note(f"{kind}: {count:,} ({', '.join(map(_short, of_kind[:5]))}{_more(of_kind, 5)})")
    if done.problems and report:
        console.note(f"{report} lists them all.")
    elif done.problems:
        console.note("`report=FILE` lists them all.")
    console.note(f"Next: eufcc --root {root.path} {'train' if done.pictures else 'download'}")


def _more(listed: Sequence[object], shown: int = _MOST_LISTED) -> str:
    return f" and {len(listed) - shown:,} more" if len(listed) > shown else ""
