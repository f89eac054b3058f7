"""`eufcc fetch europeana`: a harvest of Europeana's APIs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from eufcc_cli import console
from eufcc_cli.commands.common import SOME_FAILED, propose
from eufcc_cli.commands.fetching.harvest_output import harvest_sentence, show_harvest
from eufcc_cli.commands.options import ENTITY_URL, SPARQL_URL, AatRoots, EntityUrl, SparqlUrl, in_panel
from eufcc_cli.core.files import Root

_servers = in_panel("Servers")


def europeana(
    ctx: typer.Context,
    keywords: Annotated[list[str], typer.Argument(help="Search terms; each is searched for separately.")],
    api_key: Annotated[
        str,
        typer.Option(
            envvar="EUROPEANA_API_KEY",
            show_default=False,
            help="Your key, free at https://apis.europeana.eu/en. Better set the environment variable: other "
            "users can read options in the list of processes.",
        ),
    ] = "",
    theme: Annotated[
        str | None, typer.Option(help="Only this theme: archaeology, art, fashion, manuscript …")
    ] = None,
    reusability: Annotated[
        Literal["open", "restricted", "permission", "all"],
        typer.Option(help="Rights of the records; open: public domain, CC0, CC BY and CC BY-SA."),
    ] = "open",
    provider: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only records of this data provider (repeatable)."),
    ] = None,
    country: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only records of this country (repeatable).")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Maximum number of records; a page is read for each keyword in turn.",
            show_default="none",
        ),
    ] = None,
    lang: Annotated[
        str,
        typer.Option(
            help="Language of the tags. If a concept has no label in it, its label in a regional variant is "
            "used, else in English, else in the first other language by code."
        ),
    ] = "en",
    output: Annotated[
        Path | None,
        typer.Option(help="The table to write.", show_default="data/europeana.csv below the root"),
    ] = None,
    shallow: Annotated[
        bool,
        typer.Option(
            "--shallow", help="Use only the search results: 100 records per request, but less complete."
        ),
    ] = False,
    match_labels: Annotated[
        bool,
        typer.Option(
            "--match-labels", help="Map a word without a URI to a concept, if only one has exactly its label."
        ),
    ] = False,
    roots: AatRoots = None,
    unmapped: Annotated[
        Path | None,
        typer.Option(
            help="Write the concepts that were not mapped to tags, with the reason, to this CSV file."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the table of another harvest.")] = False,
    record_url: Annotated[
        str, _servers(envvar="EUFCC_RECORD_URL", help="Europeana's Search and Record APIs.")
    ] = "https://api.europeana.eu/record/v2",
    entity_url: EntityUrl = ENTITY_URL,
    sparql_url: SparqlUrl = SPARQL_URL,
    thumbnail_url: Annotated[
        str, _servers(envvar="EUFCC_THUMBNAIL_URL", help="Europeana's thumbnails.")
    ] = "https://api.europeana.eu/thumbnail/v2/url.json",
) -> None:
    """Harvest records with images and AAT concepts from Europeana into an annotation table.

    After an interruption, run the same command again to resume. OUTPUT.attribution.md, beside the table,
    lists the providers and licences to credit; keep it with the data. Then divide the table with
    `eufcc fetch splits`.
    """
    from eufcc_cli.core.harvest.europeana import Search
    from eufcc_cli.core.harvest.harvesting import Servers, harvest

    root: Root = ctx.obj
    search = Search(tuple(keywords), theme, reusability, tuple(provider or ()), tuple(country or ()))
    servers = (url.rstrip("/") for url in (record_url, entity_url, sparql_url, thumbnail_url))
    done = harvest(
        root,
        search,
        api_key,
        output or root.data / "europeana.csv",
        limit=limit,
        language=lang,
        shallow=shallow,
        match_labels=match_labels,
        roots=roots,
        unmapped=unmapped,
        servers=Servers(*servers),
        force=force,
        progress=console.progress(),
    )
    show_harvest(done, unmapped, by_api=True)
    console.note(harvest_sentence(done))
    propose(root.path, "fetch", "splits", str(done.output))
    if done.failed:
        raise typer.Exit(SOME_FAILED)
