"""`eufcc fetch`: the published dataset, a drawn miniature, a harvest of Europeana, and its splits."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from eufcc_cli import console
from eufcc_cli.commands.common import SOME_FAILED
from eufcc_cli.commands.fetch_table import table
from eufcc_cli.commands.harvest_output import harvest_sentence, show_harvest
from eufcc_cli.commands.splits_output import show_splits
from eufcc_cli.core.files import Root

if TYPE_CHECKING:
    pass

_SERVERS = "Servers"


class Split(StrEnum):
    """A table of the published dataset."""

    train = "train"
    val = "val"
    test_id = "test_id"
    test_ood = "test_ood"


class _PublishedByDefault(TyperGroup):
    """`eufcc fetch --split train` means `eufcc fetch published --split train`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        at = 0
        while at < len(args) and args[at].startswith("-"):
            option, joined, _ = args[at].partition("=")
            with_value = option in ("--root", "--user-agent", "--max-pixels")
            if not with_value and option not in ("-q", "--quiet", "-v", "--verbose"):
                break  # all else is published's
            at += 2 if with_value and not joined else 1
        named = at < len(args) and not args[at].startswith("-")
        if not (named or args[at : at + 1] in (["--help"], ["-h"]) or (not args and ctx.resilient_parsing)):
            args = [*args[:at], "published", *args[at:]]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_PublishedByDefault,
    help="Fetch annotations: EUFCC-340K as it was published (`eufcc fetch`), or a collection of your own.\n\n"
    "`eufcc fetch europeana` needs a key of Europeana's APIs: it is free at https://apis.europeana.eu/en and "
    "belongs in the environment variable EUROPEANA_API_KEY.",
    subcommand_metavar="[published|table|demo|europeana|concepts|splits] [OPTIONS]",
)


