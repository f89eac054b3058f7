"""`eufcc fetch table`: a museum's own export and photographs in, a collection out."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from eufcc_cli import console
from eufcc_cli.commands.common import SOME_FAILED
from eufcc_cli.commands.fetching.fetch_dumps import fetch_dumps
from eufcc_cli.commands.fetching.fetch_iiif import local_exports
from eufcc_cli.commands.fetching.table_output import shortened, show_import, write_report
from eufcc_cli.commands.options import (
    ENTITY_URL,
    SPARQL_URL,
    AllowPrivateHosts,
    EntityUrl,
    OodShare,
    ReplaceTables,
    Resplit,
    Seed,
    SparqlUrl,
    TestShare,
    ValShare,
    in_panel,
)
from eufcc_cli.core.errors import EufccError, number_of
from eufcc_cli.core.files import Root

if TYPE_CHECKING:
    from eufcc_cli.core.dataset.museum.columns import Guess
    from eufcc_cli.core.dataset.museum.profile import Profile
    from eufcc_cli.core.dataset.museum.readers.export import Export

_columns = in_panel("Columns")
_photos = in_panel("Photographs")
_splits = in_panel("Splits")
_dumps = in_panel("ZIP files of EDM")


def table(
    ctx: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="EXPORT…",
            help="The export: CSV, TSV, .xlsx, .ods, JSON, LIDO or EDM in XML; ZIP files of EDM "
            "(Europeana's weekly dumps); or the URL of a IIIF manifest or collection.",
        ),
    ],
    photos: Annotated[
        list[Path] | None,
        _photos(
            metavar="DIR",
            help="A folder with photographs, subfolders included (repeatable). The files stay where they "
            "are.",
            show_default="that of the last import",
        ),
    ] = None,
    copy: Annotated[bool, _photos("--copy", help="Copy the photographs into data/images.")] = False,
    id_: Annotated[str | None, _columns("--id", metavar="COLUMN", help="The column with the ids.")] = None,
    photo: Annotated[
        str | None,
        _columns(
            metavar="COLUMN",
            help="The column with the file name or URL of the photograph; `Image 1`, `Image 2` … count "
            "together. Where it is empty, the file named after the id is used.",
        ),
    ] = None,
    provider: Annotated[
        list[str] | None,
        _columns(
            metavar="COLUMN",
            help="The column with the institution. For ZIP files: the institution whose records to import "
            "(repeatable).",
        ),
    ] = None,
    title: Annotated[str | None, _columns(metavar="COLUMN", help="The column with the titles.")] = None,
    facet: Annotated[
        list[str] | None,
        _columns(
            metavar="FACET=COLUMN[,COLUMN]",
            help="The columns with the terms of a facet, such as materials=Medium (repeatable). Facets: "
            "objectTypes, materials, classifications, subjects.",
        ),
    ] = None,
    separator: Annotated[
        list[str] | None,
        _columns(
            metavar="TEXT",
            help="The text that separates the terms in a cell (repeatable).",
            show_default="; and |",
        ),
    ] = None,
    single: Annotated[
        list[str] | None,
        _columns(metavar="FACET", help="A facet with at most one term per record (repeatable)."),
    ] = None,
    lang: Annotated[
        str | None,
        _columns(metavar="CODE", help="The language of the terms, such as de.", show_default="detected"),
    ] = None,
    sheet: Annotated[
        str | None, _columns(metavar="NAME", help="The sheet to read, if a workbook has several.")
    ] = None,
    profile: Annotated[
        Path | None,
        _columns(
            metavar="FILE",
            help="A file with these settings; options on the command line override it.",
            show_default="data/profile.toml, which this command writes",
        ),
    ] = None,
    reusability: Annotated[
        Literal["open", "restricted", "permission", "all"],
        _dumps(help="Rights of the records; open: public domain, CC0, CC BY and CC BY-SA."),
    ] = "open",
    theme: Annotated[
        str | None,
        _dumps(
            help="Import only this theme (archaeology, art, fashion …), recognised by words in types, "
            "subjects and titles."
        ),
    ] = None,
    api_key: Annotated[
        str,
        _dumps(
            envvar="EUROPEANA_API_KEY",
            show_default=False,
            help="A key for Europeana's APIs, to find AAT concepts that the dumps do not name.",
        ),
    ] = "",
    entity_url: EntityUrl = ENTITY_URL,
    sparql_url: SparqlUrl = SPARQL_URL,
    allow_private_hosts: AllowPrivateHosts = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Use the guessed columns without asking.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write records without photographs, photographs without records, and unreadable files to "
            "this CSV file.",
        ),
    ] = None,
    val: ValShare = 0.1,
    test: TestShare = 0.1,
    ood: OodShare = 0.1,
    min_count: Annotated[
        int | None,
        _splits(
            min=1,
            show_default="that of the last import, else 3",
            help="Minimum number of records of a term that the vocabulary lacks, and of train images of any "
            "term; a rarer one is replaced by its broader term.",
        ),
    ] = None,
    seed: Seed = 0,
    force: ReplaceTables = False,
    resplit: Resplit = False,
) -> None:
    """Make a collection from a museum's own export and photographs.

    Free text is mapped to terms. data/terms.csv lists each word with its term: correct the column `term` in a
    spreadsheet, and run the command again. A new export needs no options, since they are saved in
    data/profile.toml; test images stay in their split.
    """
    from eufcc_cli.core.dataset.museum.columns import ROLES, complete
    from eufcc_cli.core.dataset.museum.export_file import kind_of, read_export
    from eufcc_cli.core.dataset.museum.importing import import_table
    from eufcc_cli.core.dataset.museum.profile import Profile, parse_facets, profile_file
    from eufcc_cli.core.dataset.splits.division_report import Shares
    from eufcc_cli.core.taxonomy.matching.assignment import MIN_COUNT
    from eufcc_cli.core.taxonomy.tables.annotations import check_facets

    root: Root = ctx.obj
    kept = profile or profile_file(root)
    known = Profile.read(kept) if profile or kept.is_file() else None
    least = min_count or (known.min_count if known else 0) or MIN_COUNT
    shares = Shares(val, test, ood, least, seed)
    exports, broken = local_exports(root, sources, lang, allow_private_hosts=allow_private_hosts)
    kinds = {kind_of(path) for path in exports}
    if "zip" in kinds:
        from eufcc_cli.core.harvest.dumps import DumpFilter
        from eufcc_cli.core.harvest.harvesting import Servers

        if len(kinds) > 1:
            raise EufccError("ZIP files together with other exports", hint="import them one after the other")
        wanted = DumpFilter(tuple(provider or ()), reusability, theme)
        servers = Servers(entity=entity_url.rstrip("/"), sparql=sparql_url.rstrip("/"))
        fetch_dumps(
            root, exports, wanted, shares, lang or "en", api_key, servers, force=force, resplit=resplit
        )
        return
    if provider is not None and len(provider) > 1:
        raise EufccError("`provider` names several columns", hint="several names are for ZIP files of EDM")
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
        resplit=resplit,
        progress=console.progress(),
    )
    if report:
        write_report(done, report)
    show_import(done, root, report)
    if done.counts["unreadable"] or broken:
        raise typer.Exit(SOME_FAILED)


def _accepted(guesses: "list[Guess]", export: "Export", mapping: "Profile", yes: bool) -> bool:
    """Show what the columns seem to hold; True if that is to be used. EufccError where it has to be."""
    rows = number_of(len(export), "row")
    console.note(f"{export.paths[0]}: {rows}. Its columns seem to hold:")
    console.table(
        ["what", "column", "for example"],
        [(guess.role, guess.column, "; ".join(map(shortened, guess.examples))) for guess in guesses],
        to=console.err,
    )
    if yes:
        return True
    if sys.stdin.isatty() and sys.stderr.isatty():
        if typer.confirm("Is that right?", err=True):
            return True
        raise EufccError("no columns were chosen", hint="name them: `id`, `facet=materials=COLUMN` …")
    if mapping.id and mapping.facets:
        console.note("Without `yes` only the columns that you named are used.")
        return False
    raise EufccError(
        "the columns were guessed and not confirmed",
        hint="give `yes` to use them, or name the right ones: `id`, `facet=materials=COLUMN` …",
    )
