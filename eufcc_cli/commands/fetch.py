"""`eufcc fetch`: the published dataset, a drawn miniature, a harvest of Europeana, and its splits."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from eufcc_cli import console
from eufcc_cli.commands.common import propose
from eufcc_cli.commands.fetching.fetch_europeana import europeana
from eufcc_cli.commands.fetching.fetch_table import table
from eufcc_cli.commands.fetching.splits_output import show_splits
from eufcc_cli.commands.options import (
    SPARQL_URL,
    AatRoots,
    OodShare,
    ReplaceTables,
    Resplit,
    Seed,
    SparqlUrl,
    TestShare,
    ValShare,
    in_panel,
)
from eufcc_cli.core.files import SPLITS, Root

_servers = in_panel("Servers")
_Split = StrEnum("_Split", {"train": "train", "val": "val", "test_id": "test_id", "test_ood": "test_ood"})


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
    help="Fetch annotations: the published EUFCC-340K (`eufcc fetch`), your own table, or a harvest of "
    "Europeana.\n\n"
    "`eufcc fetch europeana` needs a key for Europeana's APIs, free at https://apis.europeana.eu/en, in the "
    "environment variable EUROPEANA_API_KEY.",
    subcommand_metavar="[published|table|demo|europeana|concepts|splits] [OPTIONS]",
)


@app.command("published")
def published(
    ctx: typer.Context,
    revision: Annotated[
        Literal["corrected", "original"],
        typer.Option(
            help="corrected: without leakage between the splits; original: the splits of the paper's figures."
        ),
    ] = "corrected",
    split: Annotated[
        list[_Split] | None, typer.Option(help="Only this split (repeatable).", show_default="all four")
    ] = None,
    labels: Annotated[
        bool, typer.Option("--labels/--no-labels", help="Also fetch the label files of the four facets.")
    ] = True,
    url: Annotated[
        str | None,
        typer.Option(
            envvar="EUFCC_PUBLISHED_URL",
            help="Fetch from a mirror with URL/data/train.csv, URL/labels/materials.txt …",
            show_default="GitHub",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace tables that are not EUFCC-340K's.")] = False,
) -> None:
    """Fetch EUFCC-340K's annotations and label files (the default), and verify their git hashes.

    Correct files that are already there are not fetched again. After an interruption, run the command again
    to resume. data/provenance.json records where the files come from.
    """
    from eufcc_cli.core.dataset.published import fetch_published

    root: Root = ctx.obj
    fetch = partial(fetch_published, root, revision, split or SPLITS, labels=labels, base_url=url)
    files = fetch(force=force, progress=console.progress())
    for file in files:
        console.line(f"{file.path}{'' if file.new else '  (unchanged)'}")
    new = sum(file.new for file in files)
    console.note(f"{len(files):,} files: {new:,} fetched, {len(files) - new:,} unchanged")


app.command("table")(table)


@app.command("demo")
def demo(
    ctx: typer.Context,
    images: Annotated[int, typer.Option(min=8, help="Number of images, over all splits.")] = 3200,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same collection.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of processes.", show_default="one per core")
    ] = None,
) -> None:
    """Draw a small demonstration collection: annotated pictures of invented museums.

    Needs no network. Prints the paths of three test images, as examples for `eufcc tag`.
    """
    from eufcc_cli.core.demo import draw_collection
    from eufcc_cli.core.files import image_stem

    root: Root = ctx.obj
    drawn = draw_collection(root, images, seed, workers, console.progress())
    splits = ", ".join(f"{split} {count:,}" for split, count in drawn.splits.items())
    tags = ", ".join(f"{facet} {count}" for facet, count in drawn.tags.items())
    already = drawn.images - drawn.drawn
    console.note(
        f"Drew {drawn.drawn:,} images into {root.path}"
        + (f" ({already:,} were already there)." if already else ".")
    )
    console.note(f"  images  {splits}")
    console.note(f"  tags    {tags}")
    outside = f"; only in test_ood: {', '.join(drawn.held_out)}" if drawn.held_out else ""
    console.note(f"  museums {drawn.providers}, all invented{outside}")
    console.note("Examples to tag, from test_id:")
    for image_id in drawn.showcase:
        console.line(str(root.images / f"{image_stem(image_id)}.jpg"))


app.command("europeana")(europeana)


@app.command("concepts")
def concepts(
    ctx: typer.Context,
    facet: Annotated[
        list[str] | None, typer.Option(help="Only this facet (repeatable).", show_default="all")
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option(
            help="Add names in this language to labels/names.csv (repeatable).",
            show_default="en, es, fr, de, nl",
        ),
    ] = None,
    roots: AatRoots = None,
    reconcile_url: Annotated[
        str, _servers(envvar="EUFCC_RECONCILE_URL", help="Getty's reconciliation service.")
    ] = "https://services.getty.edu/vocab/reconcile/",
    sparql_url: SparqlUrl = SPARQL_URL,
) -> None:
    """Find the AAT concepts of the collection's tags, and their names in other languages.

    A concept is accepted if it is the only one of the facet with the tag's name, and a broader concept has
    the name of the tag's parent. The other tags are listed in labels/concepts-review.csv with their
    candidates: fill in the column uri (or "-" for a tag without a concept) and run the command again.
    """
    from eufcc_cli.core.harvest.tag_concepts import fetch_concepts
    from eufcc_cli.core.taxonomy.tables.annotations import check_facets

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
    val: ValShare = 0.1,
    test: TestShare = 0.1,
    ood: OodShare = 0.1,
    min_count: Annotated[
        int,
        typer.Option(
            min=1, help="Minimum number of train images of a tag; a rarer one is replaced by its parent."
        ),
    ] = 10,
    seed: Seed = 0,
    force: ReplaceTables = False,
    resplit: Resplit = False,
) -> None:
    """Divide a table into train, val, test_id and test_ood, stratified by tag.

    Images with the same URL are in the same split. When the table grows or is corrected, images of a test
    split stay there, and new ones go to train or val. data/splits.json reports the splits, the providers held
    out for test_ood, and the tags dropped. Edit data/held_out.txt to hold out others.
    """
    from eufcc_cli.core.dataset.splits.division_report import Shares
    from eufcc_cli.core.dataset.splits.split_files import report_file, write_splits

    root: Root = ctx.obj
    shares = Shares(val, test, ood, min_count, seed)
    report = write_splits(root, file, shares, force=force, resplit=resplit, progress=console.progress())
    show_splits(report)
    console.note(f"{report_file(root)} lists providers held out and tags dropped.")
    propose(root.path, "download")