@app.command("published")
def published(
    ctx: typer.Context,
    revision: Annotated[
        Literal["corrected", "original"],
        typer.Option(help="corrected has no leak between the splits; original is behind the paper's table."),
    ] = "corrected",
    split: Annotated[
        list[Split] | None,
        typer.Option(help="Which split; may be repeated.", show_default="all four"),
    ] = None,
    labels: Annotated[
        bool, typer.Option("--labels/--no-labels", help="The label files of the four facets too.")
    ] = True,
    url: Annotated[
        str | None,
        typer.Option(
            envvar="EUFCC_PUBLISHED_URL",
            help="A mirror: URL/data/train.csv, URL/labels/materials.txt.",
            show_default="GitHub",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace tables that are not EUFCC-340K's.")] = False,
) -> None:
    """The annotations and label files of EUFCC-340K (the default), verified by their git blob ids.

    What is there and right is left alone, what was interrupted goes on where it stopped. data/provenance.json
    keeps what came from where.
    """
    from eufcc_cli.core.dataset.published import fetch_published
    from eufcc_cli.core.files import SPLITS

    root: Root = ctx.obj
    files = fetch_published(
        root,
        revision,
        split or SPLITS,
        labels=labels,
        base_url=url,
        force=force,
        progress=console.progress(),
    )
    for file in files:
        console.line(f"{file.path}{'' if file.new else '  (was there)'}")
    new = sum(file.new for file in files)
    console.note(f"{len(files):,} files: {new:,} fetched, {len(files) - new:,} were there")


app.command("table")(table)


@app.command("demo")
def demo(
    ctx: typer.Context,
    images: Annotated[int, typer.Option(min=8, help="How many images to draw, all splits together.")] = 3200,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same collection.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that draw.", show_default="all cores")
    ] = None,
) -> None:
    """Draw the miniature collection: annotated pictures by made-up museums, without a network.

    Prints the paths of three test images worth tagging.
    """
    from eufcc_cli.core.demo import draw_collection
    from eufcc_cli.core.files import image_stem

    root: Root = ctx.obj
    drawn = draw_collection(root, images, seed, workers, console.progress())
    splits = ", ".join(f"{split} {count:,}" for split, count in drawn.splits.items())
    tags = ", ".join(f"{facet} {count}" for facet, count in drawn.tags.items())
    already = drawn.images - drawn.drawn
    console.note(
        f"Drew {drawn.drawn:,} images into {root.path}" + (f" ({already:,} were there)." if already else ".")
    )
    console.note(f"  images  {splits}")
    console.note(f"  tags    {tags}")
    outside = f"; only in test_ood: {', '.join(drawn.held_out)}" if drawn.held_out else ""
    console.note(f"  made up by {drawn.providers} museums{outside}")
    console.note("Worth tagging, from test_id:")
    for image_id in drawn.showcase:
        console.line(str(root.images / f"{image_stem(image_id)}.jpg"))


@app.command("europeana")
def europeana(
    ctx: typer.Context,
    keywords: Annotated[
        list[str], typer.Argument(help="What to search for; each keyword is a search of its own.")
    ],
    api_key: Annotated[
        str,
        typer.Option(
            envvar="EUROPEANA_API_KEY",
            show_default=False,
            help="Your key, free at https://apis.europeana.eu/en; better in the environment, where no list "
            "of processes shows it.",
        ),
    ] = "",
    theme: Annotated[
        str | None, typer.Option(help="One theme: archaeology, art, fashion, manuscript, photography, …")
    ] = None,
    reusability: Annotated[
        Literal["open", "restricted", "permission", "all"],
        typer.Option(help="Which rights: open is public domain, CC0, CC BY and CC BY-SA."),
    ] = "open",
    provider: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only of this data provider; may be repeated.")
    ] = None,
    country: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only of this country; may be repeated.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Records in all; keywords take turns, page by page.", show_default="none"),
    ] = None,
    lang: Annotated[
        str,
        typer.Option(
            help="Language of the tags; where a concept has no label in it: its regional variants, English, "
            "then the others in the order of their codes."
        ),
    ] = "en",
    output: Annotated[
        Path | None,
        typer.Option(help="The table to write.", show_default="data/europeana.csv below the root"),
    ] = None,
    shallow: Annotated[
        bool,
        typer.Option("--shallow", help="Search results only: 100 records a request, facets by AAT branch."),
    ] = False,
    match_labels: Annotated[
        bool,
        typer.Option(
            "--match-labels",
            help="Take words without a URI for the one concept that bears exactly this label.",
        ),
    ] = False,
    roots: Annotated[
        Path | None,
        typer.Option(help="Where each facet's paths begin in AAT, as JSON.", show_default="eufcc's own list"),
    ] = None,
    unmapped: Annotated[
        Path | None, typer.Option(help="Write the concepts that became no tag, and why, as CSV.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Begin anew where another harvest has the same output.")
    ] = False,
    record_url: Annotated[
        str,
        typer.Option(
            envvar="EUFCC_RECORD_URL", rich_help_panel=_SERVERS, help="Europeana's Search and Record APIs."
        ),
    ] = "https://api.europeana.eu/record/v2",
    entity_url: Annotated[
        str,
        typer.Option(envvar="EUFCC_ENTITY_URL", rich_help_panel=_SERVERS, help="Europeana's Entity API."),
    ] = "https://api.europeana.eu/entity",
    sparql_url: Annotated[
        str, typer.Option(envvar="EUFCC_SPARQL_URL", rich_help_panel=_SERVERS, help="AAT's SPARQL endpoint.")
    ] = "http://vocab.getty.edu/sparql.json",
    thumbnail_url: Annotated[
        str,
        typer.Option(envvar="EUFCC_THUMBNAIL_URL", rich_help_panel=_SERVERS, help="Europeana's thumbnails."),
    ] = "https://api.europeana.eu/thumbnail/v2/url.json",
) -> None:
    """Harvest annotated images from Europeana, described by concepts of the AAT, into a table.

    The same command goes on where it was interrupted. OUTPUT.attribution.md, beside the table, says whom to
    thank; keep it with the data. Then divide the table with `eufcc fetch splits`.
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
    if done.failed:
        raise typer.Exit(SOME_FAILED)


@app.command("concepts")
def concepts(
    ctx: typer.Context,
    facet: Annotated[
        list[str] | None, typer.Option(help="Only this facet; may be repeated.", show_default="all")
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option(
            help="A language of names to add to labels/names.csv; may be repeated.",
            show_default="en, es, fr, de, nl",
        ),
    ] = None,
    roots: Annotated[
        Path | None,
        typer.Option(help="Where each facet's paths begin in AAT, as JSON.", show_default="eufcc's own list"),
    ] = None,
    reconcile_url: Annotated[
        str,
        typer.Option(
            envvar="EUFCC_RECONCILE_URL", rich_help_panel=_SERVERS, help="Getty's reconciliation service."
        ),
    ] = "https://services.getty.edu/vocab/reconcile/",
    sparql_url: Annotated[
        str, typer.Option(envvar="EUFCC_SPARQL_URL", rich_help_panel=_SERVERS, help="AAT's SPARQL endpoint.")
    ] = "http://vocab.getty.edu/sparql.json",
) -> None:
    """Find the AAT concepts of the collection's tags, and their names in other languages.

    A concept is accepted where there is no doubt: one concept of the facet has the tag's name, and a broader
    one has its parent's. The other tags are listed in labels/concepts-review.csv with their candidates: fill
    in the column uri (or "-" for a tag without a concept) and run the command again.
    """
    from eufcc_cli.core.harvest.tag_concepts import fetch_concepts
    from eufcc_cli.core.taxonomy.annotations import check_facets

    root: Root = ctx.obj
    found = fetch_concepts(
        root,
        check_facets(facet or ()),
        **({"languages": language} if language else {}),
        roots=roots,
        reconcile_url=reconcile_url,
        sparql_url=sparql_url,
        progress=console.progress(),
    )
    counts = {
        "known before": found.known,
        "taken from the review file": found.reviewed,
        "accepted now": found.accepted,
        "without a concept": found.without,
        "to be reviewed": len(found.doubts),
    }
    console.table(
        ["concepts", "tags"], [[name, f"{count:,}"] for name, count in counts.items()], numeric=["tags"]
    )
    if found.doubts:
        console.note(f"fill in the column uri of {found.review} and run the command again")


@app.command("splits")
def splits(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The table to divide, such as data/europeana.csv.")],
    val: Annotated[float, typer.Option(help="Share of the images for val.")] = 0.1,
    test: Annotated[float, typer.Option(help="Share for test_id, of the same providers as train.")] = 0.1,
    ood: Annotated[float, typer.Option(help="Share for test_ood, of providers held out whole.")] = 0.1,
    min_count: Annotated[
        int, typer.Option(min=1, help="Images of train that a tag needs; rarer ones fall back to broader.")
    ] = 10,
    seed: Annotated[int, typer.Option(min=0, help="The same table and seed give the same files.")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Replace tables that this command did not write.")
    ] = False,
    anew: Annotated[
        bool,
        typer.Option("--anew", help="Forget earlier splits: images that were tested on may become training."),
    ] = False,
) -> None:
    """Divide a harvest into train, val, test_id and test_ood, stratified over the tags.

    Images with one address stay on one side. An image that was in a test split stays there when the table
    grows or is corrected: new ones go to train or val. data/splits.json lists what was divided, held out and
    dropped; data/held_out.txt the providers held out, to edit.
    """
    from eufcc_cli.core.dataset.division import Shares
    from eufcc_cli.core.dataset.splits import report_file, write_splits

    root: Root = ctx.obj
    shares = Shares(val, test, ood, min_count, seed)
    report = write_splits(root, file, shares, force=force, anew=anew, progress=console.progress())
    show_splits(report)
    console.note(f"{report_file(root)} lists providers held out and tags dropped.")
